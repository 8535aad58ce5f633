import numpy as np
import pytest
import torch

from deeprob.data import RandomRegressionConfig


def test_the_twenty_line_networks_data():
    splits = RandomRegressionConfig().load()
    assert splits.train.inputs.shape == (64, 1000)
    assert splits.train.targets.shape == (64, 10)
    assert splits.outputs == 10
    assert splits.classes == ()
    assert splits.train.inputs.dtype == splits.train.targets.dtype == torch.float64
    assert not torch.equal(splits.train.inputs, splits.test.inputs)


def test_inputs_and_targets_are_standard_normal():
    stats = pytest.importorskip("scipy.stats")
    splits = RandomRegressionConfig(seed=3).load()
    for values in (splits.train.inputs, splits.test.inputs, splits.train.targets):
        assert stats.kstest(np.asarray(values).ravel(), "norm").pvalue > 0.01


def test_validation_examples_are_drawn_at_random():
    splits = RandomRegressionConfig(val_fraction=0.25, limit=40).load()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (30, 10, 64)
    whole = RandomRegressionConfig().load()
    assert torch.equal(splits.test.inputs, whole.test.inputs)
    places = {tuple(row): place for place, row in enumerate(whole.train.inputs[:, :3].tolist())}
    train, val = ([places[tuple(row)] for row in part.inputs[:, :3].tolist()] for part in (splits.train, splits.val))
    assert len({*train, *val}) == 40
    assert max(val) - min(val) > 20  # ten in a row would span 9
    other = RandomRegressionConfig(val_fraction=0.25, limit=40, seed=1).load()
    assert not torch.equal(splits.val.inputs, other.val.inputs)
