import pytest
import torch

from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.training import ready as module
from deeprob.training.ready import made_ready, may_join, ready_together
from deeprob.training.training_data import TrainingData


@pytest.mark.parametrize("standardize", ["feature", "channel", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_those_of_the_features_bit_for_bit(standardize, dtype):
    inputs = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    features = RawConfig(standardize=standardize).build((3, 4, 4)).to(dtype=dtype)
    features.fit(inputs)
    prepared, examples = made_ready(features, Examples(inputs, torch.tensor([0, 1])), whole=True)
    assert prepared is None
    assert examples.inputs.dtype == dtype
    assert torch.equal(examples.inputs, features(inputs))
    assert examples.targets.tolist() == [0, 1]
    assert inputs.dtype == torch.uint8


def test_what_does_not_fit_stays_as_it_is():
    features = RawConfig().build((3,))
    examples = Examples(torch.ones(5, 3, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64))
    for whole, name in ((True, "limit"), (False, "small")):
        assert made_ready(features, examples, whole=whole, **{name: 59}) == (features, examples)
        prepared, ready = made_ready(features, examples, whole=whole, **{name: 60})
        assert (prepared, ready.inputs.dtype) == (None, torch.float32)


@pytest.mark.parametrize("standardize", ["feature", "none"])
def test_what_has_more_digits_is_made_ready_up_to_the_larger_size(standardize):
    table = 1e9 + torch.arange(15, dtype=torch.float64).reshape(5, 3)
    features = RawConfig(standardize=standardize).build((3,))
    features.fit(table)
    prepared, examples = made_ready(features, Examples(table, torch.zeros(5)), whole=False, small=59)
    assert (prepared, examples.inputs.dtype) == (None, torch.float32)
    assert torch.equal(examples.inputs[1:3], features(table[1:3]))
    for inputs in (table.float(), table.to(torch.uint8)):
        given = Examples(inputs, torch.zeros(5))
        assert made_ready(features, given, whole=False, small=59) == (features, given)
    double = features.to(torch.float64)
    given = Examples(table, torch.zeros(5))
    assert made_ready(double, given, whole=False, small=119) == (double, given)


def split_of(*rows: list[float], dtype: torch.dtype = torch.float32) -> TrainingData:
    features = RawConfig().build((2,))
    inputs = torch.tensor(rows, dtype=dtype)
    features.fit(inputs)
    return TrainingData(features, Examples(inputs, torch.arange(len(rows))))


def test_each_of_several_splits_is_prepared_by_its_own_features():
    one, other = split_of([0.0, 1.0], [2.0, 5.0]), split_of([10.0, 0.0], [20.0, 30.0])
    features, examples = ready_together([one, other], whole=False)
    assert features is None
    assert examples.inputs.tolist() == [[-1, -1], [1, 1], [-1, -1], [1, 1]]
    assert examples.targets.tolist() == [0, 1, 0, 1]


def test_splits_are_joined_up_to_a_size(monkeypatch):
    splits = [split_of([0.0, 1.0], [2.0, 5.0])] * 3  # 16 bytes each
    monkeypatch.setattr(module, "SMALL", 48)
    monkeypatch.setattr(module, "LIMIT", 80)
    assert may_join(splits, 100, whole=False)
    assert may_join(splits, 5, whole=True)
    assert not may_join(splits, 6, whole=True)  # each run gets a copy
    monkeypatch.setattr(module, "SMALL", 47)
    assert not may_join(splits, 3, whole=False)
    assert may_join([split_of([0.0, 1.0], dtype=torch.float64)] * 10, 3, whole=False)  # float32 once prepared
    assert not may_join([split_of([0.0, 1.0], dtype=torch.float64)] * 11, 3, whole=False)
