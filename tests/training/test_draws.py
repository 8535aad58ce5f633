"""What each update of each run sees. The order of the examples is that of their seed, whatever else is drawn."""

import itertools

import pytest
import torch

from deeprob import randomness
from deeprob.data import Examples
from deeprob.training import draws as module
from deeprob.training.draws import Draws


def numbered(count: int) -> Examples:
    """Examples whose input and target are their place."""
    return Examples(torch.arange(float(count))[:, None], torch.arange(count))


def places(draws: Draws, step: int, run: int = 0) -> list[int]:
    batch = draws[step]
    assert torch.equal(batch.inputs[..., 0].long(), batch.targets)
    assert batch.targets.shape == (draws.runs, draws.count(step))
    return batch.targets[run].tolist()


def order_of(seed: int, epoch: int, count: int) -> list[int]:
    return randomness.permutation(randomness.fold(randomness.key(seed, "batches"), epoch), count).tolist()


@pytest.fixture(params=["reordered", "drawn batch by batch"])
def either(request, monkeypatch):
    """Whether the inputs of an epoch are reordered at once."""
    if request.param != "reordered":
        monkeypatch.setattr(module, "LIMIT", 0)


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (9, 8, [8, 1]), (3, 1, [1, 1, 1])]
)
@pytest.mark.usefixtures("either")
def test_the_last_batch_holds_what_is_left(count, batch_size, sizes):
    draws = Draws(numbered(count), batch_size, [0])
    assert draws.per_epoch == len(sizes)
    assert [len(places(draws, step)) for step in range(2 * len(sizes))] == 2 * sizes
    assert [draws.count(step) for step in range(2 * len(sizes))] == 2 * sizes


@pytest.mark.parametrize("seeds", [[5], [3, 5], [5, 1, 5, 2**40]], ids=str)
@pytest.mark.usefixtures("either")
def test_batches_are_those_of_the_seed_and_the_epoch(seeds):
    draws = Draws(numbered(10), 4, seeds)
    for epoch, (run, seed) in itertools.product((0, 1, 5), enumerate(seeds)):
        order = order_of(seed, epoch, 10)
        assert [places(draws, 3 * epoch + batch, run) for batch in range(3)] == [order[:4], order[4:8], order[8:]]


def test_epochs_and_seeds_are_shuffled_differently():
    orders = [order_of(seed, epoch, 100) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(sorted(order) == list(range(100)) != order for order in orders)
    assert all(one != other for one, other in itertools.combinations(orders, 2))


@pytest.mark.usefixtures("either")
def test_a_draw_is_a_function_of_the_step_alone():
    forwards, backwards = Draws(numbered(10), 4, [1, 2]), Draws(numbered(10), 4, [1, 2])
    drawn = [[places(forwards, step, run) for run in (0, 1)] for step in range(9)]
    assert [[places(backwards, step, run) for run in (0, 1)] for step in reversed(range(9))] == drawn[::-1]


@pytest.mark.parametrize("batch_size", [10, 11, 1000])
def test_a_batch_as_large_as_the_split_keeps_its_own_order(batch_size):
    examples = numbered(10)
    draws = Draws(examples, batch_size, [0, 1])
    assert (draws.batch_size, draws.per_epoch) == (10, 1)
    assert [places(draws, step, run) for step in (0, 7) for run in (0, 1)] == [list(range(10))] * 4
    assert draws[3].inputs.data_ptr() == examples.inputs.data_ptr()  # nothing is copied


@pytest.mark.parametrize("batch_size", [4, 10])
def test_keys_of_random_numbers_are_the_seeds_and_the_steps(batch_size):
    assert Draws(numbered(10), batch_size, [5])[3].keys is None
    draws = Draws(numbered(10), batch_size, [5, 6], noisy=True)
    for step in (0, 7):
        keys = [randomness.fold(randomness.key(seed, "dropout"), step).item() for seed in (5, 6)]
        assert draws[step].keys.tolist() == keys


@pytest.mark.parametrize("batch_size", [4, 10])
def test_augmentation_has_a_key_of_its_own_and_leaves_the_examples_alone(batch_size):
    examples = numbered(10)
    before = examples.inputs.clone()
    draws = Draws(examples, batch_size, [5, 6], noisy=True, augment=lambda inputs, key: inputs + key % 1000)
    plain = Draws(examples, batch_size, [5, 6], noisy=True)
    for step in (2, 0):
        batch, unchanged = draws[step], plain[step]
        keys = [randomness.fold(randomness.key(seed, "augmentation"), step).item() % 1000 for seed in (5, 6)]
        assert (batch.inputs - unchanged.inputs).unique(dim=1).flatten().tolist() == keys
        assert torch.equal(batch.targets, unchanged.targets)
        assert torch.equal(batch.keys, unchanged.keys)
        assert not {key % 1000 for key in batch.keys.tolist()} & set(keys)
    assert torch.equal(examples.inputs, before)


def test_only_small_inputs_are_reordered_at_once(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 2 * 40)  # ten floats for each of two runs
    assert [Draws(numbered(10), 4, range(runs))._small for runs in (2, 3)] == [True, False]
    assert not Draws(numbered(10), 4, [0], augment=lambda inputs, key: inputs)._small


def test_lists_of_numbers_as_targets_and_pictures_keep_their_shapes():
    examples = Examples(torch.arange(6 * 3 * 2 * 2, dtype=torch.uint8).view(6, 3, 2, 2), torch.rand(6, 2))
    batch = Draws(examples, 4, [0, 1])[0]
    assert (batch.inputs.shape, batch.inputs.dtype) == ((2, 4, 3, 2, 2), torch.uint8)
    for run in (0, 1):
        order = order_of(run, 0, 6)[:4]
        assert torch.equal(batch.inputs[run], examples.inputs[order])
        assert torch.equal(batch.targets[run], examples.targets[order])


@pytest.mark.parametrize("batch_size", [4, 10])
@pytest.mark.usefixtures("either")
def test_each_run_draws_from_its_own_split(batch_size):
    joined = numbered(30)  # three splits of ten examples
    draws = Draws(joined, batch_size, [5, 6, 5, 6], splits=torch.tensor([2, 0, 0, 1]))
    alone = [Draws(joined[slice(10 * split, 10 * split + 10)], batch_size, [seed]) for split, seed in enumerate([6, 6])]
    assert (draws.size, draws.per_epoch) == (10, alone[0].per_epoch)
    for step in range(2 * draws.per_epoch):
        assert places(draws, step, 1) == places(alone[0], step)
        assert places(draws, step, 3) == places(alone[1], step)
        assert places(draws, step, 0) == [20 + place for place in places(draws, step, 2)]


def test_whole_splits_are_copied_once():
    draws = Draws(numbered(20), 10, [5, 6], splits=torch.tensor([1, 0]))
    assert draws[0].inputs[..., 0].tolist() == [list(range(10, 20)), list(range(10))]
    assert draws[3].inputs.data_ptr() == draws[0].inputs.data_ptr()
