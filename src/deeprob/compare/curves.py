"""The learning curves of groups of runs: mean and standard deviation over the seeds, at each epoch."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deeprob.compare.groups import Group
from deeprob.compare.past_runs import epochs

MOST_POINTS = 400
"""The largest number of points of a curve. From longer curves, only every second, third, … point is drawn."""

MOST_RUNS = 200
"""The largest number of runs in a curve. From a larger group, only every second, third, … run is read."""


class Point(NamedTuple):
    """A point of a learning curve: the mean and the standard deviation of a metric over runs at an epoch.

    The standard deviation of n runs has the divisor n − 1. For a single run, the standard deviation is 0.
    """

    epoch: float
    mean: float
    deviation: float


Histories = Sequence[Sequence[Mapping[str, float]]]
"""One list per run. Each list contains one row of ``metrics.csv`` per epoch."""


def histories(group: Group) -> Histories:
    """Return the rows of ``metrics.csv`` for each run in `group.counted`, but for at most `MOST_RUNS` of them."""
    places = [run.directory for run in group.counted if run.directory is not None]
    step = -(-len(places) // MOST_RUNS) or 1
    return [list(epochs(place / "metrics.csv")) for place in places[::step]]


def mean_curve(runs: Histories, metric: str) -> list[Point]:
    """Return the learning curve of a metric, with one point per epoch.

    The mean at an epoch is over the runs that have the metric at this epoch. If there are more than `MOST_POINTS`
    epochs, the curve contains only every second, third, … epoch.
    """
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
    """Return the metrics to draw, at most three.

    The first metric is the ranking metric `sort`, if the last epoch of some run has it. Then come val/accuracy and
    val/loss. If no run has one of these two, it is replaced by the metric on the training split.
    """
    there = {name for group in runs for rows in group for row in rows[-1:] for name in row}
    pairs = [(f"val/{measure}", f"train/{measure}") for measure in ("accuracy", "loss")]
    usual = [next((name for name in pair if name in there), "") for pair in pairs]
    return list(dict.fromkeys(name for name in [sort if sort in there else "", *usual] if name))[:3]
