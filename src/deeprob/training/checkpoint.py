"""Write the training state of a run to checkpoints, and restore it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
from deeprob.training.trackers.base import is_position


class Checkpoints:
    """The two checkpoints of a run: ``last.pt`` with the last state, and ``best.pt`` with the best state.

    Parameters
    ----------
    directory
        The folder of the checkpoints. It is created when the first checkpoint is written.
    state
        The training state that is written.
    constant
        Further values to write, which never change during the run.
    best_is_last
        Whether the last state counts as the best state. True if the run has no validation split.
    """

    def __init__(self, directory: Path, state: TrainState, constant: Mapping[str, Any], best_is_last: bool) -> None:
        self.last, self.best = directory / "last.pt", directory / "best.pt"
        self.state = state
        self.constant = constant
        self.best_is_last = best_is_last
        self._kept: dict[str, Any] | None = None
        self._written = time.monotonic()

    def restore(self, steps: int, at: int | None = None) -> dict[str, Any]:
        """Load a checkpoint into the state.

        Parameters
        ----------
        steps
            The number of updates in the whole run.
        at
            The checkpoint to load, by the number of updates before it. If there is no such checkpoint, the newest one
            is loaded. None: the newest checkpoint.

        Returns
        -------
        dict
            What was passed to `write` as `recorder` for this checkpoint. Empty if there is no checkpoint yet.

        Raises
        ------
        UserError
            If a checkpoint belongs to another config or dataset, or if a file and its previous version are both
            unreadable.
        """
        if not exists(self.last):
            return {}
        content = load_newest(self.last)
        if at not in (None, content.get("step")):
            content = next((other for other in generations(self.last) if other.get("step") == at), content)
        try:
            for name, value in self.constant.items():
                if name == "targets" and name not in content:
                    raise UserError(
                        f"{self.last}: the run began before targets were standardised (dataset.standardize_targets); "
                        "it can be evaluated, but not resumed: train it again"
                    )
                if not (name == "encoding" and name not in content) and not same(content[name], value):
                    raise UserError(f"{self.last}: the dataset has changed since the run began (its {name})")
            self.state.load_state_dict(content)
            if not 0 <= self.state.step <= steps:
                raise ValueError("a step outside of the run")
            recorder = recorder_in(content)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            config = self.last.parents[1] / "config.yaml"
            raise UserError(f"{self.last}: does not belong to {config}") from error
        if self.state.best.epoch and not self.best_is_last:
            self._read_best()
        return recorder

    def keep_best(self) -> None:
        """Copy the current state as the best state. The next call of `write` saves the copy to ``best.pt``."""
        self._kept = copied(self.state.state_dict())

    def write(self, recorder: Mapping[str, Any]) -> None:
        """Write the best state to ``best.pt``, and then the current state to ``last.pt``.

        Because of this order, ``best.pt`` is never missing when ``last.pt`` needs it.

        Parameters
        ----------
        recorder
            What the recorder needs to go on. ``trackers`` has the position of each tracker. ``looked`` is the number of
            updates before the newest data for figures were stored. ``course`` (E, 2) has the training loss and the
            learning rate of each epoch.
        """
        self.write_best()
        save({**self.constant, "recorder": dict(recorder), **copied(self.state.state_dict())}, self._place(self.last))
        if self.best_is_last or self.state.best.epoch == 0:
            if self.best.exists():
                also(self.best, previous(self.best))
            also(self.last, self.best)
        self._written = time.monotonic()

    def write_best(self) -> None:
        """If `keep_best` has copied a state that is not saved yet, write it to ``best.pt``."""
        if self._kept is not None:
            save({**self.constant, **self._kept}, self._place(self.best))
        self._kept = None

    def due(self, minutes: float) -> bool:
        """Return whether the last checkpoint is at least `minutes` old. If `minutes` is 0, return False."""
        return minutes > 0 and time.monotonic() - self._written >= 60 * minutes

    def restore_best(self) -> tuple[int, dict[str, float]]:
        """Load the best weights into the model.

        Return the number of updates before the best checkpoint, and the metrics of its epoch.

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
        """Return the content of ``best.pt``; raise a `UserError` if it belongs to another model."""
        content = load_newest(self.best)
        if not alike(content.get("model"), self.state.model.state_dict()):
            raise UserError(f"{self.best}: does not belong to {self.last}")
        return content

    def _place(self, path: Path) -> Path:
        """Create the folder of `path` if it does not exist, and return `path`."""
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        return path


def recorder_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint has for the recorder (see `Checkpoints.write`).

    Checkpoints of earlier versions have the lengths of two files instead. They lack ``course``, which is then None.

    Raises
    ------
    LookupError, ValueError
        If it is missing or damaged.
    """
    if "lengths" in content:
        lengths = {"looked": 0} | content["lengths"]
        files = {"csv": {"length": lengths["metrics"]}, "tensorboard": {"length": lengths["events"]}}
        recorder = {"looked": lengths["looked"], "trackers": files, "course": None}
    else:
        recorder = {name: content["recorder"][name] for name in ("looked", "trackers", "course")}
    course, trackers = recorder["course"], recorder["trackers"]
    epochs = len(course) if isinstance(course, Tensor) and course.dim() else 0
    if not (
        alike(recorder["looked"], 0)
        and isinstance(trackers, dict)
        and all(map(is_position, trackers.values()))
        and (course is None or alike(course, torch.empty(epochs, 2, dtype=torch.float64)))
    ):
        raise ValueError("not of a recorder")
    return recorder
