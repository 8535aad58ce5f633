import numpy as np
import pytest
import torch

from deeprob.data import GaussiansConfig


def test_ten_classes_of_ten_inputs():
    splits = GaussiansConfig().load()
    assert splits.train.inputs.shape == splits.test.inputs.shape == (1000, 10)
    assert splits.train.inputs.dtype == torch.float32
    assert torch.bincount(splits.train.targets).tolist() == [100] * 10
    assert splits.classes[:2] == ("cloud 0", "cloud 1")
    assert not torch.equal(splits.train.inputs, splits.test.inputs)


def test_clouds_are_standard_normal_around_centres_that_both_splits_share():
    stats = pytest.importorskip("scipy.stats")
    config = GaussiansConfig(
        classes=3, inputs=4, separation=50, points_per_class=2000, test_points_per_class=500, seed=2
    )
    splits = config.load()
    for place in range(3):
        train, test = (part.inputs[part.targets == place].double() for part in (splits.train, splits.test))
        np.testing.assert_allclose(train.mean(0), test.mean(0), atol=0.25)
        assert stats.kstest(np.asarray(train - train.mean(0)).ravel(), "norm").pvalue > 0.01
    centres = torch.stack([splits.train.inputs[splits.train.targets == place].mean(0) for place in range(3)])
    assert 20 < centres.std() < 80


def test_without_separation_there_is_nothing_to_tell_apart():
    splits = GaussiansConfig(separation=0, classes=2, points_per_class=5000).load()
    one, other = (splits.train.inputs[splits.train.targets == place].mean(0) for place in range(2))
    assert (one - other).abs().max() < 0.1


def test_other_seeds_other_clouds_and_validation():
    one, other = (GaussiansConfig(seed=seed, val_fraction=0.1).load() for seed in (0, 1))
    assert (len(one.train), len(one.val), len(one.test)) == (900, 100, 1000)
    assert not torch.equal(one.test.inputs, other.test.inputs)
