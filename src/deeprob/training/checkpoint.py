"""The checkpoints of a run: when its state is written, restored and rewound."""

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
    """The checkpoints of a run: ``last.pt`` to go on from, ``best.pt`` to keep.

    Parameters
    ----------
    directory
        Where they lie; made by the first that is written.
    state
        What they hold, at the moment of writing.
    constant
        What they hold besides, the same throughout the run.
    best_is_last
        Without a validation split nothing chooses, and the best state is the last.
    """

    def __init__(self, directory: Path, state: TrainState, constant: Mapping[str, Any], best_is_last: bool) -> None:
        self.last, self.best = directory / "last.pt", directory / "best.pt"
        self.state = state
        self.constant = constant
        self.best_is_last = best_is_last
        self._kept: dict[str, Any] | None = None
        self._written = time.monotonic()

    def restore(self, steps: int, at: int | None = None) -> dict[str, int]:
        """Let the state become that of the newest checkpoint, or that of the update `at` if there is one.

        Parameters
        ----------
        steps
            Updates of the whole run.
        at
            The update wanted.

        Returns
        -------
        dict
            What `write` was given at that moment; empty when there is no checkpoint yet.

        Raises
        ------
        UserError
            When no generation of the last or the best can be read, or it belongs to another config or dataset.
        """
        if not exists(self.last):
            return {}
        content = load_newest(self.last)
        if at not in (None, content.get("step")):
            content = next((other for other in generations(self.last) if other.get("step") == at), content)
        try:
            for name, value in self.constant.items():
                if not same(content[name], value):
                    raise UserError(f"{self.last}: the dataset is no longer that of the run (its {name} changed)")
            self.state.load_state_dict(content)
            if not 0 <= self.state.step <= steps:
                raise ValueError("a step outside of the run")
            lengths: dict[str, int] = {"looked": 0} | content["lengths"]  # which older checkpoints lack
            if not alike(lengths, {"metrics": 0, "events": 0, "looked": 0}):
                raise ValueError("lengths of no files")
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            config = self.last.parents[1] / "config.yaml"
            raise UserError(f"{self.last}: does not belong to {config}") from error
        if self.state.best.epoch and not self.best_is_last:
            self._read_best()
        return lengths

    def keep_best(self) -> None:
        """Remember the present state as the best; the next `write` puts it into its file."""
        self._kept = copied(self.state.state_dict())

    def write(self, lengths: Mapping[str, int]) -> None:
        """Write what there is: first the best, so that the last never speaks of a best that is not there.

        Parameters
        ----------
        lengths
            How much has been written to the files that grow with the run, and the update of the newest picture.
        """
        self.write_best()
        save({**self.constant, "lengths": dict(lengths), **copied(self.state.state_dict())}, self._place(self.last))
        if self.best_is_last or self.state.best.epoch == 0:
            if self.best.exists():
                also(self.best, previous(self.best))
            also(self.last, self.best)
        self._written = time.monotonic()

    def write_best(self) -> None:
        """Write the state that `keep_best` remembered, if there is one since the last time."""
        if self._kept is not None:
            save({**self.constant, **self._kept}, self._place(self.best))
        self._kept = None

    def due(self, minutes: float) -> bool:
        """Tell whether the last was written so many minutes ago or more; never for 0."""
        return minutes > 0 and time.monotonic() - self._written >= 60 * minutes

    def restore_best(self) -> tuple[int, dict[str, float]]:
        """Give the model the best weights; return the step at which it had them, and the metrics of that epoch.

        Raises
        ------
        UserError
            When they are another model's.
        """
        if self.best_is_last:
            return self.state.step, self.state.metrics
        content = self._read_best()
        self.state.model.load_state_dict(content["model"])
        return content["step"], content["metrics"]

    def _read_best(self) -> dict[str, Any]:
        """Return the best checkpoint, whose weights are those of this model."""
        content = load_newest(self.best)
        if not alike(content.get("model"), self.state.model.state_dict()):
            raise UserError(f"{self.best}: does not belong to {self.last}")
        return content

    def _place(self, path: Path) -> Path:
        """Return where a checkpoint is to be written, in a folder that is there."""
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        return path
