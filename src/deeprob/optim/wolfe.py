"""A line search for the strong Wolfe conditions, which also works where L changes less than its rounding error."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

DECREASE = 1e-4  # a step must lower L by at least this share of the decrease that the slope at 0 predicts
CURVATURE = 0.9  # the absolute slope after a step may be at most this share of the slope before
# If a bracket is narrower than this share of its high end, L has a kink in the bracket. Then a step that meets the
# first condition is accepted.
NARROW = 0.01
SHRINK = 0.1  # factor that shortens a step after which L is not finite
LIMIT = 25  # the number of evaluations per search


@dataclass(frozen=True)
class Trial:
    """The values of L, its slope and its gradient after one step along a direction.

    Attributes
    ----------
    step
        The step t, in multiples of the direction.
    value, slope
        The value φ(t), which is L after the step, and the slope φ'(t).
    largest
        The gradient's largest absolute entry.
    gradient
        The gradient (n,), which the search returns unchanged.
    """

    step: float
    value: float
    slope: float
    largest: float
    gradient: Tensor

    @property
    def finite(self) -> bool:
        """Whether L, the slope and the gradient are finite."""
        return math.isfinite(self.value + self.slope + self.largest)


def wolfe_search(evaluate: Callable[[float], Trial], start: Trial, step: float, rounding: float) -> Trial | None:
    """Find a step that meets both strong Wolfe conditions, or the best step that meets the first condition.

    The conditions are φ(t) ≤ φ(0) + c₁tφ'(0) and |φ'(t)| ≤ c₂|φ'(0)|, with c₁ = 10⁻⁴ and c₂ = 0.9. The
    first condition is also met if |φ(t) − φ(0)| ≤ rounding. Then L changes by no more than its rounding error, and only
    the slopes decide, as in Hager and Zhang ("A new conjugate gradient method with guaranteed descent and an efficient
    line search", 2005, equations 4.1 and 4.2).

    The search keeps a bracket: an interval that contains a step which meets both conditions. At the low end of the
    bracket, L still falls. At the high end, L is too high, rises, or is not finite. Cubic interpolation makes the
    bracket smaller (Nocedal and Wright, "Numerical optimization", 2006, section 3.5).

    Parameters
    ----------
    evaluate
        Returns the trial at a step.
    start
        The trial at step 0, where the slope is negative.
    step
        The first step to try.
    rounding
        The largest difference that rounding may cause between two evaluations of L at one point.

    Returns
    -------
    Trial or None
        The first trial that meets both conditions. If none of `LIMIT` evaluations meets both, or if L has a kink in the
        bracket, the trial with the lowest L that meets the first condition. If there is none, None.
    """
    low, high, before = start, None, start
    best: Trial | None = None
    width, slow = math.inf, 0
    for _ in range(LIMIT):
        trial = evaluate(step)
        if trial.finite:
            enough = trial.value <= start.value + DECREASE * step * start.slope
            same = abs(trial.value - start.value) <= rounding
            if abs(trial.slope) <= -CURVATURE * start.slope and (enough or same):
                return trial
            if enough and (best is None or trial.value < best.value):
                best = trial
            bound = min(start.value + DECREASE * step * start.slope, low.value)
            if trial.value > bound + rounding or trial.slope >= 0:
                high = trial
            else:
                before, low = low, trial
        else:
            high = dataclasses.replace(trial, value=math.inf)
        if high is None:
            step = extrapolated(before, low, rounding)
            continue
        slow = slow + 1 if high.step - low.step > 0.66 * width else 0
        width = high.step - low.step
        if width <= (1e-15 if best is None else NARROW) * high.step:
            break
        step = 0.5 * (low.step + high.step) if slow > 1 else interpolated(low, high, rounding)
    return best


def finite_step(evaluate: Callable[[float], Trial], step: float) -> Trial | None:
    """Evaluate L at a step, and at ten times shorter steps until L and its gradient are finite.

    Return the finite trial. Return None if none of `LIMIT` trials is finite.
    """
    for _ in range(LIMIT):
        trial = evaluate(step)
        if trial.finite:
            return trial
        step *= SHRINK
    return None


def interpolated(low: Trial, high: Trial, rounding: float) -> float:
    """Return the next step to try in a bracket. Its distance from both ends is at least a tenth of the width."""
    width = high.step - low.step
    if not math.isfinite(high.value):
        return low.step + SHRINK * width
    step = minimum(low, high, rounding)
    return min(max(step, low.step + 0.1 * width), high.step - 0.1 * width)


def extrapolated(before: Trial, low: Trial, rounding: float) -> float:
    """Return the next step to try beyond `low`, where L still falls.

    It is 2.1 to 10 times as far from `before` as `low` is.
    """
    width = low.step - before.step
    step = minimum(before, low, rounding)
    return min(max(step, low.step + 1.1 * width), low.step + 9 * width) if step > low.step else low.step + 4 * width


def minimum(one: Trial, two: Trial, rounding: float) -> float:
    """Return the step with the lowest value of the cubic polynomial that has the values and slopes of two trials.

    If the cubic has no minimum, return the middle of the two steps. If the values differ only by rounding, return the
    step where a straight line through the two slopes is 0. The result is never NaN.
    """
    width = two.step - one.step
    if abs(two.value - one.value) <= rounding:
        rise = two.slope - one.slope
        return one.step - one.slope * width / rise if rise > 0 else one.step + 0.5 * width
    mean = one.slope + two.slope - 3 * (two.value - one.value) / width
    inside = mean * mean - one.slope * two.slope
    if inside < 0:
        return one.step + 0.5 * width
    root = math.sqrt(inside)
    bottom = two.slope - one.slope + 2 * root
    return two.step - width * (two.slope + root - mean) / bottom if bottom != 0 else one.step + 0.5 * width
