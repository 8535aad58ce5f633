"""The kinds of loss slices: convex-ish, non-convex, local minima, and wild.

A slice holds the values of L at equally spaced points on a line in weight space. Its range is its highest value minus
its lowest value. Three numbers of a slice define its kind:

- The height above a chord. A chord is the straight line between two points of the slice. The height is the largest
  difference between a value and a chord below the value. For a convex function, the height is 0.
- The number of minima. A minimum counts if L falls by at least 5 % of the range before it and rises by at least 5 %
  after it.
- The travel: the sum of all rises and falls.

The height and the travel are given in ranges, that is, divided by the range.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

BARRIER = 0.05
"""The smallest fall before a minimum, and the smallest rise after it, in ranges. Smaller minima do not count."""

ISH, CLEARLY = 0.02, 0.15
"""Limits for the height above a chord, in ranges: at most `ISH` if convex-ish, at least `CLEARLY` if non-convex."""

FEW, MANY, TRAVEL = 2, 4, 4.0
"""A slice with at least `FEW` minima has the kind "local minima". It is wild instead if it has at least `MANY` minima
and a travel of at least `TRAVEL`."""

KINDS: Mapping[str, str] = {
    "convex-ish": f"nowhere above a chord by more than {ISH:.0%} of its range",
    "non-convex": f"above a chord by {CLEARLY:.0%} of its range or more, but with at most one minimum",
    "local minima": f"{FEW} minima or more, each at least {BARRIER:.0%} of the range deep, but not wild",
    "wild": f"{MANY} such minima or more; goes up and down by {TRAVEL:g} times its range or more in total",
}
"""The definition of each kind. A slice has no kind if it has at most one minimum and is only slightly non-convex."""


class Shape(NamedTuple):
    """The numbers of a slice that define its kind.

    Attributes
    ----------
    above
        The height above a chord, in ranges.
    minima
        The number of minima, without the ends of the slice.
    travel
        The sum of all rises and falls, in ranges. Examples: 1 if the slice only falls, 2 for a bowl with equal ends.
    """

    above: float
    minima: int
    travel: float

    @property
    def kind(self) -> str:
        """The kind of the slice, a key of `KINDS`; empty if the slice has no kind."""
        if self.minima >= MANY and self.travel >= TRAVEL:
            return "wild"
        if self.minima >= FEW:
            return "local minima"
        if self.above >= CLEARLY:
            return "non-convex"
        return "convex-ish" if self.above <= ISH else ""


def shape_of(values: Numbers) -> Shape | None:
    """Return the shape of a slice (P,); None if the slice is flat or has infinite or NaN values."""
    if not np.isfinite(values).all() or (extent := float(np.ptp(values))) <= 1e-9 * np.abs(values).max():
        return None
    scaled = (values - values.min()) / extent
    return Shape(above_a_chord(scaled), minima(scaled), float(np.abs(np.diff(scaled)).sum()))


def above_a_chord(values: Numbers) -> float:
    """Return the largest height of values (P,) above a chord; 0 if no value is above a chord."""
    best, places = 0.0, np.arange(len(values))
    for reach in range(2, len(values)):  # chords from each value to the value `reach` positions later
        t = places[1:reach] / reach
        chords = (1 - t) * values[:-reach, None] + t * values[reach:, None]
        between = np.lib.stride_tricks.sliding_window_view(values, reach - 1)[1 : len(chords) + 1]
        best = max(best, float((between - chords).max()))
    return best


def minima(values: Numbers) -> int:
    """Return the number of minima: falls that are followed by a rise, each of at least `BARRIER`.

    The range of `values` must be 1.
    """
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
