import math

import numpy as np
import pytest
import torch

from deeprob.data import SpiralsConfig
from deeprob.data.spirals import spirals


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turned(inputs: torch.Tensor) -> np.ndarray:
    """Angle clockwise from the vertical axis, in turns within [0, 1)."""
    x, y = inputs.double().numpy().T
    return np.arctan2(x, y) / (2 * math.pi) % 1


def radii(inputs: torch.Tensor) -> np.ndarray:
    return np.hypot(*inputs.double().numpy().T)


def away(turns: np.ndarray) -> np.ndarray:
    """Distance from a whole number of turns."""
    return np.abs(turns - np.round(turns))


def test_shapes_and_types():
    points = spirals(4, 5, turns=0.64, noise=0.2, rng=rng())
    assert points.inputs.shape == (20, 2)
    assert points.inputs.dtype == torch.float32
    assert points.targets.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert points.targets.dtype == torch.int64


def test_each_point_lies_in_its_own_ring():
    radius = radii(spirals(3, 10, turns=0.64, noise=0.2, rng=rng()).inputs).reshape(3, 10)
    inner = np.arange(10) / 10
    assert (radius >= inner - 1e-6).all()
    assert (radius <= inner + 0.1 + 1e-6).all()


def test_without_turns_and_noise_the_arms_are_straight():
    up, right, down, left = spirals(4, 50, turns=0, noise=0, rng=rng()).inputs.reshape(4, 50, 2)
    assert (up[:, 1] > 0).all()
    assert (right[:, 0] > 0).all()
    assert (down[:, 1] < 0).all()
    assert (left[:, 0] < 0).all()
    for straight in (up[:, 0], right[:, 1], down[:, 0], left[:, 1]):
        assert straight.abs().max() < 1e-6


@pytest.mark.parametrize("turns", [0.25, 0.64, 2.0])
def test_without_noise_the_angle_grows_with_the_radius(turns):
    points = spirals(3, 40, turns=turns, noise=0, rng=rng())
    arm = np.repeat([0, 1 / 3, 2 / 3], 40)
    assert away(turned(points.inputs) - arm - turns * radii(points.inputs)).max() < 1e-5


def test_noise_is_the_deviation_of_the_angle_in_radians():
    points = spirals(2, 5000, turns=0.5, noise=0.2, rng=rng())
    off = turned(points.inputs) - np.repeat([0, 0.5], 5000) - 0.5 * radii(points.inputs)
    radians = 2 * math.pi * (off - np.round(off))
    assert abs(radians.mean()) < 5 * 0.2 / math.sqrt(10_000)
    assert abs(radians.std() - 0.2) < 5 * 0.2 / math.sqrt(2 * 10_000)


def test_load_has_the_counts_and_names_of_the_config():
    splits = SpiralsConfig(classes=5, points_per_class=8, test_points_per_class=3).load()
    assert torch.bincount(splits.train.targets).tolist() == [8] * 5
    assert torch.bincount(splits.test.targets).tolist() == [3] * 5
    assert splits.val is None
    assert splits.classes == ("arm 0", "arm 1", "arm 2", "arm 3", "arm 4")


def test_the_test_points_are_others_than_the_training_points():
    splits = SpiralsConfig(points_per_class=50, test_points_per_class=50).load()
    train, test = (set(map(tuple, part.inputs.tolist())) for part in (splits.train, splits.test))
    assert len(train) == len(test) == 150
    assert not train & test


def test_the_seed_decides_the_points():
    first, again, other = (SpiralsConfig(points_per_class=10, seed=seed).load() for seed in (0, 0, 1))
    for split in ("train", "test"):
        assert torch.equal(getattr(first, split).inputs, getattr(again, split).inputs)
        assert not torch.equal(getattr(first, split).inputs, getattr(other, split).inputs)


def test_more_test_points_do_not_change_the_training_points():
    few, many = (SpiralsConfig(points_per_class=10, test_points_per_class=n).load() for n in (1, 100))
    assert torch.equal(few.train.inputs, many.train.inputs)


def test_limit_and_val_fraction_apply_to_the_training_points_alone():
    splits = SpiralsConfig(points_per_class=30, test_points_per_class=7, limit=60, val_fraction=0.25).load()
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [45, 15, 21]
