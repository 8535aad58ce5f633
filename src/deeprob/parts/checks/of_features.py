"""The clauses of features."""

import torch
from torch import Tensor

from deeprob.features import Features
from deeprob.parts.part_trial import (
    Clause,
    PartTrial,
    clause,
    dtype_name,
    expect,
    expect_near,
    expect_same,
    generators,
    states_of_generators,
)

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""


def _raw_of(trial: PartTrial) -> tuple[Tensor, Tensor]:
    """Return the raw inputs of the training split and of the test split, at most 200 each."""
    splits = trial.part and trial.setup().raw
    return splits.train.inputs[:200], splits.test.inputs[:200]


def _fitted(trial: PartTrial) -> tuple[Features, Tensor]:
    """Return fitted features, and what `fit` returned for the training inputs."""
    train, _ = _raw_of(trial)
    features = trial.part.make(tuple(train.shape[1:]))
    expect(isinstance(features, Features), "build() to return deeprob.parts.Features", type(features).__name__)
    return features, features.fit(train)


@clause(CLAUSES, "extract() returns finite numbers (N, *output_shape), and what fit() returns for the training inputs")
def _shape(trial: PartTrial) -> None:
    train, test = _raw_of(trial)
    features, returned = _fitted(trial)
    expect_near(returned, features.extract(train), "fit() to return what extract() returns")
    for inputs in (train, test, test[:1]):
        found = features.extract(inputs)
        wanted = [len(inputs), *features.output_shape]
        expect(list(found.shape) == wanted, f"features (N, *output_shape) = {wanted}", list(found.shape))
        expect(bool(found.isfinite().all()), "finite features", "NaN or infinity")
        expect(bool(features(found).isfinite().all()), "finite standardised features", "NaN or infinity")


@clause(CLAUSES, "The model's inputs have the dtype of the run, in float32 and in float64")
def _types(trial: PartTrial) -> None:
    train, _ = _raw_of(trial)
    for dtype in (torch.float32, torch.float64):
        features = trial.part.make(tuple(train.shape[1:])).to(dtype=dtype)
        found = features(features.fit(train)).dtype
        expect(found == dtype, dtype_name(dtype), dtype_name(found))


@clause(CLAUSES, "The features of an example depend on no other example, and extract() learns nothing: only fit() does")
def _each_by_itself(trial: PartTrial) -> None:
    _, test = _raw_of(trial)
    features, _ = _fitted(trial)
    before = {name: value.clone() for name, value in features.state_dict().items()}
    found = features.extract(test[:8])
    alone = torch.cat([features.extract(test[place : place + 1]) for place in range(len(test[:8]))])
    expect_near(alone, found, "the same features alone and among others")
    expect_same(features.state_dict(), before, "in the state after extract()")


@clause(CLAUSES, "fit() and extract() do not change their inputs")
def _inputs_stay(trial: PartTrial) -> None:
    train, _ = _raw_of(trial)
    train = train.clone()
    before = train.clone()
    trial.part.make(tuple(train.shape[1:])).fit(train)
    expect_same(train, before, "of the inputs after fit()")


@clause(CLAUSES, "Its state is complete: new features that load state_dict() return the same")
def _state(trial: PartTrial) -> None:
    train, test = _raw_of(trial)
    features, _ = _fitted(trial)
    other = trial.part.make(tuple(train.shape[1:]))
    other.load_state_dict(features.state_dict())
    expect_same(
        other.extract(test), features.extract(test), "after load_state_dict(): keep all that is fitted in buffers"
    )
    expect_same(
        other(other.extract(test)), features(features.extract(test)), "of the model's inputs after load_state_dict()"
    )


@clause(
    CLAUSES,
    "The same inputs give the same features, and the global generators stay as they are",
)
def _same_again(trial: PartTrial) -> None:
    _, test = _raw_of(trial)
    found = []
    for seed in (1, 2):
        with generators(seed):
            before = states_of_generators()
            features, _ = _fitted(trial)
            found.append(features.extract(test))
            expect_same(states_of_generators(), before, "in the global generators after fit()")
    expect_same(found[0], found[1], "twice")


@clause(CLAUSES, "Unchanged says whether extract() returns its inputs")
def _unchanged(trial: PartTrial) -> None:
    train, _ = _raw_of(trial)
    features, _ = _fitted(trial)
    found = features.extract(train)
    same = found is train
    expect(same or not trial.part.unchanged, "extract() to return its inputs, because unchanged=True", "something else")
