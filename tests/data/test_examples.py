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
