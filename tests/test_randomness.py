import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from deeprob import randomness

GOLDEN = 0x9E3779B97F4A7C15
WORD = 1 << 64


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def splitmix64(seed: int, count: int) -> list[int]:
    return [mix((seed + i * GOLDEN) % WORD) for i in range(1, count + 1)]


def unsigned(words: torch.Tensor) -> list[int]:
    return [word % WORD for word in words.tolist()]


def uniform(words: torch.Tensor) -> np.ndarray:
    return words.numpy().astype(np.float64) / 2**63  # in [-1, 1)


PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_the_reference_in_this_file_is_splitmix64():
    assert splitmix64(1234567, 5) == PUBLISHED


def test_bits_are_splitmix64():
    assert unsigned(randomness.bits(torch.tensor(1234567), 5)) == PUBLISHED


@pytest.mark.parametrize("state", [0, 1, -1, 2**63 - 1, -(2**63), 0x0123456789ABCDEF])
def test_bits_wrap_around_as_unsigned_words_do(state):
    assert unsigned(randomness.bits(torch.tensor(state), 20)) == splitmix64(state, 20)


@pytest.mark.parametrize("seed", [0, 7, 2**62])
@pytest.mark.parametrize("name", ["dropout", "order"])
def test_key_mixes_the_seed_with_the_hash_of_the_name(seed, name):
    salt = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    assert int(randomness.key(seed, name)) % WORD == mix(mix((seed + GOLDEN) % WORD) ^ salt)


def test_fold_gives_the_words_of_the_stream_one_by_one():
    stream = torch.tensor(1234567)
    assert [int(randomness.fold(stream, i)) % WORD for i in range(5)] == PUBLISHED


def test_fold_of_a_long_run_stays_within_64_bits():
    stream = randomness.key(0, "order")
    number = 10**12
    assert int(randomness.fold(stream, number)) % WORD == mix((int(stream) + (number + 1) * GOLDEN) % WORD)


def test_seeds_names_and_members_all_have_streams_of_their_own():
    names = ("a", "b", "dropout", "order")
    keys = [randomness.key(seed, name) for seed, name in itertools.product(range(50), names)]
    folds = [randomness.fold(key, number) for key in keys for number in range(20)]
    streams = torch.stack(keys + folds)
    assert len(streams) == 50 * 4 * 21
    assert len(streams.unique()) == len(streams)


def test_neighbouring_seeds_differ_in_half_of_their_bits():
    keys = np.array(unsigned(randomness.key(torch.arange(1000), "x")), dtype=np.uint64)
    flipped = np.bitwise_count(keys[1:] ^ keys[:-1])
    assert abs(flipped.mean() - 32) < 5 * 4 / math.sqrt(999)  # 64 coins: mean 32, deviation √(64·¼) = 4


def test_every_byte_value_comes_equally_often():
    octets = randomness.bits(randomness.key(0, "x"), 1 << 13).view(torch.uint8)
    counts = torch.bincount(octets, minlength=256).numpy()
    assert counts.sum() == 1 << 16
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


@pytest.mark.parametrize("family", ["seeds", "steps"])
def test_streams_are_not_correlated(family):
    seeds = torch.arange(32)
    keys = (
        randomness.key(seeds, "x")
        if family == "seeds"
        else torch.stack([randomness.fold(randomness.key(0, "x"), step) for step in range(32)])
    )
    count = 4096
    numbers = uniform(torch.stack([randomness.bits(key, count) for key in keys]))
    correlations = np.corrcoef(numbers)[np.triu_indices(32, k=1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(count)


def test_a_stream_is_not_correlated_with_itself():
    count = 1 << 14
    numbers = uniform(randomness.bits(randomness.key(0, "x"), count))
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]) < 5 / math.sqrt(count)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_permutation_holds_every_number_once(count):
    order = randomness.permutation(randomness.key(0, "order"), count)
    assert sorted(order.tolist()) == list(range(count))


def test_all_orders_of_three_come_equally_often():
    keys = randomness.bits(randomness.key(0, "order"), 6000)
    orders = randomness.permutation(keys, 3)
    counts = torch.bincount(orders[:, 0] * 3 + orders[:, 1], minlength=9)
    assert counts[[0, 4, 8]].tolist() == [0, 0, 0]  # the first two places never hold the same number
    assert 1e-4 < stats.chisquare(counts[[1, 2, 3, 5, 6, 7]].numpy()).pvalue < 1 - 1e-4


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_keep_mask_silences_its_share(rate):
    count = 100_000
    kept = randomness.keep_mask(randomness.key(0, "dropout"), torch.Size([count]), torch.tensor(rate))
    assert abs(int(kept.sum()) - count * (1 - rate)) < 5 * math.sqrt(count * rate * (1 - rate))


