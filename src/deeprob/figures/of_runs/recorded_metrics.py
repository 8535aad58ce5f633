"""Read the metrics of each epoch from ``metrics.csv``, and average the metrics of several runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deeprob.errors import UserError
from deeprob.tracking.files import read_text

Floats = npt.NDArray[np.float64]

Table = Mapping[str, Floats]
"""The columns (E,) of ``metrics.csv``, by name. If an epoch has no value, it is NaN."""

EXPECTED = "expected the metrics.csv of a run: names such as epoch and step, then one row of numbers per epoch"

WRITTEN = "a run writes metrics.csv from its first epoch on, if trainer.trackers has csv"


def read_metrics(path: Path) -> Table:
    """Return the table in a run's ``metrics.csv``.

    Raises
    ------
    UserError
        If the file is missing or damaged, or if it contains no epoch.
    """
    try:
        names, *rows = list(csv.reader(io.StringIO(read_text(path, newline=""), newline=""))) or [[]]
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {WRITTEN}") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {EXPECTED}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: damaged; {EXPECTED}") from error
    if not {"epoch", "step"} <= set(names):
        raise UserError(f"{path}: no names of columns in line 1; {EXPECTED}")
    if not rows:
        raise UserError(f"{path}: no epoch in it yet; {EXPECTED}")
    return dict(
        zip(names, np.array([row_numbers(path, n, names, row) for n, row in enumerate(rows, 2)]).T, strict=True)
    )


def passes(table: Table) -> Floats:
    """Return the number of evaluations of L(W) and its gradient up to the end of each epoch.

    The unit is a pass: one evaluation on the whole training split. An evaluation on a mini-batch counts as (size of the
    batch) / (size of the training split).
    """
    return table.get("optim/evaluations", np.full(len(table["epoch"]), np.nan)) * table["epoch"] / table["step"]


def row_numbers(path: Path, line: int, names: Sequence[str], row: Sequence[str]) -> list[float]:
    """Return the numbers of a row. An empty cell gives NaN. The cells of epoch and step must not be empty."""
    if len(row) != len(names):
        raise UserError(f"{path}: line {line} has {len(row)} cells, not {len(names)}; {EXPECTED}")
    values = []
    for name, cell in zip(names, row, strict=True):
        try:
            values.append(float(cell) if cell or name in ("epoch", "step") else np.nan)
        except ValueError as error:
            raise UserError(f"{path}: {name} in line {line} is {cell or 'empty'}; {EXPECTED}") from error
    return values


def quantity(name: str) -> str:
    """Return the quantity that the metric `name` measures. Metrics of the same quantity share axes."""
    last = name.partition("/")[2]
    return "loss" if last in ("data_loss", "regularization") else last


class Curve(NamedTuple):
    """The mean and standard deviation of a metric over several runs, at each epoch.

    Attributes
    ----------
    x
        Positions (E,) on the x axis, where E is the number of epochs of the longest run. A position is the mean over
        all runs that have this epoch.
    mean
        Means (E,) over the runs with a finite value. If no run has a finite value, the mean is NaN.
    deviation
        Standard deviations (E,) of the sample. If fewer than two runs have a finite value, the deviation is NaN.
    """

    x: Floats
    mean: Floats
    deviation: Floats


def metric_curve(tables: Sequence[Table], name: str, x: str = "epoch") -> Curve:
    """Return the curve of a metric over several runs. Point k is the mean over all runs that have epoch k.

    Parameters
    ----------
    tables
        One table per run. A table without the metric is left out.
    name, x
        The columns of the metric and of the x axis.
    """
    places, _ = over_runs(tables, x)
    return Curve(places, *over_runs(tables, name))


def over_runs(tables: Sequence[Table], name: str) -> tuple[Floats, Floats]:
    """Return the mean (E,) and standard deviation (E,) of a column at each epoch, without infinite values and NaN."""
    values = np.full((len(tables), max(len(table["epoch"]) for table in tables)), np.nan)
    for row, table in zip(values, tables, strict=True):
        if name in table:
            row[: len(table[name])] = table[name]
    there = np.isfinite(values)
    count = there.sum(0)
    mean = np.where(there, values, 0).sum(0) / np.where(count > 0, count, np.nan)
    squares = (np.where(there, values - mean, 0) ** 2).sum(0)
    return mean, np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
