"""Checkpoints: a run's state written to a file that appears whole or not at all."""

import copy
import io
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from deeprob.errors import UserError
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
    """

    def __init__(self, directory: Path, state: TrainState, constant: Mapping[str, Any], best_is_last: bool) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.last, self.best = directory / "last.pt", directory / "best.pt"
        self.state = state
        self.constant = constant
        self.best_is_last = best_is_last
        self._kept: dict[str, Any] | None = None
        self._written = time.monotonic()

    def keep_best(self) -> None:
        """Remember the present state as the best; the next `write` puts it into its file."""
        self._kept = copy.deepcopy(self.state.state_dict())

    def write(self) -> None:
        """Write what there is: first the best, so that the last never speaks of a best that is not there."""
        self.write_best()
        save({**self.constant, **self.state.state_dict()}, self.last)
        if self.best_is_last or not self.best.exists():
            alias(self.last, self.best)
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

    def write_if_due(self, seconds: float) -> None:
        """Write if the last time was at least so many seconds ago."""
        if time.monotonic() - self._written >= seconds:
            self.write()

    def restore_best(self) -> None:
        """Give the model the best weights."""
        if not self.best_is_last:
            self.state.model.load_state_dict(load(self.best)["model"])


def save(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values; the file that was there becomes the generation before, ``NAME.prev.pt``."""
    buffer = io.BytesIO()  # torch.save to a file hides why writing failed
    torch.save(content, buffer)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        rotate(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def alias(path: Path, other: Path) -> None:
    """Give a checkpoint a second name; checkpoints are replaced whole, never changed, so both stay what they are."""
    temporary = other.with_name(other.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, temporary)
    rotate(temporary, other)


def rotate(new: Path, path: Path) -> None:
    """Put a complete new file in a checkpoint's place, and what was there in that of the generation before."""
    if path.exists():
        path.replace(previous(path))
    new.replace(path)


def previous(path: Path) -> Path:
    """Return the name of the generation before: ``last.prev.pt`` for ``last.pt``."""
    return path.with_suffix(f".prev{path.suffix}")


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, on the CPU; runs no code from the file.

    Raises
    ------
    UserError
        When the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error
    return content
