import math
import os

import pytest
import torch
from omegaconf import OmegaConf
from sklearn.model_selection import KFold, StratifiedKFold

from deeprob import config, randomness
from deeprob.data import CIFAR10Config, CSVConfig, DatasetConfig, Examples, ImageFolderConfig, SpiralsConfig, Splits
from deeprob.data.base import divided, draw_evenly, note_once, place
from deeprob.errors import UserError


def examples(*counts: int) -> Examples:
    """Numbered examples, so many of each class, their classes mixed."""
    targets = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))]
    return Examples(torch.arange(len(targets)).reshape(-1, 1), targets)


def numbers(part: Examples) -> set[int]:
    found = part.inputs.flatten().tolist()
    assert len(set(found)) == len(found)
    return set(found)


# ---------------------------------------------------------------- draw_evenly


@pytest.mark.parametrize(
    ("counts", "drawn", "expected"),
    [
        ((60, 30, 10), 3, [2, 1, 0]),  # nearest to 1.8, 0.9, 0.3
        ((60, 30, 10), 10, [6, 3, 1]),
        ((60, 30, 10), 50, [30, 15, 5]),
        ((50, 50), 20, [10, 10]),
        ((40, 0, 60), 5, [2, 0, 3]),
        ((60, 30, 10), 100, [60, 30, 10]),
        ((60, 30, 10), 0, [0, 0, 0]),
    ],
)
def test_classes_are_drawn_in_their_proportions(counts, drawn, expected):
    targets = examples(*counts).targets
    picked = draw_evenly(targets, drawn, seed=0, name="x")
    assert torch.bincount(targets[picked], minlength=len(counts)).tolist() == expected


@pytest.mark.parametrize("drawn", range(1, 97, 7))
def test_classes_of_equal_size_differ_by_one_at_most(drawn):
    targets = examples(32, 32, 32).targets
    picked = torch.bincount(targets[draw_evenly(targets, drawn, seed=0, name="x")], minlength=3)
    assert picked.sum() == drawn
    assert picked.max() - picked.min() <= 1


def test_the_draw_is_a_function_of_seed_and_name():
    targets = examples(50, 50).targets

    def draw(seed: int, name: str) -> list[int]:
        return draw_evenly(targets, 20, seed, name).tolist()

    assert draw(0, "test") == draw(0, "test")
    assert draw(0, "test") != draw(1, "test")
    assert draw(0, "test") != draw(0, "limit")


def test_positions_ascend_without_repetition():
    picked = draw_evenly(examples(50, 30).targets, 40, seed=0, name="x")
    assert (picked.diff() > 0).all()


def test_every_example_of_a_class_is_as_likely_as_the_others():
    targets, draws = examples(20, 20).targets, 1000
    times = torch.zeros(40)
    for seed in range(draws):
        times[draw_evenly(targets, 10, seed, "x")] += 1
    # one in four: mean 250, deviation √(1000·¼·¾) = 13.7
    assert (times - 250).abs().max() < 5 * math.sqrt(1000 * 0.25 * 0.75)


# ---------------------------------------------------------------- limit and val_fraction


def finish(train: Examples, **fields: float):
    return DatasetConfig(**fields).finish(train, examples(5, 5), ("a", "b"))


def test_without_limit_and_fraction_nothing_changes():
    train = examples(30, 10)
    splits = finish(train)
    assert torch.equal(splits.train.inputs, train.inputs)
    assert torch.equal(splits.train.targets, train.targets)
    assert splits.val is None
    assert splits.classes == ("a", "b")


def test_limit_keeps_so_many_in_their_proportions():
    splits = finish(examples(30, 10), limit=20)
    assert torch.bincount(splits.train.targets).tolist() == [15, 5]
    assert len(splits.test) == 10


@pytest.mark.parametrize("limit", [40, 41, 10**9])
def test_a_limit_above_the_size_keeps_all(limit):
    assert numbers(finish(examples(30, 10), limit=limit).train) == set(range(40))


