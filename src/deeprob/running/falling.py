"""Find out whether the training loss was still falling fast when a run ended."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

STILL_FALLING = "still_falling"
"""The key in ``summary.json`` that such a run has."""
ADVICE = "the training loss was still falling fast at the end; more epochs give better results"
FEWEST = 10
"""In fewer epochs, the course of the loss cannot be seen."""
FAST = 0.1
"""A loss is falling fast if each of the last two fifths of the run brought more than this share of the whole fall."""
LEAST = 0.01
"""A loss that fell by less than this share of itself in the whole run is noise."""


def point(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Return the training loss and the learning rate of an epoch, given its metrics."""
    return metrics.get("train/loss", math.nan), metrics.get("optim/lr", 0.0)


def still_falling(course: Sequence[tuple[float, float]]) -> bool:
    """Return whether the training loss was still falling fast at the end of a run.

    A cosine lets every run end flat. So a fifth of the run does not mean a fifth of its epochs, but of the sum of their
    learning rates, which is how far the weights can have moved.

    Parameters
    ----------
    course
        The `point` of each epoch.
    """
    way = sum(rate for _, rate in course)
    if len(course) < FEWEST or way <= 0:
        return False
    fifths: list[list[float]] = [[], [], [], [], []]
    gone = 0.0
    for loss, rate in course:
        fifths[min(int(5 * (gone + rate / 2) / way), 4)].append(loss)
        gone += rate
    if not all(fifths[2:]):
        return False
    before, later, end = map(fmean, fifths[2:])
    first, _ = course[0]
    fall = first - end
    return fall > LEAST * abs(first) and min(before - later, later - end) > FAST * fall
