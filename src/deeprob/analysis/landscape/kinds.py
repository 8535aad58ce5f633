"""The shape of a loss slice in a word: convex-ish, non-convex, with local minima, or wild, each defined on its numbers.

A slice is L at equal distances on a line. Its range is its highest less its lowest value. A minimum counts if L falls
by at least 5 % of the range on the way to it and rises by as much on the way out. How far L is above a chord is the
largest f(b) − (t·f(c) + (1 − t)·f(a)) with a < b < c on the line and b = t·c + (1 − t)·a: 0 for a convex function.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

BARRIER = 0.05
"""What share of the range a minimum lies below what surrounds it."""

ISH, CLEARLY = 0.02, 0.15
"""What share of the range a convex-ish slice is above a chord at most, and a non-convex one at least."""

FEW, MANY, TRAVEL = 2, 4, 4.0
"""Minima of a slice with local minima and of a wild one at least, and in how many ranges that goes up and down."""

KINDS: Mapping[str, str] = {
    "convex-ish": f"nowhere above a chord by more than {ISH:.0%} of its range",
    "non-convex": f"above a chord by {CLEARLY:.0%} of its range or more, but with at most one minimum",
    "local minima": f"{FEW} minima or more, each at least {BARRIER:.0%} of the range deep, but not wild",
    "wild": f"{MANY} such minima or more; goes up and down by {TRAVEL:g} times its range or more in total",
}
"""The kinds and their definitions. What is a little non-convex and has one minimum is none of them."""


class Shape(NamedTuple):
    """What of a slice the kinds are defined on.

    Attributes
    ----------
    above
        How far it is above a chord, as a share of its range.
    minima
        How many minima it has, not counting its ends.
    travel
        How far it goes up and down in total, in ranges: 1 if it only falls, 2 for a bowl with ends of one height.
    """

    above: float
    minima: int
    travel: float

    @property
    def kind(self) -> str:
        """A key of `KINDS`, empty for a slice that is none of them."""
        if self.minima >= MANY and self.travel >= TRAVEL:
            return "wild"
        if self.minima >= FEW:
            return "local minima"
        if self.above >= CLEARLY:
            return "non-convex"
        return "convex-ish" if self.above <= ISH else ""


def shape_of(values: Numbers) -> Shape | None:
    """Return the shape of a slice (P,); None if it is flat or holds a number that is not finite."""
    if not np.isfinite(values).all() or (extent := float(np.ptp(values))) <= 1e-9 * np.abs(values).max():
        return None
    scaled = (values - values.min()) / extent
    return Shape(above_a_chord(scaled), minima(scaled), float(np.abs(np.diff(scaled)).sum()))


def above_a_chord(values: Numbers) -> float:
    """Return how far values (P,) at equal distances are above a chord at most."""
    best, places = 0.0, np.arange(len(values))
    for reach in range(2, len(values)):  # a chord from each place to the one so far away
        t = places[1:reach] / reach
        chords = (1 - t) * values[:-reach, None] + t * values[reach:, None]
        between = np.lib.stride_tricks.sliding_window_view(values, reach - 1)[1 : len(chords) + 1]
        best = max(best, float((between - chords).max()))
    return best


def minima(values: Numbers) -> int:
    """Return how many minima values of range 1 have: falls and rises of `BARRIER` or more, one after the other."""
    count, falling = 0, False
    high = low = values[0]
    for value in values[1:]:
        if falling:
            low = min(low, value)
            if value - low >= BARRIER:
                count, falling, high = count + 1, False, value
        else:
            high = max(high, value)
            if high - value >= BARRIER:
                falling, low = True, value
    return count
