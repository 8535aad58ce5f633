"""What a tracker is: an object that is handed every record of a run, and writes it where a person looks at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Position = Mapping[str, int | str]
"""Where a tracker is, for a checkpoint: words, and whole numbers from 0 on. Example: ``{"length": 2048}``."""


def is_position(value: Any) -> bool:
    """Return whether a value is a `Position`."""
    return isinstance(value, dict) and all(
        type(key) is str and (type(part) is str or (type(part) is int and 0 <= part < 2**63))
        for key, part in value.items()
    )


def length_in(position: Position) -> int:
    """Return the length of a file in a position; 0 if there is none."""
    length = position.get("length", 0)
    return length if isinstance(length, int) else 0


@dataclass(frozen=True, kw_only=True)
class AboutRun:
    """What is known of a run before its first update.

    Attributes
    ----------
    name
        The names of dataset, model and optimizer, such as ``spirals-mlp-adamw``.
    directory
        The directory of the run. A tracker may write files there.
    config
        The text of ``config.yaml``, which has all settings.
    provenance
        The content of ``provenance.json``: command, commit, packages, device.
    hyperparameters
        The value of each dotted key. A key has the same type in every run.
    classes
        The names of the classes; empty if the targets are numbers.
    validation
        Whether there is a validation split.
    """

    name: str
    directory: Path
    config: str
    provenance: Mapping[str, Any]
    hyperparameters: Mapping[str, bool | float | str]
    classes: Sequence[str]
    validation: bool


class Tracker:
    """An object that is handed every record of a run. A subclass overrides the methods that it needs.

    One tracker serves one run. Its methods are called in this order, always in the thread that trains:

    1. `begin` once; if the run is resumed, `go_on` in its place.
    2. `scalars`, `epoch`, `image` and `histogram` as there is something to write, and `flush` after each record.
       `position` before each checkpoint.
    3. `best` when the run has ended well, and `finished` when its summary is known. If the run fails, it has neither.
    4. `close`, also if the run fails. If another process has taken over the run: `discard`, and nothing more.

    A run does not end because its tracker fails. If a method raises an exception, a note says so, and the tracker is
    not called again in this run. Only trackers whose config is `essential` end the run.

    A run that was killed begins again at its last checkpoint, so the records after this checkpoint come twice. A
    tracker that returns its `position` can cut them off in `go_on`. If torchrun trains a run on several processes, only
    the first process has trackers.
    """

    def begin(self, about: AboutRun) -> None:
        """Begin with a new run."""

    def go_on(self, about: AboutRun, position: Position) -> None:
        """Go on with a resumed run. `position` is what `position` returned; empty if it never returned."""
        self.begin(about)

    def scalars(self, values: Mapping[str, float], step: int, epoch: int) -> None:
        """Take one point of each curve.

        Parameters
        ----------
        values
            The tag and the value of each curve, such as ``train/loss``. A value may be NaN or infinite.
        step
            The number of updates so far.
        epoch
            The number of epochs that have begun. An epoch begins with its first update.
        """

    def epoch(self, row: Mapping[str, float]) -> None:
        """Take the metrics of a whole epoch, with the keys ``epoch`` and ``step``.

        Training metrics are means over the epoch. In contrast, those of `scalars` are means since the last point.
        """

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Take a picture. `png` is the content of a PNG file."""

    def histogram(self, tag: str, values: npt.NDArray[np.floating[Any]], step: int) -> None:
        """Take the values, of any shape, of a layer's weights or outputs."""

    def best(self, metrics: Mapping[str, float], step: int) -> None:
        """Take the metrics of the best checkpoint, which is from `step`. All splits are measured at the end."""

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Take the content of ``summary.json``. Its ``status`` says how the run ended."""

    def position(self) -> Position:
        """Write everything to the disk, and return what `go_on` needs to go on from here."""
        return {}

    def flush(self) -> None:
        """Write what waits, so that it can be seen. A tracker may wait for some seconds longer."""

    def close(self) -> None:
        """Write what waits, and end."""

    def discard(self) -> None:
        """Forget what waits. Another process now writes the records of this run."""


@dataclass(kw_only=True, slots=True)
class TrackerConfig:
    """The base class of all tracker configs. Subclasses add options.

    Attributes
    ----------
    essential
        Whether an error of the tracker ends the run, because its files belong to the run's directory.
    """

    essential: ClassVar[bool] = False

    def build(self) -> Tracker:
        """Return the tracker of one run."""
        raise AssertionError("a tracker's config defines build()")
