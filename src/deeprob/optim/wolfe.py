"""A line search for the strong Wolfe conditions. It also works where L changes less than its rounding error."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

DECREASE = 1e-4  # a step must lower L by at least this share of the decrease that the slope at 0 predicts
CURVATURE = 0.9  # the absolute slope after a step may be at most this share of the slope before
# If a bracket is narrower than this share of its high end, the search assumes that L has a kink in the bracket. Then it
# accepts a step that meets the first condition.
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
    value
        φ(t): the value of L after the step.
    slope
        φ'(t): the slope of L along the direction after the step.
    largest
        The gradient's largest absolute entry.
    gradient
        The gradient (n,) after the step. The search does not use it.
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
    """Find a step that meets both strong Wolfe conditions.

    The first condition is φ(t) ≤ φ(0) + c₁tφ'(0), the second is |φ'(t)| ≤ c₂|φ'(0)|, with c₁ = 10⁻⁴ and c₂ = 0.9. If
    |φ(t) − φ(0)| ≤ rounding, the change of L is within its rounding error. Then only the second condition counts,
    similar to Hager and Zhang ("A new conjugate gradient method with guaranteed descent and an efficient
    line search", 2005, equations 4.1 and 4.2).

    The search narrows an interval of steps (a bracket), in which some step meets both conditions. At the low end of the
    bracket, L still falls. At the high end, L is too high, rises, or is not finite. Cubic interpolation chooses the
    next step in the bracket (Nocedal and Wright, "Numerical optimization", 2006, section 3.5).

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
        The first trial that meets both conditions. The search may find no such trial in `LIMIT` evaluations, or L may
        have a kink in the bracket. Then the result is the trial with the lowest L among those that meet the first
        condition, or None if no trial meets it.
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
    """Evaluate L after a step. While L or its gradient is not finite, divide the step by 10 and try again.

    Return the first finite trial. If none of `LIMIT` trials is finite, return None.
    """
    for _ in range(LIMIT):
        trial = evaluate(step)
        if trial.finite:
            return trial
        step *= SHRINK
    return None


def interpolated(low: Trial, high: Trial, rounding: float) -> float:
    """Return the next step to try in a bracket. It is not closer to an end than a tenth of the bracket's width."""
    width = high.step - low.step
    if not math.isfinite(high.value):
        return low.step + SHRINK * width
    step = minimum(low, high, rounding)
    return min(max(step, low.step + 0.1 * width), high.step - 0.1 * width)


def extrapolated(before: Trial, low: Trial, rounding: float) -> float:
    """Return the next step to try beyond `low`, where L still falls.

    Its distance from `before` is 2.1 to 10 times the distance between `before` and `low`.
    """
    width = low.step - before.step
    step = minimum(before, low, rounding)
    return min(max(step, low.step + 1.1 * width), low.step + 9 * width) if step > low.step else low.step + 4 * width


def minimum(one: Trial, two: Trial, rounding: float) -> float:
    """Fit a cubic polynomial to the values and slopes of two trials, and return the step at its minimum.

    If the cubic polynomial has no minimum, return the middle of the two steps. If the values differ only by rounding,
    return the step where a straight line through the two slopes is 0. The result is never NaN.
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
