"""Checkpoints: a run's state in a file that appears whole or not at all, with a checksum, two generations of each."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from deeprob.errors import UserError
from deeprob.tracking.checkpoint_file import alike, copied, load_newest, previous, save
from deeprob.tracking.files import also
from deeprob.training.state import TrainState


class Checkpoints:
    """The checkpoints of a run: ``last.pt`` to go on from, ``best.pt`` to keep.

    Parameters
    ----------
    directory
        Where they lie; made if need be.
    state
        What they hold, at the moment of writing.
    constant
        What they hold besides, the same throughout the run.
    best_is_last
        Without a validation split nothing chooses, and the best state is the last.
    lengths
        Asked at each writing: how much has been written to the files that grow with the run.
    """

    def __init__(
        self,
        directory: Path,
        state: TrainState,
        constant: Mapping[str, Any],
        best_is_last: bool,
        lengths: Callable[[], dict[str, int]] = dict,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink()
        self.last, self.best = directory / "last.pt", directory / "best.pt"
        self.state = state
        self.constant = constant
        self.best_is_last = best_is_last
        self._lengths = lengths
        self._kept: dict[str, Any] | None = None
        self._written = time.monotonic()

    def keep_best(self) -> None:
        """Remember the present state as the best; the next `write` puts it into its file."""
        self._kept = copied(self.state.state_dict())

    def write(self) -> None:
        """Write what there is: first the best, so that the last never speaks of a best that is not there."""
        self.write_best()
        save({**self.constant, "lengths": self._lengths(), **copied(self.state.state_dict())}, self.last)
        if self.best_is_last or not self.best.exists():
            if self.best.exists():
                also(self.best, previous(self.best))
            also(self.last, self.best)
        self._written = time.monotonic()

    def write_best(self) -> None:
        """Write the state that `keep_best` remembered, if there is one since the last time."""
        if self._kept is not None:
            save({**self.constant, **self._kept}, self.best)
        self._kept = None

    def write_finite(self, step: int) -> None:
        """Write the state of a diverged run as it was after so many updates, if all its numbers are finite."""
        state = self.state.state_dict()
        numbers = [leaf for leaf in tree_leaves([state["model"], state["optimizer"]]) if isinstance(leaf, torch.Tensor)]
        if step > 0 and all(bool(tensor.isfinite().all()) for tensor in numbers):
            self.state.step = step
            self.state.meters.reset()
            self.state.frozen.zero_()
            self.write()
        else:
            self.write_best()

    def write_if_due(self, minutes: float) -> None:
        """Write if the last time was at least so many minutes ago; never for 0."""
        if minutes and time.monotonic() - self._written >= 60 * minutes:
            self.write()

    def restore_best(self) -> None:
        """Give the model the best weights.

        Raises
        ------
        UserError
            When they are another model's.
        """
        if not self.best_is_last:
            content = load_newest(self.best)
            if not alike(content.get("model"), self.state.model.state_dict()):
                raise UserError(f"{self.best}: does not belong to {self.last}")
            self.state.model.load_state_dict(content["model"])
