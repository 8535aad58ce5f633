"""The file ``metrics.jsonl`` in the directory of a run, with one JSON object per line."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from deeprob.config import register
from deeprob.tracking.appended_file import ROWS_EVERY, AppendedFile
from deeprob.training.trackers.base import AboutRun, Position, Tracker, TrackerConfig, length_in


@register("tracker", "jsonl")
@dataclass(kw_only=True, slots=True)
class JSONLinesConfig(TrackerConfig):
    """The file ``metrics.jsonl``, with every point of every curve: one JSON object per record."""

    essential: ClassVar[bool] = True

    def build(self) -> Tracker:
        """Return the tracker of one run."""
        return JSONLines()


class JSONLines(Tracker):
    """Writes ``metrics.jsonl``. Points of the same step that follow each other share a line."""

    def begin(self, about: AboutRun) -> None:
        """Begin with an empty file."""
        self.go_on(about, {})

    def go_on(self, about: AboutRun, position: Position) -> None:
        """Remove the lines that were written after the checkpoint."""
        self._file = AppendedFile(about.directory / "metrics.jsonl", ROWS_EVERY)
        self._file.cut(length_in(position))
        self._line: dict[str, Any] = {}

    def scalars(self, values: Mapping[str, float], step: int, epoch: int) -> None:
        """Add the values to the line of this step, or begin a new line."""
        if self._line.get("step") != step:
            self._end_line()
            self._line = {"step": step, "epoch": epoch}
        self._line |= {tag: value if math.isfinite(value) else None for tag, value in values.items()}

    def position(self) -> Position:
        """Return the length of the file in bytes."""
        self._end_line()
        return {"length": self._file.synced_length()}

    def flush(self) -> None:
        """Write the lines that wait. The record is complete, so its line is, too."""
        self._end_line()
        self._file.flush()

    def close(self) -> None:
        """Write the lines that wait."""
        self._end_line()
        self._file.write()

    def discard(self) -> None:
        """Forget the lines that wait."""
        self._line = {}
        self._file.discard()

    def _end_line(self) -> None:
        if self._line:
            self._file.append(f"{json.dumps(self._line, allow_nan=False)}\n".encode())
        self._line = {}
