import dataclasses

import pytest
import torch

from deeprob.data import Examples


@pytest.fixture
def five() -> Examples:
    return Examples(torch.arange(10.0).reshape(5, 2), torch.tensor([0, 1, 2, 1, 0]))


def test_length_is_the_number_of_examples(five):
    assert len(five) == 5


def test_a_slice_gives_views(five):
    part = five[1:3]
    assert part.inputs.tolist() == [[2, 3], [4, 5]]
    assert part.targets.tolist() == [1, 2]
    part.inputs[0, 0] = -1
    assert five.inputs[1, 0] == -1


def test_an_index_gathers_in_its_own_order_and_copies(five):
    part = five[torch.tensor([4, 0, 4])]
    assert part.inputs.tolist() == [[8, 9], [0, 1], [8, 9]]
    assert part.targets.tolist() == [0, 0, 0]
    part.inputs[1, 0] = -1
    assert five.inputs[0, 0] == 0


def test_to_moves_inputs_and_targets(five):
    moved = five.to(torch.device("meta"))
    assert (moved.inputs.device.type, moved.targets.device.type) == ("meta", "meta")
    assert five.inputs.device.type == "cpu"


def test_examples_do_not_change(five):
    with pytest.raises(dataclasses.FrozenInstanceError):
        five.inputs = five.targets


@pytest.mark.parametrize(
    ("inputs", "dtype", "expected"),
    [
        (torch.float64, torch.float32, torch.float64),
        (torch.float32, torch.float64, torch.float64),
        (torch.float16, torch.float32, torch.float32),
        (torch.uint8, torch.float64, torch.uint8),
    ],
)
def test_inputs_keep_their_digits_until_the_batch(inputs, dtype, expected):
    made = Examples(torch.zeros(2, 1, dtype=inputs), torch.zeros(2, 1, dtype=torch.float64)).for_batches(dtype)
    assert (made.inputs.dtype, made.targets.dtype) == (expected, dtype)
    assert Examples(made.inputs, torch.tensor([0, 1])).for_batches(dtype).targets.dtype == torch.int64


def test_whole_weights_stay_and_rows_of_weight_0_go(five):
    some = Examples.weighted(five.inputs, five.targets, torch.tensor([2, 0, 1, 0, 4]))
    assert some.inputs[:, 0].tolist() == [0, 4, 8]
    assert some.targets.tolist() == [0, 2, 0]
    assert some.weights.tolist() == [2, 1, 4]
    assert some.weights.dtype == torch.float64
    assert some.total == 7
    assert some.shares.tolist() == pytest.approx([6 / 7, 3 / 7, 12 / 7])
    assert (five.total, five.shares) == (5, None)


@pytest.mark.parametrize("unit", [1.0, 1e-300, 1e300])
def test_other_weights_are_scaled_to_mean_1(five, unit):
    some = Examples.weighted(five.inputs, five.targets, unit * torch.tensor([0.5, 0, 1, 0.25, 0], dtype=torch.float64))
    assert some.weights.tolist() == pytest.approx([6 / 7, 12 / 7, 3 / 7])
    assert some.total == 3


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1, -1, 1, 1], "a weight is negative"),
        ([1, 1, float("nan"), 1, 1], "a weight is not a finite number"),
        ([1, 1, float("inf"), 1, 1], "a weight is not a finite number"),
        ([0, 0, 0, 0, 0], "no weight is above 0"),
    ],
)
def test_weights_that_are_none(five, weights, message):
    with pytest.raises(ValueError, match=message):
        Examples.weighted(five.inputs, five.targets, torch.tensor(weights))


def test_weights_go_with_their_rows(five):
    some = Examples.weighted(five.inputs, five.targets, torch.tensor([1, 2, 3, 4, 5]))
    assert some[1:3].weights.tolist() == [2, 3]
    assert some[torch.tensor([4, 0])].weights.tolist() == [5, 1]
    assert some.to(torch.device("meta")).weights.device.type == "meta"
    for changed in (some.for_batches(torch.float32), some.as_floats(torch.float32)):
        assert changed.weights.tolist() == [1, 2, 3, 4, 5]
