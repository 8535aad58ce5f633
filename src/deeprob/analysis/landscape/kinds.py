"""The kinds of loss slices: convex-ish, non-convex, local minima, and wild. Each is defined by numbers.

A slice holds the values of L at equal distances on a line. Its range is its highest value less its lowest value. A
minimum counts if L falls by at least 5 % of the range before it and rises by at least 5 % after it. The height above a
chord is the largest f(b) − (t·f(c) + (1 − t)·f(a)) with a < b < c on the line and b = t·c + (1 − t)·a. For a convex
function, this height is 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

BARRIER = 0.05
"""The smallest depth of a minimum that counts, below both its sides, as a share of the range."""

ISH, CLEARLY = 0.02, 0.15
"""The largest height above a chord of a convex-ish slice, and the smallest of a non-convex slice, in ranges."""

FEW, MANY, TRAVEL = 2, 4, 4.0
"""The smallest number of minima of a slice of kind "local minima", the smallest number of minima of a wild slice, and
the smallest travel of a wild slice, in ranges."""

KINDS: Mapping[str, str] = {
    "convex-ish": f"nowhere above a chord by more than {ISH:.0%} of its range",
    "non-convex": f"above a chord by {CLEARLY:.0%} of its range or more, but with at most one minimum",
    "local minima": f"{FEW} minima or more, each at least {BARRIER:.0%} of the range deep, but not wild",
    "wild": f"{MANY} such minima or more; goes up and down by {TRAVEL:g} times its range or more in total",
}
"""The kinds and their definitions. A slice that is slightly non-convex and has at most one minimum is of no kind."""


class Shape(NamedTuple):
    """The numbers of a slice that define its kind.

    Attributes
    ----------
    above
        The slice's largest height above a chord, as a share of its range.
    minima
        The number of minima between the ends.
    travel
        The sum of all rises and falls, in ranges. Examples: 1 if the slice only falls, 2 for a bowl with equal ends.
    """

    above: float
    minima: int
    travel: float

    @property
    def kind(self) -> str:
        """The kind of the slice, a key of `KINDS`; empty for a slice of no kind."""
        if self.minima >= MANY and self.travel >= TRAVEL:
            return "wild"
        if self.minima >= FEW:
            return "local minima"
        if self.above >= CLEARLY:
            return "non-convex"
        return "convex-ish" if self.above <= ISH else ""


def shape_of(values: Numbers) -> Shape | None:
    """Return the shape of a slice (P,); None if the slice is flat or has a value that is not finite."""
    if not np.isfinite(values).all() or (extent := float(np.ptp(values))) <= 1e-9 * np.abs(values).max():
        return None
    scaled = (values - values.min()) / extent
    return Shape(above_a_chord(scaled), minima(scaled), float(np.abs(np.diff(scaled)).sum()))


def above_a_chord(values: Numbers) -> float:
    """Return the largest height of values (P,) above a chord; 0 if no value is above a chord."""
    best, places = 0.0, np.arange(len(values))
    for reach in range(2, len(values)):  # chords from each place to the place `reach` later
        t = places[1:reach] / reach
        chords = (1 - t) * values[:-reach, None] + t * values[reach:, None]
        between = np.lib.stride_tricks.sliding_window_view(values, reach - 1)[1 : len(chords) + 1]
        best = max(best, float((between - chords).max()))
    return best


def minima(values: Numbers) -> int:
    """Return the number of minima in values of range 1: a fall and then a rise of `BARRIER` or more."""
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
