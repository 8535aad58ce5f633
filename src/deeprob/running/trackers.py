"""Hand the records of a run to its trackers, and leave out a tracker that fails."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprob.config.one_option import chosen
from deeprob.config.own_parts import advice_for
from deeprob.config.schema import option
from deeprob.errors import UserError, one_line
from deeprob.tracking.console import note
from deeprob.training.loop import epoch_of
from deeprob.training.trackers import AboutRun, Position, Tracker, TrackerConfig
from deeprob.training.trackers.base import is_position

KEY = "trainer.trackers"


def name_in(text: str) -> str:
    """Return the name of a tracker, without its settings."""
    return text.partition(" ")[0]


def config_of(text: str) -> TrackerConfig:
    """Return the config of a tracker from its name and its settings, such as ``mlflow folder=mlruns``.

    Raises
    ------
    UserError
        If the tracker or a setting does not exist, or if the tracker needs a package that is not installed.
    """
    return _read(text, option("tracker", name_in(text)))


@functools.lru_cache
def _read(text: str, cls: type | None) -> TrackerConfig:
    """Return the config in a text. `cls` is there for the cache: a notebook may define the class again."""
    config: TrackerConfig = chosen("tracker", text, KEY)
    return config


def check_trackers(texts: Sequence[str], directory: Path | None = None) -> None:
    """Raise a `UserError` if a tracker or a setting does not exist, or if a tracker is there twice.

    If the run in `directory` was trained with an own tracker that is not known here, the message says what to add.
    """
    known: list[TrackerConfig] = []
    for text in texts:
        name = name_in(text)
        unknown = option("tracker", name) is None
        if directory and unknown and (advice := advice_for(directory, f"tracker={name}")):
            raise UserError(f"{KEY}: no tracker is called {name}; {advice}")
        config = config_of(text)
        if config in known:
            raise UserError(f"{KEY}: {text.strip()} is there twice; remove one")
        known.append(config)


class Trackers:
    """The trackers of a run. Each method calls the method of the same name of each tracker (see `Tracker`).

    If a tracker raises an exception, a note says so, and the tracker is left out from then on. If the tracker is
    essential, the exception is raised.

    Parameters
    ----------
    texts
        The name and the settings of each tracker, as in ``trainer.trackers``.
    per_epoch
        The number of updates per epoch.
    noted
        The trackers about whose failure a note was printed already. Runs of a stack share it.
    """

    def __init__(self, texts: Sequence[str], per_epoch: int, noted: set[str] | None = None) -> None:
        self._per_epoch, self._noted = per_epoch, set() if noted is None else noted
        self._built: dict[str, Tracker] = {}
        self._working: dict[str, Tracker] = {}
        self._positions: dict[str, Position] = {}
        for text in texts:
            try:
                self._built[text] = config_of(text).build()
            except Exception as error:
                self._leave_out(text, error)

    @property
    def take_snapshots(self) -> bool:
        """Whether a tracker takes what is seen of a snapshot: pictures, histograms, and shares of units as scalars."""
        names = ("image", "histogram", "scalars")
        return any(
            getattr(type(tracker), name, None) is not getattr(Tracker, name)
            for tracker in self._built.values()
            for name in names
        )

    def begin(self, about: AboutRun) -> None:
        """Begin with a new run."""
        self._start(lambda text, tracker: tracker.begin(about))

    def go_on(self, about: AboutRun, positions: Mapping[str, Position]) -> None:
        """Go on with a resumed run. `positions` is what `positions` returned."""
        self._positions = dict(positions)
        self._start(lambda text, tracker: tracker.go_on(about, positions.get(text, {})))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write one point of each curve."""
        epoch = epoch_of(step, self._per_epoch)
        self._each(lambda text, tracker: tracker.scalars(values, step, epoch))

    def epoch(self, row: Mapping[str, float]) -> None:
        """Write the metrics of a whole epoch."""
        self._each(lambda text, tracker: tracker.epoch(row))

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Write a picture."""
        self._each(lambda text, tracker: tracker.image(tag, png, step))

    def histogram(self, tag: str, values: npt.NDArray[np.floating[Any]], step: int) -> None:
        """Write a histogram of values."""
        self._each(lambda text, tracker: tracker.histogram(tag, values, step))

    def best(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of the best checkpoint."""
        self._each(lambda text, tracker: tracker.best(metrics, step))

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Write how the run ended."""
        self._each(lambda text, tracker: tracker.finished(summary))

    def positions(self) -> dict[str, Position]:
        """Return the position of each tracker, for a checkpoint. A tracker that failed keeps its last position."""
        self._each(lambda text, tracker: self._keep(text, tracker.position()))
        return dict(self._positions)

    def _keep(self, text: str, position: Position) -> None:
        if not is_position(position):
            raise TypeError(f"position() returned {position!r}; expected a dict with words and whole numbers")
        self._positions[text] = position

    def flush(self) -> None:
        """Write what waits."""
        self._each(lambda text, tracker: tracker.flush())

    def close(self) -> None:
        """Write what waits, and end. Essential trackers are last, because their errors are raised."""
        self._working = dict(sorted(self._working.items(), key=lambda entry: config_of(entry[0]).essential))
        try:
            self._each(lambda text, tracker: tracker.close())
        finally:
            self._working.clear()

    def discard(self) -> None:
        """Forget what waits, and end."""
        self._each(lambda text, tracker: tracker.discard())
        self._working.clear()

    def _start(self, call: Callable[[str, Tracker], None]) -> None:
        for text, tracker in self._built.items():
            try:
                call(text, tracker)
            except Exception as error:
                self._leave_out(text, error)
            else:
                self._working[text] = tracker

    def _each(self, call: Callable[[str, Tracker], None]) -> None:
        for text, tracker in list(self._working.items()):
            try:
                call(text, tracker)
            except Exception as error:
                self._leave_out(text, error)

    def _leave_out(self, text: str, error: Exception) -> None:
        """Leave out a tracker that failed. If it is essential, raise its error."""
        if config_of(text).essential:
            raise error
        self._working.pop(text, None)
        if text not in self._noted:
            note(f"{KEY}: {text} failed, and is left out from here on: {one_line(error)}")
        self._noted.add(text)
