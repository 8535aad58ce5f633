import math

import pytest
import torch

from deeprob.config import options
from deeprob.data import ChevronsConfig, CirclesConfig, MoonsConfig, XorConfig
from deeprob.data.planar import PlanarConfig


@pytest.mark.parametrize("config", [cls for cls in options("dataset").values() if issubclass(cls, PlanarConfig)])
def test_shapes_classes_and_seeds(config):
    splits = config(points_per_class=30, test_points_per_class=10).load()
    classes = len(splits.classes)
    assert splits.train.inputs.shape == (30 * classes, 2)
    assert splits.train.inputs.dtype == torch.float32
    assert torch.bincount(splits.train.targets).tolist() == [30] * classes
    assert torch.bincount(splits.test.targets).tolist() == [10] * classes
    again = config(points_per_class=30).load()
    other = config(points_per_class=30, seed=1).load()
    assert torch.equal(splits.train.inputs, again.train.inputs)
    assert not torch.equal(splits.train.inputs, other.train.inputs)
    assert not torch.equal(splits.train.inputs[:10], splits.test.inputs[:10])


def test_circles_without_noise_have_their_radius():
    train = CirclesConfig(classes=4, noise=0.0, points_per_class=50).load().train
    radius = train.inputs.norm(dim=1)
    torch.testing.assert_close(radius, (train.targets + 1) / 4)
    quarters = torch.atan2(train.inputs[:, 1], train.inputs[:, 0]).div(math.pi / 2).floor()
    assert set(quarters.tolist()) == {-2, -1, 0, 1}


def test_the_noise_of_circles_is_that_of_the_radius():
    train = CirclesConfig(noise=0.1, points_per_class=10_000).load().train
    for ring, radius in enumerate((0.5, 1.0)):
        measured = train.inputs[train.targets == ring].norm(dim=1)
        assert measured.mean().item() == pytest.approx(radius, abs=0.005)
        assert measured.std().item() == pytest.approx(0.1, rel=0.05)


def test_moons_without_noise_lie_on_their_half_circles():
    train = MoonsConfig(noise=0.0, points_per_class=100).load().train
    upper, lower = (train.inputs[train.targets == moon] for moon in (0, 1))
    torch.testing.assert_close(upper.norm(dim=1), torch.ones(100))
    torch.testing.assert_close((lower - torch.tensor([1.0, 0.5])).norm(dim=1), torch.ones(100))
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()


def test_xor_is_the_sign_of_the_product():
    train = XorConfig(points_per_class=500).load().train
    assert torch.equal(train.targets, (train.inputs.prod(1) < 0).long())
    assert train.inputs.abs().max() <= 1
    corners = (train.inputs > 0).long() @ torch.tensor([2, 1])
    assert (torch.bincount(corners, minlength=4) > 150).all()


def test_chevrons_lie_above_and_below_the_absolute_value():
    train = ChevronsConfig(gap=0.2, thickness=0.5, points_per_class=2000).load().train
    x, y = train.inputs.T
    away = (y - x.abs()) * (1 - 2 * train.targets)
    assert away.min().item() == pytest.approx(0.1, abs=0.005)
    assert away.max().item() == pytest.approx(0.6, abs=0.005)
    assert (x.min().item(), x.max().item()) == pytest.approx((-1, 1), abs=0.01)
    assert x.mean().abs() < 0.05


def test_distractors_are_noise_beside_the_same_points():
    plain, wide = MoonsConfig(points_per_class=500).load(), MoonsConfig(points_per_class=500, distractors=3).load()
    assert wide.train.inputs.shape == (1000, 5)
    assert torch.equal(wide.train.inputs[:, :2], plain.train.inputs)
    assert torch.equal(wide.train.targets, plain.train.targets)
    noise = wide.train.inputs[:, 2:]
    assert noise.mean(0).abs().max() < 0.15
    assert noise.std(0).sub(1).abs().max() < 0.1
    by_class = [noise[wide.train.targets == target].mean(0) for target in (0, 1)]
    assert (by_class[0] - by_class[1]).abs().max() < 0.2
    assert not torch.equal(wide.test.inputs[:1000, 2:], noise)
