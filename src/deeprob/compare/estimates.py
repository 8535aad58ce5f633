"""Confidence intervals of means, and the share of the variance that lies between groups."""

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over runs.

    Attributes
    ----------
    mean
        The mean of the sample.
    margin
        Half the width of the confidence interval. None for a single run.
    number
        The number of runs, or of splits.
    """

    mean: float
    margin: float | None
    number: int

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the confidence interval. For a single run, both ends are the value of the run."""
        margin = self.margin or 0.0
        return self.mean - margin, self.mean + margin


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean and the confidence interval of normally distributed values; None if there are no values.

    The interval is mean ± t·s/√n. s is the standard deviation of the n values, and t is Student's t for n − 1 degrees
    of freedom.
    """
    if not values:
        return None
    if len(values) == 1:
        return Estimate(values[0], None, 1)
    margin = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(statistics.fmean(values), margin, len(values))


def two_sided(t: float, degrees: int) -> float:
    """Return the probability that Student's t-distribution gives a number at least as far from 0 as `t`."""
    return max(1 - _within(math.atan(abs(t) / math.sqrt(degrees)), degrees), 0.0)


@functools.cache
def student_t(degrees: int, level: float = LEVEL) -> float:
    """Return the number t for which the interval [−t, t] of Student's t-distribution has the probability `level`.

    ν is `degrees`, the degrees of freedom, and θ is the angle atan(t/√ν). A formula gives the probability for θ
    (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4). Bisection finds the right θ.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < level else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _within(angle: float, degrees: int) -> float:
    """Return the probability of the interval [−t, t] in Student's t-distribution.

    t is √ν·tan(`angle`), and ν is `degrees`, the degrees of freedom.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = total = 1.0
    for power in range(2 + odd, degrees - 1, 2):
        term *= cosine**2 * (power - 1) / power
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * cosine * total if degrees > 1 else 0.0))


def eta_squared(groups: Iterable[Sequence[float]]) -> float:
    """Return η² in [0, 1], the share of the variance that lies between groups; 0 if there is no variance.

    η² is the sum of squares between groups, divided by the total sum of squares, as in a one-way analysis of variance.
    """
    parts = [list(group) for group in groups if group]
    values = [value for part in parts for value in part]
    if not values:
        return 0.0
    mean = statistics.fmean(values)
    total = math.fsum((value - mean) ** 2 for value in values)
    between = math.fsum(len(part) * (statistics.fmean(part) - mean) ** 2 for part in parts)
    return min(between / total, 1.0) if total > 0 else 0.0
