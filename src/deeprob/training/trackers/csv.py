"""The table ``metrics.csv`` in the directory of a run, with one row per epoch."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deeprob.config import register
from deeprob.tracking.appended_file import ROWS_EVERY, AppendedFile
from deeprob.tracking.metric_names import is_recall
from deeprob.tracking.run_dir import COLUMNS, SOME
from deeprob.training.trackers.base import AboutRun, Position, Tracker, TrackerConfig, length_in


@register("tracker", "csv")
@dataclass(kw_only=True, slots=True)
class MetricsCSVConfig(TrackerConfig):
    """The table ``metrics.csv``, with one row per epoch. Learning curves and ``deeprob-compare`` read it."""

    essential: ClassVar[bool] = True

    def build(self) -> Tracker:
        """Return the tracker of one run."""
        return MetricsCSV()


class MetricsCSV(Tracker):
    """Writes ``metrics.csv``. The first row decides the columns; metrics that are missing later stay empty."""

    def begin(self, about: AboutRun) -> None:
        """Begin with an empty table."""
        self.go_on(about, {})

    def go_on(self, about: AboutRun, position: Position) -> None:
        """Remove the rows that were written after the checkpoint."""
        self._file = AppendedFile(about.directory / "metrics.csv", ROWS_EVERY)
        self._file.cut(length_in(position))
        self._columns = columns_in(self._file.path)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Add a row."""
        text = io.StringIO(newline="")
        new = not self._columns
        self._columns = self._columns or first_columns(row)
        writer = csv.DictWriter(text, self._columns, extrasaction="ignore")
        if new:
            writer.writeheader()
        writer.writerow(row)
        self._file.append(text.getvalue().encode())

    def position(self) -> Position:
        """Return the length of the table in bytes."""
        return {"length": self._file.synced_length()}

    def flush(self) -> None:
        """Write the rows that wait."""
        self._file.flush()

    def close(self) -> None:
        """Write the rows that wait."""
        self._file.write()

    def discard(self) -> None:
        """Forget the rows that wait."""
        self._file.discard()


def columns_in(path: Path) -> Sequence[str]:
    """Return the columns that a table has already; earlier versions wrote fewer. Empty if there is no table."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def first_columns(row: Mapping[str, float]) -> list[str]:
    """Return the columns of a new table, given its first row."""
    usual = [name for name in COLUMNS if name in row or name not in SOME]
    return usual + [name for name in row if is_recall(name)]
