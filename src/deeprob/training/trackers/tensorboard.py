"""TensorBoard's event file in the directory of a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deeprob.config import register
from deeprob.training.trackers.base import AboutRun, Position, Tracker, TrackerConfig, length_in


@register("tracker", "tensorboard")
@dataclass(kw_only=True, slots=True)
class TensorBoardConfig(TrackerConfig):
    """An event file for TensorBoard: curves, pictures, histograms, texts and hyperparameters."""

    essential: ClassVar[bool] = True

    def build(self) -> Tracker:
        """Return the tracker of one run."""
        return TensorBoard()


class TensorBoard(Tracker):
    """Writes the event file of a run (see `deeprob.tracking.events.EventFile`)."""

    def begin(self, about: AboutRun) -> None:
        """Begin a file with the texts, the charts and the hyperparameters of the run."""
        self.go_on(about, {})
        self._events.text("config", f"```yaml\n{about.config}```")
        self._events.text("provenance", f"```json\n{json.dumps(about.provenance, indent=2)}\n```")
        self._events.layout(classes=bool(about.classes), validation=about.validation)
        self._events.hyperparameters(about.hyperparameters)

    def go_on(self, about: AboutRun, position: Position) -> None:
        """Remove the events that were written after the checkpoint."""
        from deeprob.tracking.events import EventFile

        self._events = EventFile(about.directory, length_in(position))

    def scalars(self, values: Mapping[str, float], step: int, epoch: int) -> None:
        """Add a point of each curve."""
        self._events.scalars(values, step)

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Add a picture."""
        self._events.image(tag, png, step)

    def histogram(self, tag: str, values: npt.NDArray[np.floating[Any]], step: int) -> None:
        """Add a histogram."""
        self._events.histogram(tag, values, step)

    def best(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics for the first columns of the HParams tab."""
        self._events.best(metrics, step)

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Add whether the run ended well."""
        self._events.finished(completed=summary["status"] in ("completed", "stopped"))

    def position(self) -> Position:
        """Return the length of the file in bytes."""
        return {"length": self._events.synced_length()}

    def flush(self) -> None:
        """Write the events that wait."""
        self._events.flush()

    def close(self) -> None:
        """Write the events that wait."""
        self._events.write()

    def discard(self) -> None:
        """Forget the events that wait."""
        self._events.discard()
