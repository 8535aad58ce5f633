import math
from collections.abc import Callable

import pytest
import torch

from deeprob.optim.wolfe import (
    CURVATURE,
    DECREASE,
    LIMIT,
    Trial,
    extrapolated,
    finite_step,
    interpolated,
    minimum,
    wolfe_search,
)


def line(value: Callable[[float], float], slope: Callable[[float], float]) -> tuple[Callable[[float], Trial], list]:
    """Return φ as the search asks for it, and the steps that it will have asked for."""
    steps: list[float] = []

    def evaluate(step: float) -> Trial:
        steps.append(step)
        return Trial(step, value(step), slope(step), abs(slope(step)), torch.zeros(1))

    return evaluate, steps


def found(value, slope, step, rounding=0.0):
    evaluate, steps = line(value, slope)
    start = evaluate(0.0)
    return wolfe_search(evaluate, start, step, rounding), start, steps[1:]


@pytest.mark.parametrize("step", [1e-6, 1e-3, 0.5, 1.0, 30.0, 1e6])
def test_strong_wolfe_holds_from_any_first_step(step):
    # φ(t) = (t − 2)² − t·sin(t)/4 falls from 4 to a minimum near 2
    trial, start, steps = found(
        lambda t: (t - 2) ** 2 - t * math.sin(t) / 4,
        lambda t: 2 * (t - 2) - math.sin(t) / 4 - t * math.cos(t) / 4,
        step,
    )
    assert trial.value <= start.value + DECREASE * trial.step * start.slope
    assert abs(trial.slope) <= CURVATURE * abs(start.slope)
    assert len(steps) <= 12


def test_a_good_first_step_is_taken_at_once():
    trial, _, steps = found(lambda t: (t - 1) ** 2, lambda t: 2 * (t - 1), 1.0)
    assert (trial.step, steps) == (1.0, [1.0])


def test_the_cubic_finds_the_minimum_of_a_quadratic_at_once():
    # (t − 3)²: from the bracket [0, 10] the second trial is 3 exactly
    trial, _, steps = found(lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3), 10.0)
    assert steps == [10.0, pytest.approx(3.0)]
    assert trial.value == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_accepted(poison):
    trial, _, steps = found(lambda t: (t - 1e-4) ** 2 if t < 1e-3 else poison, lambda t: 2 * (t - 1e-4), 1.0)
    assert 0 < trial.step < 1e-3
    assert steps[:3] == [1.0, pytest.approx(0.1), pytest.approx(0.01)]


def test_nothing_but_nan_is_no_step():
    trial, _, steps = found(lambda t: 0.0 if t == 0 else math.nan, lambda t: -1.0, 1.0)
    assert trial is None
    assert len(steps) == LIMIT == 25


def test_a_function_that_only_rises_has_no_step():  # a wrong gradient, or noise
    assert found(lambda t: t, lambda t: -1.0 if t == 0 else 1.0, 1.0)[0] is None


def test_at_a_kink_the_lowest_step_will_do():
    # 10|t − 0.3| + t: slope −9 before the kink, 11 behind it, so |φ'| ≤ 0.9·9 holds nowhere
    trial, start, _ = found(lambda t: 10 * abs(t - 0.3) + t, lambda t: 11.0 if t > 0.3 else -9.0, 1.0)
    assert trial.value < start.value - 1
    assert abs(trial.step - 0.3) < 0.1


def test_brackets_that_shrink_by_less_than_a_third_twice_are_halved():
    # −t before a wall at 0.9: the cubic would creep up to the wall by a tenth of the bracket each time
    _, _, steps = found(lambda t: -t if t < 0.9 else 1e3, lambda t: -1.0 if t < 0.9 else 1.0, 1.0)
    assert steps[:7] == pytest.approx([1, 0.1, 0.19, (0.19 + 1) / 2, 0.6355, 0.67195, (0.67195 + 1) / 2])


def test_below_rounding_slopes_decide():
    # (t − 1)²·1e-12 on a height of 1, which single precision cannot tell from 1
    height = lambda t: 1.0 + (6e-8 if 0.5 < t < 2 else 0.0)  # noqa: E731
    trial, _, steps = found(height, lambda t: 2e-12 * (t - 1), 1.0, rounding=2.4e-7)
    assert steps == [1.0]
    assert trial.value > 1
    assert len(found(height, lambda t: 2e-12 * (t - 1), 1.0)[2]) > 1


