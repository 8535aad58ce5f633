import math

import pytest
import torch

from deeprob import randomness
from deeprob.models.dropout import Dropout


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
def test_dropout_silences_a_share_and_scales_the_rest_up(rate):
    units = torch.full((300, 200), 2.0)
    dropped = Dropout(rate)(units, randomness.key(0, "x"))
    silent, count = dropped == 0, units.numel()
    rate = round(rate * 65536) / 65536  # the mask's resolution
    torch.testing.assert_close(dropped[~silent], torch.full_like(dropped[~silent], 2 / (1 - rate)))
    assert abs(int(silent.sum()) - count * rate) < 5 * math.sqrt(count * rate * (1 - rate))


@pytest.mark.parametrize(
    ("rate", "steps"), [(0.0, 0), (2**-16, 1), (0.5, 2**15), (0.3, 19661), (1 - 2**-16, 65535), (1 - 2**-20, 65535)]
)
def test_the_rate_of_dropout_has_the_resolution_of_the_mask(rate, steps):
    assert Dropout(rate).rate.item() == steps / 2**16  # the nearest, and never 1


def test_dropout_is_drawn_for_each_example_and_each_unit():
    dropped = Dropout(0.5)(torch.ones(20, 30), randomness.key(0, "x"))
    assert len(dropped.unique(dim=0)) == 20
    assert len(dropped.unique(dim=1).T) == 30


def test_dropout_passes_gradients_through_the_units_that_are_left():
    units = torch.ones(10, 10, requires_grad=True)
    dropped = Dropout(0.5)(units, randomness.key(0, "x"))
    dropped.sum().backward()
    assert torch.equal(units.grad, dropped.detach())  # each unit was 1: its output is its slope, 0 or 2


def test_dropout_of_rate_0_changes_nothing():
    units = torch.randn(5, 6, generator=rng())
    assert torch.equal(Dropout(0.0)(units, randomness.key(0, "x")), units)
