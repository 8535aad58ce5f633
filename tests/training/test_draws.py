"""What each update of a run alone sees."""

import torch

from deeprob import randomness
from deeprob.training.draws import Draws


def test_batches_are_those_of_the_seed(bench):
    draws = Draws(bench.examples, 32, 5, noisy=False)
    order = randomness.permutation(randomness.fold(randomness.key(5, "batches"), 1), 90)
    for step, places in ((3, order[:32]), (4, order[32:64]), (5, order[64:])):
        batch, key = draws[step]
        assert key is None
        assert torch.equal(batch.inputs, bench.examples.inputs[places])
        assert torch.equal(batch.targets, bench.examples.targets[places])


def test_a_full_batch_is_all_in_their_own_order(bench):
    batch, _ = Draws(bench.examples, 10**6, 5, noisy=False)[7]
    assert torch.equal(batch.inputs, bench.examples.inputs)


def test_the_key_of_random_numbers_is_the_seeds_and_the_steps(bench):
    draws = Draws(bench.examples, 32, 5, noisy=True)
    assert [draws[step][1] for step in (0, 7)] == [
        randomness.fold(randomness.key(5, "dropout"), step) for step in (0, 7)
    ]


def test_what_is_augmented_has_a_key_of_its_own_and_leaves_the_examples_alone(bench):
    seen, before = [], bench.examples.inputs.clone()
    draws = Draws(bench.examples, 32, 5, noisy=True, augment=lambda inputs, key: seen.append(key) or -inputs)
    plain = Draws(bench.examples, 32, 5, noisy=True)
    batch, key = draws[2]
    assert torch.equal(batch.inputs, -plain[2][0].inputs)
    assert torch.equal(batch.targets, plain[2][0].targets)
    assert seen == [randomness.fold(randomness.key(5, "augmentation"), 2)]
    assert key == plain[2][1] != seen[0]
    assert torch.equal(bench.examples.inputs, before)


def test_a_draw_is_a_function_of_the_step_alone(bench):
    draws, others = (Draws(bench.examples, 32, 5, noisy=True) for _ in range(2))
    later = [draws[step][0].inputs for step in (8, 0, 4)]
    assert all(torch.equal(inputs, others[step][0].inputs) for inputs, step in zip(later, (8, 0, 4), strict=True))
