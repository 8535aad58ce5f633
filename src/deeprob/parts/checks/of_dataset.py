"""The clauses of a dataset."""

from dataclasses import replace

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.data import Examples, Splits
from deeprob.errors import UserError, one_line
from deeprob.parts.part_trial import (
    Clause,
    LeftOut,
    PartTrial,
    clause,
    concerns,
    dtype_name,
    expect,
    expect_same,
    generators,
    states_of_generators,
)

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

SPLITS = ("train", "val", "test")


def _parts_of(splits: Splits) -> dict[str, Examples]:
    """Return the splits by name, without those that are None."""
    return {name: part for name in SPLITS if (part := getattr(splits, name)) is not None}


@clause(CLAUSES, "load() returns Splits whose inputs (N, …) are finite floats, or uint8 pictures (N, C, H, W)")
def _loads(trial: PartTrial) -> None:
    splits = trial.part.load()
    expect(isinstance(splits, Splits), "load() to return deeprob.parts.Splits", type(splits).__name__)
    shapes = {tuple(part.inputs.shape[1:]) for part in _parts_of(splits).values()}
    expect(len(shapes) == 1, "one shape of inputs in all splits", sorted(shapes))
    for name, part in _parts_of(splits).items():
        inputs, targets = part.inputs, part.targets
        expect(
            len(inputs) == len(targets) > 0,
            f"as many inputs as targets in {name}, one or more",
            f"{len(inputs)} and {len(targets)}",
        )
        picture = inputs.dtype == torch.uint8 and inputs.dim() == 4
        known = inputs.is_floating_point() and inputs.dim() >= 2
        expect(
            picture or known,
            f"float inputs (N, …) or uint8 pictures (N, C, H, W) in {name}",
            f"{dtype_name(inputs.dtype)} {list(inputs.shape)}",
        )
        expect(bool(inputs.isfinite().all()), f"finite inputs in {name}", "NaN or infinity")


@clause(
    CLAUSES, "Targets are int64 class numbers below the number of classes (N,), or floats (N, K) if regression says so"
)
def _targets(trial: PartTrial) -> None:
    splits = trial.part.load()
    regression = trial.part.regression
    expect(
        regression == (not splits.classes),
        f"{'no classes' if regression else 'names of classes'}, because regression={regression}",
        splits.classes,
    )
    expect(
        regression or len(set(splits.classes)) == len(splits.classes) >= 2,
        "two classes or more, each with its own name",
        splits.classes,
    )
    for name, part in _parts_of(splits).items():
        found = part.targets
        kind = f"{dtype_name(found.dtype)} {list(found.shape)}"
        if regression:
            expect(found.is_floating_point() and found.dim() == 2, f"float targets (N, K) in {name}", kind)
            expect(bool(found.isfinite().all()), f"finite targets in {name}", "NaN or infinity")
            continue
        expect(found.dtype == torch.int64 and found.dim() == 1, f"int64 targets (N,) in {name}", kind)
        low, high = int(found.min()), int(found.max())
        expect(
            low >= 0 and high < len(splits.classes),
            f"targets from 0 to {len(splits.classes) - 1} in {name}",
            f"{low} to {high}",
        )
    if not regression:
        seen = len(splits.train.targets.unique())
        expect(seen >= 2, "two classes or more in the training split", seen)


@clause(
    CLAUSES,
    "The same settings give the same examples, and the global generators stay as they are",
)
def _same_seed(trial: PartTrial) -> None:
    found = []
    for state in (1, 2):
        with generators(state):
            before = states_of_generators()
            found.append({name: (part.inputs, part.targets) for name, part in _parts_of(trial.part.load()).items()})
            expect_same(states_of_generators(), before, "in the global generators after load()")
    expect_same(found[0], found[1], "twice: draw from deeprob.parts.randomness.generator(self.seed, NAME)")


@clause(CLAUSES, "Examples for validation and test are no training examples")
def _disjoint(trial: PartTrial) -> None:
    splits = _parts_of(trial.part.load())
    train = _rows(splits["train"])
    inside = 1 - len(set(train)) / len(train)  # tables may have equal rows
    for name in ("val", "test"):
        if name in splits:
            known, others = set(train), _rows(splits[name])
            share = sum(row in known for row in others) / len(others)
            expect(share <= 0.1 + 2 * inside, f"no training examples in {name}", f"{share:.0%} of its examples")


def _rows(examples: Examples) -> list[bytes]:
    """Return the inputs and the target of each example as bytes."""
    return [i.numpy().tobytes() + t.numpy().tobytes() for i, t in zip(examples.inputs, examples.targets, strict=True)]


@clause(CLAUSES, "dataset.limit and dataset.val_fraction hold (finish() and hold_out() see to it)")
def _limit(trial: PartTrial) -> None:
    whole = trial.part.load()
    half = len(whole.train) // 2
    concerns(half > 4, "there are too few examples")
    found = replace(trial.part, limit=half).load()
    kept = len(found.train) + (len(found.val) if found.val is not None and trial.part.val_fraction else 0)
    expect(kept == half, f"{half} training examples with limit={half}", kept)
    if whole.val is None:
        held = replace(trial.part, val_fraction=0.5).load().val
        expect(held is not None, "a validation split with val_fraction=0.5", "none")


@clause(CLAUSES, "With dataset.folds, each example is in the test split of one fold")
def _folds(trial: PartTrial) -> None:
    splits = trial.part.load()
    possible = not list(replace(trial.part, folds=2).problems())
    concerns(possible, "its test split is its own")
    try:
        parts = [replace(trial.part, folds=2, fold=fold, val_fraction=0.0, limit=None).load() for fold in (0, 1)]
    except UserError as error:
        raise LeftOut(one_line(error)) from error
    tested = [row for part in parts for row in _rows(part.test)]
    count = len(parts[0].train) + len(parts[0].test)
    expect(len(tested) == count, f"{count} examples in the test splits of 2 folds", len(tested))
    expect(
        sorted(tested) == sorted(_rows(parts[0].train) + _rows(parts[0].test)),
        f"each of {len(splits.train)} examples once",
        "others",
    )


@clause(
    CLAUSES,
    "augmentation() keeps shape and type, draws from its key alone, and noise_sources() names it",
)
def _augmentation(trial: PartTrial) -> None:
    augment = trial.part.augmentation()
    concerns(augment is not None, "there is none")
    inputs = trial.part.load().train.inputs[:8]
    before, key = inputs.clone(), randomness.key(0, "augment")
    found: list[Tensor] = []
    for state in (1, 2):
        with generators(state):
            found.append(augment(inputs, key))
    expect_same(found[0], found[1], "with the same key")
    expect_same(inputs, before, "of the inputs after augmentation")
    expect(
        found[0].shape == inputs.shape and found[0].dtype == inputs.dtype,
        "inputs of the same shape and type",
        list(found[0].shape),
    )
    expect(bool(trial.part.noise_sources()), "noise_sources() to name the settings that switch it off", "[]")