def test_the_four_entries_of_a_word_are_silenced_independently():
    kept = randomness.keep_mask(randomness.key(0, "dropout"), torch.Size([20_000, 4]), torch.tensor(0.5))
    pattern = (kept * torch.tensor([8, 4, 2, 1])).sum(1)
    assert 1e-4 < stats.chisquare(torch.bincount(pattern, minlength=16).numpy()).pvalue < 1 - 1e-4


def test_the_masks_of_a_stack_are_those_of_each_stream_alone():
    keys, rates, shape = randomness.key(torch.arange(4), "x"), torch.tensor([0.0, 0.1, 0.5, 0.9]), torch.Size([6, 3])
    masks = randomness.keep_mask(keys, shape, rates)
    alone = [randomness.keep_mask(key, shape, rate) for key, rate in zip(keys, rates, strict=True)]
    assert torch.equal(masks, torch.stack(alone))
    under_vmap = torch.vmap(lambda key, rate: randomness.keep_mask(key, shape, rate))(keys, rates)
    assert torch.equal(masks, under_vmap)


def test_keep_mask_of_rate_0_keeps_all():
    assert randomness.keep_mask(randomness.key(0, "x"), torch.Size([100_000]), torch.tensor(0.0)).all()


def test_keep_mask_of_a_rate_just_below_1_does_not_wrap_around():
    kept = randomness.keep_mask(randomness.key(0, "x"), torch.Size([10_000]), torch.tensor(1 - 2**-20))
    assert kept.sum() < 10  # one in 65536 is expected


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 4)])
def test_keep_mask_has_the_shape_asked_for(shape):
    kept = randomness.keep_mask(randomness.key(0, "x"), torch.Size(shape), torch.tensor(0.5))
    assert kept.shape == shape
    assert kept.dtype == torch.bool


def test_a_larger_rate_silences_the_same_entries_and_more():
    key, shape = randomness.key(0, "x"), torch.Size([1000])
    few, many = (randomness.keep_mask(key, shape, torch.tensor(rate)) for rate in (0.2, 0.6))
    assert not (many & ~few).any()


DRAWS = {
    "bits": lambda key: randomness.bits(key, 10),
    "fold": lambda key: randomness.fold(key, 3),
    "permutation": lambda key: randomness.permutation(key, 100),
    "keep_mask": lambda key: randomness.keep_mask(key, torch.Size([7, 5]), torch.full(key.shape, 0.3)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_stack_of_seeds_draws_what_each_seed_draws_alone(draw):
    seeds = [0, 1, 5, 2**40]
    together = draw(randomness.key(torch.tensor(seeds), "x"))
    alone = [draw(randomness.key(seed, "x")) for seed in seeds]
    assert torch.equal(together, torch.stack(alone))


def test_a_stack_may_have_a_rate_for_each_run():
    shape, rates = torch.Size([40]), torch.tensor([0.0, 0.5, 0.9])
    key = randomness.key(0, "x")
    together = torch.vmap(lambda rate: randomness.keep_mask(key, shape, rate))(rates)
    assert torch.equal(together, torch.stack([randomness.keep_mask(key, shape, rate) for rate in rates]))


def test_generator_is_a_function_of_seed_and_name():
    def draw(seed: int, name: str) -> list[float]:
        return torch.rand(4, generator=randomness.generator(seed, name)).tolist()

    assert draw(0, "weights") == draw(0, "weights")
    assert draw(0, "weights") != draw(1, "weights")
    assert draw(0, "weights") != draw(0, "split")


def test_generator_leaves_torchs_own_alone():
    before = torch.get_rng_state()
    torch.rand(4, generator=randomness.generator(0, "weights"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["weights", "split"])
def test_a_generator_is_seeded_by_63_bits_of_the_key(seed, name):
    assert randomness.generator(seed, name).initial_seed() == int(randomness.key(seed, name)) % 2**63


def test_torchs_own_generator_is_seeded_meanwhile():
    def draw(seed: int, name: str) -> list[float]:
        with randomness.seeded(seed, name):
            return torch.rand(4).tolist()

    before = torch.get_rng_state()
    assert draw(0, "layers") == draw(0, "layers")
    assert draw(0, "layers") != draw(1, "layers")
    assert draw(0, "layers") != draw(0, "others")
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), randomness.seeded(0, "layers"):
        _ = torch.rand(1) / 0 + 1 / 0
    assert torch.equal(torch.get_rng_state(), before)
