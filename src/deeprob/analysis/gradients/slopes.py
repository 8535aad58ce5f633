"""Check a claimed slope of L against finite differences, and distinguish kinks from errors.

φ(t) = L(w + t·v) is L on a line through the point w. The central difference (φ(h) − φ(−h))/2h has two errors: h²φ‴/6,
and about ε|L|/h from the rounding of L. With h = ∛ε both are small. The lecture's difference (φ(h) − φ(0))/h has the
error hφ″/2. At a kink (of ReLU, |w| or the hinge, or a tie in maxout) the left and the right difference do not approach
each other as h shrinks.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

EPSILON = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny

STEP = EPSILON ** (1 / 3)

ROUNDING = 2.0
"""The assumed rounding error of L in units of ε|L|. It was at most 1 in 30,000 differences of all kinds of networks."""

BENT = 1e-4
"""If the left and right differences differ by at most this share of the slope, no search for a kink follows."""

ENOUGH = 4
"""How many points around must have correct slopes before a wrong slope at the point counts as a kink."""

RUNGS = 10
"""The largest number of steps h to try; each is a quarter of the one before."""


class Slopes(NamedTuple):
    """The left, right and central differences with one step, and the largest rounding error of the central one."""

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
    """φ, its value at 0, and its claimed slope at 0."""

    along: Callable[[float], float]
    value: float
    slope: float

    def slopes(self, step: float) -> Slopes:
        """Return the differences with one step."""
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

    The floor is the slope at which rounding alone may cause an error as large as the tolerance. Errors of smaller
    slopes cannot be distinguished from rounding, so they are relative to the floor.
    """
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), floor, TINY)


def examine(here: Ray, around: Iterable[Ray], step: float, tolerance: float) -> tuple[Slopes, Slopes, str]:
    """Check a claimed slope.

    Parameters
    ----------
    here, around
        L on a line through the point, and on parallel lines through points around it. `around` is used only if the
        slope seems wrong.
    step, tolerance
        The first step h, and the largest relative error that is ``ok``.

    Returns
    -------
    Slopes, Slopes, str
        The first differences, the differences on which the verdict is based, and the verdict:

        - ``ok``: the central difference agrees with the slope, at the first h, at another h, or when it is extrapolated
          to h = 0.
        - ``kink``: the central difference agrees with the slope, but the left and right differences stay apart as h
          shrinks, at least until h no longer reaches a kink. Or it agrees only at the points around: then the kink is
          at the point itself, and the slope is a subgradient. Its distance from the slopes on both sides and around is
          at most the distance between those slopes.
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

    If none agree, return the last differences and ``wrong``. There is a kink if the gap between the left and right
    differences does not shrink in proportion to h, as it does where φ is smooth.
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
    """Yield central differences extrapolated to h = 0, from two whose steps differ by a factor of 4.

    The first assumes an error in proportion to h (a jump of φ″), the second an error in proportion to h² (φ‴).
    """
    for factor in (4, 16):
        central = (factor * after.central - before.central) / (factor - 1)
        yield after._replace(central=central, noise=(factor * after.noise + before.noise) / (factor - 1))
