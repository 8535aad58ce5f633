"""Check a claimed slope of L against finite differences, and distinguish kinks from errors.

φ(t) = L(w + t·v) is L on a line through the point w. The central difference (φ(h) − φ(−h))/2h has two errors: h²φ‴/6
from the step, and about ε|L|/h from the rounding of L. With h = ∛ε, both errors are small. The lecture's one-sided
difference (φ(h) − φ(0))/h has the error hφ″/2. ReLU, |w|, the hinge and ties in maxout cause kinks. At a kink, the left
and the right difference do not approach each other as h shrinks.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

EPSILON = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny

STEP = EPSILON ** (1 / 3)

ROUNDING = 2.0
"""The assumed rounding error of L in units of ε|L|. The largest error in 30,000 differences of many networks was 1."""

BENT = 1e-4
"""If the left and right differences differ by at most this share of the slope, no kink is searched for."""

ENOUGH = 4
"""The number of points nearby that must have correct slopes before a wrong slope at the point counts as a kink."""

RUNGS = 10
"""The largest number of steps h to try. Each step is a quarter of the step before."""


class Slopes(NamedTuple):
    """The left, right and central differences with step h, and the largest rounding error of the central difference."""

    step: float
    left: float
    right: float
    central: float
    noise: float

    @property
    def gap(self) -> float:
        """The distance between the left and right differences: hφ″ if φ is smooth."""
        return abs(self.right - self.left)


class Ray(NamedTuple):
    """The function φ on a line, its value at 0, and its claimed slope at 0."""

    along: Callable[[float], float]
    value: float
    slope: float

    def slopes(self, step: float) -> Slopes:
        """Return the left, right and central differences with a step h."""
        above, below = self.along(step), self.along(-step)
        noise = ROUNDING * EPSILON * abs(self.value) / step
        left, right = (self.value - below) / step, (above - self.value) / step
        return Slopes(step, left, right, (above - below) / (2 * step), noise)

    def off(self, seen: Slopes) -> float:
        """Return the distance between the claimed slope and the central difference."""
        return abs(seen.central - self.slope)

    def error(self, seen: Slopes, tolerance: float) -> float:
        """Return the relative error of the central difference (see `relative`)."""
        return relative(seen.central, self.slope, seen.noise / tolerance)


def relative(numeric: float, analytic: float, floor: float = 0.0) -> float:
    """Return |n − a| / max(|n|, |a|, floor).

    At the slope `floor`, rounding alone may cause an error as large as the tolerance. For smaller slopes, rounding
    could cause larger relative errors, so their errors are relative to the floor.
    """
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), floor, TINY)


def examine(here: Ray, around: Iterable[Ray], step: float, tolerance: float) -> tuple[Slopes, Slopes, str]:
    """Check a claimed slope against finite differences.

    Parameters
    ----------
    here, around
        L on a line through the point, and L on parallel lines through points nearby. `around` is used only if the
        slope seems wrong.
    step, tolerance
        The first step h, and the largest relative error that is ``ok``.

    Returns
    -------
    Slopes, Slopes, str
        The first differences, the differences on which the verdict is based, and the verdict:

        - ``ok``: the central difference agrees with the slope, at the first h, at another h, or when it is extrapolated
          to h = 0.
        - ``kink``: there are two cases. First: the central difference agrees with the slope, but the left and right
          differences stay apart as h shrinks, at least until h no longer reaches a kink. Second: the central
          difference agrees with the slope at the points nearby, but not at the point itself. Then the kink is at the
          point, and the slope is a subgradient. It lies between the slopes on both sides and nearby, or is no further
          from them than they are from each other.
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
    """Return the differences that agree with the slope, and ``ok`` or ``kink``.

    If no differences agree, return the last differences and ``wrong``. Where φ is smooth, the gap between the left and
    right differences shrinks in proportion to h. If the gap does not, there is a kink.
    """
    agrees = here.error(first, tolerance) <= tolerance
    if agrees and first.gap <= BENT * max(abs(first.central), abs(here.slope), first.noise / tolerance):
        return first, "ok"
    signal = max(here.off(first), first.gap)
    rungs = [first]  # stop when the rounding noise hides the signal
    while len(rungs) < RUNGS and 40 * rungs[-1].noise <= signal:
        rungs.append(here.slopes(rungs[-1].step / 4))
    bent = any(
        abs(after.gap - before.gap / 4) > before.gap / 8 + 2 * (before.noise + after.noise)
        for before, after in pairwise(rungs)
    )
    sound = "kink" if bent else "ok"
    if agrees:
        return first, sound
    wider = [here.slopes(16 * first.step), here.slopes(4 * first.step)]  # larger steps have less noise
    for before, after in pairwise([*wider, *rungs]):
        for seen in (after, *richardson(before, after)):
            clear = seen.noise <= tolerance * abs(here.slope) or 10 * seen.noise <= here.off(before)
            if clear and here.error(seen, tolerance) <= tolerance:
                return seen, sound
    return rungs[-1], "wrong"


def richardson(before: Slopes, after: Slopes) -> Iterator[Slopes]:
    """Yield two extrapolations of the central difference to h = 0, from two steps that differ by a factor of 4.

    The first extrapolation assumes an error in proportion to h (a jump of φ″). The second extrapolation assumes an
    error in proportion to h² (from φ‴).
    """
    for factor in (4, 16):
        central = (factor * after.central - before.central) / (factor - 1)
        yield after._replace(central=central, noise=(factor * after.noise + before.noise) / (factor - 1))
