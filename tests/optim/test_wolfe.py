import math
from collections.abc import Callable

import pytest
import torch

from deeprob.optim.wolfe import CURVATURE, DECREASE, LIMIT, Trial, finite_step, minimum, wolfe_search


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
    assert len(steps) == LIMIT


def test_a_function_that_only_rises_has_no_step():  # a wrong gradient, or noise
    assert found(lambda t: t, lambda t: -1.0 if t == 0 else 1.0, 1.0)[0] is None


def test_at_a_kink_the_lowest_step_will_do():
    # 10|t − 0.3| + t: slope −9 before the kink, 11 behind it, so |φ'| ≤ 0.9·9 holds nowhere
    trial, start, _ = found(lambda t: 10 * abs(t - 0.3) + t, lambda t: 11.0 if t > 0.3 else -9.0, 1.0)
    assert trial.value < start.value - 1
    assert abs(trial.step - 0.3) < 0.1


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


def test_a_fixed_step_is_shortened_until_it_is_finite():
    evaluate, steps = line(lambda t: 5.0 if t < 0.05 else math.inf, lambda t: -1.0)
    assert finite_step(evaluate, 1.0).step == pytest.approx(0.01)
    assert steps == [1.0, pytest.approx(0.1), pytest.approx(0.01)]
    assert finite_step(line(lambda t: math.nan, lambda t: -1.0)[0], 1.0) is None
