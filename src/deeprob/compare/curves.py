"""Learning curves of groups: the mean over seeds after each epoch, with a band."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deeprob.compare.groups import Group
from deeprob.compare.past_runs import epochs

MOST_POINTS = 400
"""The most points of a curve, since no screen shows more. Longer curves are thinned out."""


class Point(NamedTuple):
    """A metric after an epoch: the mean over runs, and the standard deviation of the sample (0 for a single run)."""

    epoch: float
    mean: float
    deviation: float


Histories = Sequence[Sequence[Mapping[str, float]]]
"""For each of several runs, its epochs. Each epoch is a row of ``metrics.csv``."""


def histories(group: Group) -> Histories:
    """Return the epochs of the counted runs of a group."""
    return [list(epochs(run.directory / "metrics.csv")) for run in group.counted if run.directory is not None]


def mean_curve(runs: Histories, metric: str) -> list[Point]:
    """Return a metric over the epochs. The mean of each epoch is over the runs that have the metric there."""
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
    """Return the metrics to draw: accuracy and loss of the validation split, or else of the training split.

    The ranking metric comes first, if runs recorded it in their epochs.
    """
    there = {name for group in runs for rows in group for row in rows[-1:] for name in row}
    pairs = [(f"val/{measure}", f"train/{measure}") for measure in ("accuracy", "loss")]
    usual = [next((name for name in pair if name in there), "") for pair in pairs]
    return list(dict.fromkeys(name for name in [sort if sort in there else "", *usual] if name))[:3]