@pytest.mark.parametrize(("fraction", "sizes"), [(0.25, (30, 10)), (0.9, (4, 36)), (0.03, (39, 1))])
def test_val_fraction_parts_the_training_examples(fraction, sizes):
    splits = finish(examples(30, 10), val_fraction=fraction)
    assert (len(splits.train), len(splits.val)) == sizes
    assert numbers(splits.train) | numbers(splits.val) == set(range(40))
    assert not numbers(splits.train) & numbers(splits.val)


def test_targets_stay_with_their_inputs():
    everything = examples(30, 10)
    splits = finish(everything, val_fraction=0.25, limit=36)
    for part in (splits.train, splits.val):
        assert torch.equal(part.targets, everything.targets[part.inputs.flatten()])


def test_validation_has_the_classes_in_their_proportions():
    assert torch.bincount(finish(examples(30, 10), val_fraction=0.2).val.targets).tolist() == [6, 2]


def test_validation_is_taken_from_what_the_limit_left():
    limited = finish(examples(30, 10), limit=20)
    splits = finish(examples(30, 10), limit=20, val_fraction=0.25)
    assert (len(splits.train), len(splits.val)) == (15, 5)
    assert numbers(splits.train) | numbers(splits.val) == numbers(limited.train)


@pytest.mark.parametrize("limit", [None, 20])
def test_a_validation_split_that_comes_with_the_data_stays_whole(limit):
    val = examples(6, 6)
    splits = DatasetConfig(limit=limit).finish(examples(30, 10), examples(5, 5), ("a", "b"), val)
    assert splits.val is val
    assert numbers(splits.train) == numbers(finish(examples(30, 10), limit=limit).train)


def test_a_fraction_makes_a_validation_split():
    assert not DatasetConfig().has_validation
    assert DatasetConfig(val_fraction=0.1).has_validation


def test_the_dataset_s_seed_draws_the_split():
    first, again, other = (finish(examples(30, 10), val_fraction=0.25, seed=seed) for seed in (0, 0, 1))
    assert numbers(first.val) == numbers(again.val) != numbers(other.val)


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 0), (0.99, 10)])
def test_a_split_that_would_be_empty_is_an_error(fraction, count):
    with pytest.raises(UserError) as caught:
        finish(examples(5, 5), val_fraction=fraction)
    assert str(caught.value) == (
        f"dataset.val_fraction={fraction}: 10 training examples give a split of {count} for validation; "
        "each side needs at least one"
    )


@pytest.mark.parametrize("seed", [2**63, 10**20, 10**400], ids=["2^63", "10^20", "10^400"])
def test_a_seed_that_does_not_fit_64_bits_is_named(seed):
    with pytest.raises(UserError, match=f"^seed={seed}: "):
        config.load(DatasetConfig, OmegaConf.structured(DatasetConfig(seed=seed)))


def test_the_largest_seed_draws():
    assert len(finish(examples(5, 5), limit=4, seed=2**63 - 1).train) == 4


@pytest.mark.parametrize("home", ["~", "~nobody-of-that-name"])
def test_a_home_that_nobody_knows(monkeypatch, home):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(UserError) as caught:
        place(f"{home}/x")
    assert str(caught.value) == f"dataset.root={home}/x: no home directory known as {home}; give a path without it"


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize(
    ("counts", "folds"),
    [((20, 20, 20), 5), ((33, 7, 12), 5), ((5, 90), 3), ((1, 2, 30), 10), ((3, 0, 4), 3), ((10, 11, 12, 13), 2)],
)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_folds_of_classes_are_those_of_scikit_learn(counts, folds, seed):
    targets = examples(*counts).targets
    order = torch.randperm(len(targets), generator=randomness.generator(seed, "folds"))
    expected = StratifiedKFold(folds).split(order, targets[order])
    found = divided(targets, folds, seed)
    assert len(found) == folds
    for part, (_, test) in zip(found, expected, strict=True):
        assert part.tolist() == order[torch.from_numpy(test)].sort().values.tolist()


