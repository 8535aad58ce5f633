"""Is this the slope of L here? A claimed slope held against finite differences, with kinks distinguished from errors.

φ(t) = L(w + t·v) is L on a line through a point. The central difference (φ(h) − φ(−h))/2h is off by h²φ‴/6 and by the
rounding of L, about ε|L|/h; h = ∛ε makes both small. The lecture's (φ(h) − φ(0))/h is off by hφ″/2. At a kink (of ReLU,
|w| or the hinge, or a tie in maxout) the left and the right difference stay apart however small h gets.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

EPSILON = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny

STEP = EPSILON ** (1 / 3)

ROUNDING = 2.0
"""Rounding moves L by less than so many ε|L|; in 30,000 differences of networks of all kinds it was never over 1."""

BENT = 1e-4
"""What share of a slope left and right may differ by without a second look."""

ENOUGH = 4
"""At so many points around a kink a slope must be right."""

RUNGS = 10
"""How many steps are tried at most, each a quarter of the one before."""


class Slopes(NamedTuple):
    """The slope of a line from its left, from its right, and across, and how far rounding may have moved the last."""

    step: float
    left: float
    right: float
    central: float
    noise: float

    @property
    def gap(self) -> float:
        """How far left and right are apart: hφ″ where the line is smooth."""
        return abs(self.right - self.left)


class Ray(NamedTuple):
    """φ, its value at 0, and the slope that it is said to have there."""

    along: Callable[[float], float]
    value: float
    slope: float

    def slopes(self, step: float) -> Slopes:
        """Return the differences at a step."""
        above, below = self.along(step), self.along(-step)
        noise = ROUNDING * EPSILON * abs(self.value) / step
        left, right = (self.value - below) / step, (above - self.value) / step
        return Slopes(step, left, right, (above - below) / (2 * step), noise)

    def off(self, seen: Slopes) -> float:
        """Return by how much the slope differs from the central difference."""
        return abs(seen.central - self.slope)

    def error(self, seen: Slopes, tolerance: float) -> float:
        """Return the relative error of the central difference (see `relative`)."""
        return relative(seen.central, self.slope, seen.noise / tolerance)


def relative(numeric: float, analytic: float, floor: float = 0.0) -> float:
    """Return |n − a| / max(|n|, |a|, floor).

    The floor is the slope of which the tolerance is just what rounding may do to n: the error of a smaller one cannot
    be distinguished from rounding, and is relative to the floor.
    """
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), floor, TINY)


def examine(here: Ray, around: Iterable[Ray], step: float, tolerance: float) -> tuple[Slopes, Slopes, str]:
    """Judge a slope.

    Parameters
    ----------
    here, around
        L through the point, and in the same direction through points around it, asked for only if need be.
    step, tolerance
        The first h, and the largest relative error that is ``ok``.

    Returns
    -------
    Slopes, Slopes, str
        The first differences; those that show best what is the case; and the verdict:

        - ``ok``: the central difference agrees with the slope, if not at the first h then at another, or where falling
          h lead.
        - ``kink``: they agree, but left and right stay apart as h shrinks, or did until h no longer reached a kink. Or
          they never agree here but at points all around: the kink is at the point itself, and the slope a subgradient,
          no further from the slopes on its sides and around it than those are apart.
        - ``wrong``: anything else.
    """
    first = here.slopes(step)
    seen, verdict = settled(here, first, tolerance)
    if verdict != "wrong":
        return first, seen, verdict
    sides = [seen.left, seen.right]
    for number, ray in enumerate(around, 1):
        if settled(ray, ray.slopes(step), tolerance)[1] == "wrong":
            break
        sides.append(ray.slope)
        least, largest = min(sides), max(sides)
        slack = max(seen.noise, tolerance * abs(here.slope), largest - least)
        if number >= ENOUGH and least - slack <= here.slope <= largest + slack:
            return first, seen, "kink"
    return first, first, "wrong"


def settled(here: Ray, first: Slopes, tolerance: float) -> tuple[Slopes, str]:
    """Return the differences that agree with a slope, with ``ok`` or ``kink``; the last ones and ``wrong`` if none do.

    There is a kink if the gap between left and right does not shrink in proportion to h, as curvature makes it.
    """
    agrees = here.error(first, tolerance) <= tolerance
    if agrees and first.gap <= BENT * max(abs(first.central), abs(here.slope), first.noise / tolerance):
        return first, "ok"
    signal = max(here.off(first), first.gap)
    rungs = [first]  # down to where what is to be seen drowns in noise
    while len(rungs) < RUNGS and 40 * rungs[-1].noise <= signal:
        rungs.append(here.slopes(rungs[-1].step / 4))
    bent = any(
        abs(after.gap - before.gap / 4) > before.gap / 8 + 2 * (before.noise + after.noise)
        for before, after in pairwise(rungs)
    )
    sound = "kink" if bent else "ok"
    if agrees:
        return first, sound
    wider = [here.slopes(16 * first.step), here.slopes(4 * first.step)]  # where there is less noise
    for before, after in pairwise([*wider, *rungs]):
        for seen in (after, *richardson(before, after)):
            clear = seen.noise <= tolerance * abs(here.slope) or 10 * seen.noise <= here.off(before)
            if clear and here.error(seen, tolerance) <= tolerance:
                return seen, sound
    return rungs[-1], "wrong"


def richardson(before: Slopes, after: Slopes) -> Iterator[Slopes]:
    """Yield where differences go whose h was quartered, if their error falls with h (a jump of φ″), or with h² (φ‴)."""
    for factor in (4, 16):
        central = (factor * after.central - before.central) / (factor - 1)
        yield after._replace(central=central, noise=(factor * after.noise + before.noise) / (factor - 1))
