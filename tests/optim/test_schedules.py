import math

import pytest
import torch
from torch import nn

from deeprob.optim import ConstantConfig, CosineConfig


def factors(config: ConstantConfig | CosineConfig, steps: int) -> list[float]:
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
