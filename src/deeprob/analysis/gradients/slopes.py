"""Check a claimed slope of L against finite differences, and distinguish kinks from errors.

φ(t) = L(w + t·v) is L on a line through the point w in the direction v. The claimed slope is the value of φ′(0) that
follows from the gradient under test. It is compared with the central difference (φ(h) − φ(−h))/2h, where h is the step.
This difference has two errors: the step causes the error h²φ‴/6, and the rounding of L in float64 (with precision ε)
causes an error of about ε|L|/h. With h = ∛ε, both errors are small. The lecture's one-sided difference (φ(h) − φ(0))/h
has the larger error hφ″/2.

A kink is a point at which the slope jumps. ReLU, |w|, the hinge loss and ties in maxout cause kinks. Where φ is smooth,
the left difference (φ(0) − φ(−h))/h and the right difference (φ(h) − φ(0))/h approach each other as h shrinks. At a
kink they do not.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

EPSILON = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny

STEP = EPSILON ** (1 / 3)

ROUNDING = 2.0
"""The assumed rounding error of L, in units of ε|L|. The largest error in 30,000 differences of many networks was 1."""

BENT = 1e-4
"""If the left and right differences differ by at most this share of the slope, no kink is searched for."""

ENOUGH = 4
"""A wrong slope counts as a kink only if the slopes at this number of nearby points are correct."""

RUNGS = 10
"""The largest number of values of h to try. Each value is a quarter of the value before."""


class Slopes(NamedTuple):
    """The left, right and central differences with step h, and the largest rounding error of the central difference."""

    step: float
    left: float
    right: float
    central: float
    noise: float

    @property
    def gap(self) -> float:
        """The absolute difference between `left` and `right`. Where φ is smooth, it is about h|φ″|."""
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
        """Return the absolute error of the central difference `seen.central`."""
        return abs(seen.central - self.slope)

    def error(self, seen: Slopes, tolerance: float) -> float:
        """Return the relative error of the central difference `seen.central` (see `relative`)."""
        return relative(seen.central, self.slope, seen.noise / tolerance)


def relative(numeric: float, analytic: float, floor: float = 0.0) -> float:
    """Return the relative error of a slope: |n − a| / max(|n|, |a|, floor) with n = `numeric` and a = `analytic`.

    The floor is (rounding error) / (tolerance). Without it, the relative error of a very small slope could exceed the
    tolerance because of rounding alone.
    """
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), floor, TINY)


def examine(here: Ray, around: Iterable[Ray], step: float, tolerance: float) -> tuple[Slopes, Slopes, str]:
    """Check a claimed slope against finite differences.

    Parameters
    ----------
    here, around
        L on a line through the point, and L on parallel lines through nearby points. `around` is used only if the
        slope seems wrong.
    step, tolerance
        The first step h, and the largest relative error of a correct slope.

    Returns
    -------
    Slopes, Slopes, str
        The differences with the first step, the differences on which the verdict is based, and the verdict:

        - ``ok``: the central difference agrees with the slope for one of the steps h, or after extrapolation to h = 0.
        - ``kink``, first case: the central difference agrees with the slope, but there is a kink within the distance h:
          the left and right differences do not approach each other as h shrinks.
        - ``kink``, second case: the central difference agrees with the slope at the nearby points, but not at the point
          itself. Then the kink is at the point. The slopes on both sides of the point and at the nearby points span an
          interval. The slope counts as a subgradient if its distance from this interval is at most the interval's
          length.
        - ``wrong``: all other cases.
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
    """Compare the slope with numeric differences, and return the best differences and a verdict.

    The verdict is ``wrong`` if no differences agree with the slope. If some agree, it is ``ok`` where φ is smooth, and
    ``kink`` where φ has a kink. Where φ is smooth, the gap between the left and right difference is proportional to h.
    """
    agrees = here.error(first, tolerance) <= tolerance
    if agrees and first.gap <= BENT * max(abs(first.central), abs(here.slope), first.noise / tolerance):
        return first, "ok"
    signal = max(here.off(first), first.gap)
    rungs = [first]  # stop when rounding errors become too large
    while len(rungs) < RUNGS and 40 * rungs[-1].noise <= signal:
        rungs.append(here.slopes(rungs[-1].step / 4))
    bent = any(
        abs(after.gap - before.gap / 4) > before.gap / 8 + 2 * (before.noise + after.noise)
        for before, after in pairwise(rungs)
    )
    sound = "kink" if bent else "ok"
    if agrees:
        return first, sound
    wider = [here.slopes(16 * first.step), here.slopes(4 * first.step)]  # larger steps have smaller rounding errors
    for before, after in pairwise([*wider, *rungs]):
        for seen in (after, *richardson(before, after)):
            clear = seen.noise <= tolerance * abs(here.slope) or 10 * seen.noise <= here.off(before)
            if clear and here.error(seen, tolerance) <= tolerance:
                return seen, sound
    return rungs[-1], "wrong"


def richardson(before: Slopes, after: Slopes) -> Iterator[Slopes]:
    """Extrapolate the central difference to h = 0 in two ways, from its values at two steps; yield both results.

    The step of `before` is 4 times the step of `after`. The first extrapolation assumes that the error is proportional
    to h, as it is where φ″ jumps. The second extrapolation assumes that the error is proportional to h², as it is where
    φ is smooth.
    """
    for factor in (4, 16):
        central = (factor * after.central - before.central) / (factor - 1)
        yield after._replace(central=central, noise=(factor * after.noise + before.noise) / (factor - 1))
