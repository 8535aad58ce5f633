import math

import pytest
import torch
from torch import nn

from deeprob.config import options
from deeprob.optim import ConstantConfig, CosineConfig, ExponentialConfig, OneCycleConfig, StepConfig
from deeprob.optim.schedules import Schedule, SchedulerConfig


def factors(config: SchedulerConfig, steps: int) -> list[float]:
    schedule = config.build(steps)
    return [schedule(step) for step in range(steps)]


def test_constant_is_1_throughout():
    assert factors(ConstantConfig(), 5) == [1, 1, 1, 1, 1]


def test_cosine_by_hand():
    # ½(1 + cos 0), ½(1 + cos 45°), ½(1 + cos 90°), ½(1 + cos 135°)
    root = math.sqrt(0.5)
    assert factors(CosineConfig(), 4) == pytest.approx([1, (1 + root) / 2, 0.5, (1 - root) / 2])


def test_cosine_agrees_with_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(CosineConfig(), 20) == pytest.approx(rates)


def test_warmup_rises_linearly_to_the_full_rate():
    assert factors(ConstantConfig(warmup=0.5), 8) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_the_cosine_begins_after_the_warmup():
    root = math.sqrt(0.5)
    expected = [0.25, 0.5, 0.75, 1, 1, (1 + root) / 2, 0.5, (1 - root) / 2]
    assert factors(CosineConfig(warmup=0.5), 8) == pytest.approx(expected)


def test_a_warmup_of_less_than_half_an_update_is_none():
    assert factors(ConstantConfig(warmup=0.04), 10) == [1] * 10


@pytest.mark.parametrize("config", [ConstantConfig(warmup=0.99), CosineConfig(warmup=0.99)])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_warmup_of_nearly_the_whole_run_rises_to_its_end(config, steps):
    assert factors(config, steps) == pytest.approx([(step + 1) / steps for step in range(steps)])


@pytest.mark.parametrize("config", [ConstantConfig(), CosineConfig()])
def test_a_run_of_one_update_has_the_full_rate(config):
    assert factors(config, 1) == [1]


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_rate_is_never_0_and_never_above_the_full_one(warmup):
    assert all(0 < factor <= 1 for factor in factors(CosineConfig(warmup=warmup), 30))


def test_step_drops_at_even_moments():
    assert factors(StepConfig(gamma=0.5, drops=2), 9) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert factors(StepConfig(gamma=0.5, drops=1, warmup=0.2), 5) == pytest.approx([1, 1, 1, 0.5, 0.5])


def test_exponential_by_hand():
    assert factors(ExponentialConfig(final=0.0001), 4) == pytest.approx([1, 0.1, 0.01, 0.001])


def test_exponential_agrees_with_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.01 ** (1 / 20))
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(ExponentialConfig(final=0.01), 20) == pytest.approx(rates)


def test_one_cycle_by_hand():
    # up in two updates from 0.2 over their mean to 1, then down in four: ½(1 + cos kπ/4)
    root = math.sqrt(0.5)
    cycle = OneCycleConfig(peak=1 / 3, start=0.2, final=0.0)
    assert factors(cycle, 6) == pytest.approx([0.2, 0.6, 1, (1 + root) / 2, 0.5, (1 - root) / 2])


def test_one_cycle_has_torchs_proportions():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1000, cycle_momentum=False)
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(OneCycleConfig(), 1000) == pytest.approx(rates, abs=0.01)


def test_one_cycle_warms_up_by_itself():
    assert list(OneCycleConfig().problems()) == []
    (problem,) = OneCycleConfig(warmup=0.1).problems()
    assert problem.startswith("warmup=0.1: one_cycle warms up by itself")


def test_a_run_may_become_longer_where_its_end_has_no_part_in_the_rate():
    assert {name for name, cls in options("scheduler").items() if cls().extendable} == {"constant", "plateau"}
    assert not any(cls(warmup=0.1).extendable for cls in options("scheduler").values())


def test_a_schedule_by_itself_is_1_and_has_no_state():
    schedule = Schedule()
    schedule.observe(1.0)
    assert ([schedule(step) for step in (0, 7)], schedule.state_dict()) == ([1, 1], {})