@pytest.mark.parametrize(("count", "folds"), [(10, 5), (13, 5), (5, 5), (100, 7)])
def test_the_folds_of_numbers_are_those_of_scikit_learn(count, folds):
    order = torch.randperm(count, generator=randomness.generator(3, "folds"))
    for part, (_, test) in zip(divided(torch.zeros(count, 2), folds, 3), KFold(folds).split(order), strict=True):
        assert part.tolist() == order[torch.from_numpy(test)].sort().values.tolist()


def held_out(everything: Examples, classes: tuple[str, ...] = ("a", "b"), **settings) -> Splits:
    return CSVConfig(root="", **settings).hold_out(everything, 0.5, classes)


@pytest.mark.parametrize("settings", [{}, {"limit": 12}, {"val_fraction": 0.25}])
def test_each_fold_is_the_test_split_once(settings):
    everything = examples(12, 9)
    splits = [held_out(everything, folds=3, fold=fold, **settings) for fold in range(3)]
    assert sorted(numbers(splits[0].test) | numbers(splits[1].test) | numbers(splits[2].test)) == list(range(21))
    for part in splits:
        assert torch.bincount(part.test.targets).tolist() == [4, 3]
        assert torch.equal(part.test.targets, everything.targets[part.test.inputs.flatten()])
        assert not numbers(part.test) & numbers(part.train)
        others = 0 if part.val is None else len(part.val)
        assert len(part.train) + others == settings.get("limit", 14)
        assert others == (4 if "val_fraction" in settings else 0)


def test_the_dataset_s_seed_draws_the_folds():
    tests = [numbers(held_out(examples(20, 20), folds=4, seed=seed).test) for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(
    ("everything", "classes", "message"),
    [
        (examples(3, 4), ("a", "b"), "only 4 examples of the largest class; make fewer folds"),
        (Examples(torch.zeros(4, 1), torch.zeros(4, 2)), (), "only 4 examples; make fewer folds"),
    ],
)
def test_more_folds_than_examples(everything, classes, message):
    with pytest.raises(UserError) as error:
        held_out(everything, classes, folds=5)
    assert str(error.value) == f"dataset.folds=5: {message}"


def test_a_class_that_some_folds_lack_is_noted_once(capsys):
    note_once.cache_clear()
    for fold in range(5):
        held_out(examples(5, 4), folds=5, fold=fold)
    start, end = "note: dataset.folds=5: ", "fewer examples than there are folds, so some folds have none\n"
    assert capsys.readouterr().err == f"{start}b has {end}"
    held_out(examples(1, 2, 3, 4, 5), ("a", "b", "c", "d", "e"), folds=5)
    assert capsys.readouterr().err == f"{start}a, b, c and 1 more classes have {end}"


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        (CSVConfig, {"folds": 1}, "folds=1: expected 2 or more, or 0 for no folds"),
        (CSVConfig, {"folds": 3, "fold": 3}, "fold=3: expected a number below dataset.folds=3"),
        (CSVConfig, {"fold": 1}, "fold=1: expected dataset.folds=5, say, beside it"),
        (
            CSVConfig,
            {"folds": 3, "test": "test.csv"},
            "folds=3: dataset=csv has a test split of its own; folds are made of examples that have none; leave "
            "dataset.test out",
        ),
        (CSVConfig, {"folds": 3, "fold": 2}, ""),
        (SpiralsConfig, {"folds": 3}, "folds=3: dataset=spirals has a test split of its own"),
        (CIFAR10Config, {"folds": 3}, "folds=3: dataset=cifar10 has a test split of its own"),
        (ImageFolderConfig, {"folds": 3}, ""),
    ],
)
def test_folds_that_cannot_be(dataset, settings, message):
    problems = list(dataset(**settings).problems())
    assert len(problems) == bool(message)
    assert "".join(problems).startswith(message)


def test_a_test_split_that_comes_with_the_data_makes_no_folds():
    with pytest.raises(UserError, match=r"dataset.folds=2: dataset=csv has a test split of its own"):
        CSVConfig(root="", folds=2).finish(examples(3, 3), examples(3, 3), ("a", "b"))
