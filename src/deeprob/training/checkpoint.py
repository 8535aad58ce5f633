"""Write the training state of a run to checkpoints, and restore it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deeprob.errors import UserError
from deeprob.tracking.checkpoint_file import (
    alike,
    copied,
    exists,
    generations,
    load_newest,
    previous,
    same,
    save,
)
from deeprob.tracking.files import also
from deeprob.training.state import TrainState


class Checkpoints:
    """The checkpoints of a run: ``last.pt`` to resume from, and ``best.pt`` to keep.

    Parameters
    ----------
    directory
        The folder of the checkpoints. It is created when the first checkpoint is written.
    state
        The training state that is written.
    constant
        Further values, which are the same in every checkpoint of the run.
    best_is_last
        Whether the last state counts as the best, because the run has no validation split.
    """

    def __init__(self, directory: Path, state: TrainState, constant: Mapping[str, Any], best_is_last: bool) -> None:
        self.last, self.best = directory / "last.pt", directory / "best.pt"
        self.state = state
        self.constant = constant
        self.best_is_last = best_is_last
        self._kept: dict[str, Any] | None = None
        self._written = time.monotonic()

    def restore(self, steps: int, at: int | None = None) -> dict[str, int]:
        """Load the newest checkpoint into the state, or the checkpoint of update `at` if there is one.

        Parameters
        ----------
        steps
            The number of updates in the whole run.
        at
            The update whose checkpoint is loaded. None: the newest checkpoint is loaded.

        Returns
        -------
        dict
            The `lengths` that `write` stored in this checkpoint; empty if there is no checkpoint yet.

        Raises
        ------
        UserError
            If ``last.pt`` or ``best.pt`` cannot be read in any generation, or belongs to another config or dataset.
        """
        if not exists(self.last):
            return {}
        content = load_newest(self.last)
        if at not in (None, content.get("step")):
            content = next((other for other in generations(self.last) if other.get("step") == at), content)
        try:
            for name, value in self.constant.items():
                if not same(content[name], value):
                    raise UserError(f"{self.last}: the dataset has changed since the run began (its {name})")
            self.state.load_state_dict(content)
            if not 0 <= self.state.step <= steps:
                raise ValueError("a step outside of the run")
            lengths: dict[str, int] = {"looked": 0} | content["lengths"]  # older checkpoints lack "looked"
            if not alike(lengths, {"metrics": 0, "events": 0, "looked": 0}):
                raise ValueError("lengths of no files")
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            config = self.last.parents[1] / "config.yaml"
            raise UserError(f"{self.last}: does not belong to {config}") from error
        if self.state.best.epoch and not self.best_is_last:
            self._read_best()
        return lengths

    def keep_best(self) -> None:
        """Copy the present state as the best state; the next `write` saves the copy to ``best.pt``."""
        self._kept = copied(self.state.state_dict())

    def write(self, lengths: Mapping[str, int]) -> None:
        """Write the best state, then the last state, so that ``last.pt`` never refers to a missing ``best.pt``.

        Parameters
        ----------
        lengths
            The lengths of the files that grow during the run, and the update of the newest snapshot for figures.
        """
        self.write_best()
        save({**self.constant, "lengths": dict(lengths), **copied(self.state.state_dict())}, self._place(self.last))
        if self.best_is_last or self.state.best.epoch == 0:
            if self.best.exists():
                also(self.best, previous(self.best))
            also(self.last, self.best)
        self._written = time.monotonic()

    def write_best(self) -> None:
        """Write the state that `keep_best` copied, unless it has been written already."""
        if self._kept is not None:
            save({**self.constant, **self._kept}, self._place(self.best))
        self._kept = None

    def due(self, minutes: float) -> bool:
        """Return whether ``last.pt`` is at least `minutes` old; False if `minutes` is 0."""
        return minutes > 0 and time.monotonic() - self._written >= 60 * minutes

    def restore_best(self) -> tuple[int, dict[str, float]]:
        """Load the best weights into the model; return the step of the best checkpoint and the metrics of its epoch.

        Raises
        ------
        UserError
            If the best checkpoint belongs to another model.
        """
        if self.best_is_last:
            return self.state.step, self.state.metrics
        content = self._read_best()
        self.state.model.load_state_dict(content["model"])
        return content["step"], content["metrics"]

    def _read_best(self) -> dict[str, Any]:
        """Return the content of the best checkpoint; raise a `UserError` if it belongs to another model."""
        content = load_newest(self.best)
        if not alike(content.get("model"), self.state.model.state_dict()):
            raise UserError(f"{self.best}: does not belong to {self.last}")
        return content

    def _place(self, path: Path) -> Path:
        """Make the folder of a checkpoint's path if it is missing, and return the path."""
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        return path
