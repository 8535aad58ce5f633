"""Learning curves of groups: the mean over seeds epoch by epoch, with a band."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deeprob.compare.groups import Group
from deeprob.compare.past_runs import epochs

MOST_POINTS = 400
"""More epochs than this are thinned out: no screen shows more."""


class Point(NamedTuple):
    """A metric after an epoch: its mean over runs, and their standard deviation (of the sample; 0 of a single run)."""

    epoch: float
    mean: float
    deviation: float


Histories = Sequence[Sequence[Mapping[str, float]]]
"""A run's epochs, each a row of ``metrics.csv``, of several runs."""


def histories(group: Group) -> Histories:
    """Return the epochs of the runs of a group that count."""
    return [list(epochs(run.directory / "metrics.csv")) for run in group.counted if run.directory is not None]


def mean_curve(runs: Histories, metric: str) -> list[Point]:
    """Return a metric over the epochs, as far as each run has it."""
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
    """Return the metrics worth drawing: accuracy and loss of the validation split, or else of the training split.

    What the ranking is by comes first, if runs have it for each epoch.
    """
    there = {name for group in runs for rows in group for row in rows[-1:] for name in row}
    pairs = [(f"val/{measure}", f"train/{measure}") for measure in ("accuracy", "loss")]
    usual = [next((name for name in pair if name in there), "") for pair in pairs]
    return list(dict.fromkeys(name for name in [sort if sort in there else "", *usual] if name))[:3]
