import itertools

import pytest
import torch

from deeprob import randomness
from deeprob.data import Batches


def batches(count: int, batch_size: int, seed: int = 0) -> Batches:
    return Batches(count, batch_size, randomness.key(seed, "order"))


def rows(order: Batches, steps: range) -> list[list[int]]:
    return [order[step].tolist() for step in steps]


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (9, 8, [8, 1]), (3, 1, [1, 1, 1])]
)
def test_the_last_batch_holds_what_is_left(count, batch_size, sizes):
    order = batches(count, batch_size)
    assert order.per_epoch == len(sizes)
    assert [len(batch) for batch in rows(order, range(len(sizes)))] == sizes


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_holds_every_example_once(epoch):
    epoch_rows = rows(batches(10, 4), range(3 * epoch, 3 * epoch + 3))
    assert sorted(itertools.chain(*epoch_rows)) == list(range(10))


def test_epochs_are_shuffled_anew():
    order = batches(100, 50)
    epochs = [order[2 * epoch].tolist() + order[2 * epoch + 1].tolist() for epoch in range(3)]
    assert epochs[0] != list(range(100))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_batch_is_a_function_of_its_number_alone():
    forwards = rows(batches(10, 4), range(9))
    order = batches(10, 4)
    backwards = [order[step].tolist() for step in reversed(range(9))]
    assert backwards[::-1] == forwards


def test_seeds_shuffle_differently():
    assert batches(100, 50, seed=0)[0].tolist() != batches(100, 50, seed=1)[0].tolist()


@pytest.mark.parametrize("batch_size", [10, 11, 1000])
def test_a_batch_as_large_as_the_split_keeps_its_own_order(batch_size):
    order = batches(10, batch_size)
    assert (order.batch_size, order.per_epoch) == (10, 1)
    assert torch.arange(10)[order[0]].tolist() == torch.arange(10)[order[7]].tolist() == list(range(10))
