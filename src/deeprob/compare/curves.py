"""Learning curves of groups, with the mean and the standard deviation over seeds after each epoch."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deeprob.compare.groups import Group
from deeprob.compare.past_runs import epochs

MOST_POINTS = 400
"""The largest number of points of a curve. From longer curves, only every second, third, … point is drawn."""


class Point(NamedTuple):
    """The mean of a metric over runs after an epoch, and its standard deviation of the sample (0 for a single run)."""

    epoch: float
    mean: float
    deviation: float


Histories = Sequence[Sequence[Mapping[str, float]]]
"""The epochs of each of several runs. Each epoch is a row of ``metrics.csv``."""


def histories(group: Group) -> Histories:
    """Return the epochs of the counted runs of a group."""
    return [list(epochs(run.directory / "metrics.csv")) for run in group.counted if run.directory is not None]


def mean_curve(runs: Histories, metric: str) -> list[Point]:
    """Return the means of a metric over the epochs. Each mean is over the runs that have the metric at this epoch."""
    values: dict[float, list[float]] = {}
    for rows in runs:
        for row in rows:
            if "epoch" in row and math.isfinite(row.get(metric, math.nan)):
                values.setdefault(row["epoch"], []).append(row[metric])
    points = [
        Point(epoch, statistics.fmean(there), statistics.stdev(there) if len(there) > 1 else 0.0)
        for epoch, there in sorted(values.items())
    ]
    step = -(-len(points) // MOST_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def panels(runs: Sequence[Histories], sort: str) -> list[str]:
    """Return the metrics to draw: accuracy and loss on the validation split, or on the training split if unknown there.

    The ranking metric comes first if the last epoch of some run has it.
    """
    there = {name for group in runs for rows in group for row in rows[-1:] for name in row}
    pairs = [(f"val/{measure}", f"train/{measure}") for measure in ("accuracy", "loss")]
    usual = [next((name for name in pair if name in there), "") for pair in pairs]
    return list(dict.fromkeys(name for name in [sort if sort in there else "", *usual] if name))[:3]