def test_minimum_by_hand():
    # t³/3 − t from t = 0 to 3: slopes −1 and 8, minimum at 1
    ends = [Trial(t, t**3 / 3 - t, t * t - 1, 0.0, torch.zeros(1)) for t in (0.0, 3.0)]
    assert minimum(*ends, rounding=0.0) == pytest.approx(1.0)
    assert minimum(*ends, rounding=10.0) == pytest.approx(1 / 3)  # slopes alone: −1 + 3t = 0


def known(step: float, value: float, slope: float) -> Trial:
    return Trial(step, value, slope, abs(slope), torch.zeros(1))


def parabola(bottom: float, *steps: float) -> list[Trial]:
    """Return what is known of (t − bottom)² at some steps."""
    return [known(t, (t - bottom) ** 2, 2 * (t - bottom)) for t in steps]


def test_minimum_between_other_ends():
    # t³/3 − t from ½ to 3: slopes −¾ and 8
    ends = [known(t, t**3 / 3 - t, t * t - 1) for t in (0.5, 3.0)]
    assert minimum(*ends, rounding=0.0) == pytest.approx(1.0)
    assert minimum(*ends, rounding=10.0) == pytest.approx(0.5 + 0.75 * 2.5 / 8.75)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1e6])
def test_a_minimum_stays_where_it_is_when_all_is_scaled(scale):
    ends = [known(t, scale * (t**3 / 3 - t), scale * (t * t - 1)) for t in (0.5, 3.0)]
    assert minimum(*ends, rounding=0.0) == pytest.approx(1.0)


def test_values_that_differ_by_their_rounding_are_the_same():
    ends = [known(0.0, 0.0, -1.0), known(3.0, 6.0, 8.0)]
    assert minimum(*ends, rounding=6.0) == pytest.approx(1 / 3)
    assert minimum(*ends, rounding=5.9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fall", "slope", "rounding"),
    [
        (0.0, -1.0, 0.0),  # slopes as at the start: they are 0 nowhere
        (0.0, -2.0, 0.0),
        (4 / 3, -1.0, 0.0),  # a cubic that falls throughout
        (2.0, -1.0, 0.0),  # a straight line
    ],
)
def test_without_a_minimum_it_is_the_middle(fall, slope, rounding):
    assert minimum(known(1.0, 5.0, -1.0), known(3.0, 5.0 - fall, slope), rounding) == 2


@pytest.mark.parametrize(("bottom", "step"), [(2.0, 2.0), (1.05, 1.2), (2.95, 2.8), (1.5, 1.5)])
def test_a_step_inside_a_bracket_keeps_a_tenth_from_its_ends(bottom, step):
    assert interpolated(*parabola(bottom, 1.0, 3.0), rounding=0.0) == pytest.approx(step)


def test_a_bracket_whose_high_end_is_not_finite_is_tried_near_its_low_end():
    assert interpolated(known(1.0, 5.0, -1.0), known(3.0, math.inf, 0.0), rounding=0.0) == pytest.approx(1.2)


@pytest.mark.parametrize(("bottom", "step"), [(2.5, 3.1), (5.0, 5.0), (50.0, 11.0)])
def test_beyond_a_step_that_falls_it_is_2_to_10_times_as_far(bottom, step):
    assert extrapolated(*parabola(bottom, 1.0, 2.0), rounding=0.0) == pytest.approx(step)


def test_beyond_a_step_that_falls_ever_faster_it_is_5_times_as_far():
    assert extrapolated(known(1.0, 5.0, -1.0), known(2.0, 3.0, -4.0), rounding=0.0) == 6


@pytest.mark.parametrize(
    ("value", "slope", "taken"),
    [
        (-0.5, -0.89, True),
        (-0.5, -0.91, False),  # |φ'| may be 0.9 of what it was
        (-0.5, 0.89, True),
        (-0.5, 0.9, True),
        (-0.5, 0.91, False),
        (-1.1e-4, 0.1, True),
        (-0.9e-4, 0.1, False),  # the fall must be 10⁻⁴ of what the slope promises, which is 1
    ],
)
def test_the_strong_wolfe_conditions_by_hand(value, slope, taken):
    _, _, steps = found(lambda t: value * t, lambda t: -1.0 if t == 0 else slope, 1.0)
    assert (steps == [1.0]) is taken


def test_a_fixed_step_is_shortened_until_it_is_finite():
    evaluate, steps = line(lambda t: 5.0 if t < 0.05 else math.inf, lambda t: -1.0)
    assert finite_step(evaluate, 1.0).step == pytest.approx(0.01)
    assert steps == [1.0, pytest.approx(0.1), pytest.approx(0.01)]
    assert finite_step(line(lambda t: math.nan, lambda t: -1.0)[0], 1.0) is None
