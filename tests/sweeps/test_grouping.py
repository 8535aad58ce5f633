"""Which jobs train together, and how many."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deeprob import config as configs
from deeprob.assembly.config import TrainConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup
from deeprob.config.application import Application, started
from deeprob.data import SpiralsConfig
from deeprob.models import ModelConfig
from deeprob.objective import LossConfig, RegularizerConfig
from deeprob.sweeps import grouping
from deeprob.sweeps.grouping import (
    by_shape,
    fitting,
    grouped,
    hindrance,
    hindrance_of,
    hindrance_of_size,
    memory,
    portions,
)
from deeprob.sweeps.job import Job
from deeprob.training import ready


@pytest.fixture(scope="module")
def plan():
    """From the words of a job to its config."""
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)

        @functools.cache
        def composed(*words: str) -> TrainConfig:
            return application.load(application.compose(words, multirun=False, check=False), words)

        yield composed


@pytest.fixture
def together(plan):
    """From the words of some jobs to the numbers of those that train together."""
    return lambda *jobs: numbers(group.jobs for group in grouped(jobs_of([plan(*job.split()) for job in jobs])))


def jobs_of(plans: Sequence[TrainConfig], first: int = 0) -> list[Job]:
    return [Job(number, [], plan, Path(str(number))) for number, plan in enumerate(plans, first)]


def numbers(groups: Iterable[Sequence[Job]]) -> list[list[int]]:
    return [[job.number for job in group] for group in groups]


@pytest.mark.parametrize(
    "words",
    [
        "seed=1",
        "dataset.seed=1",
        "optimizer.lr=0.1 optimizer.weight_decay=0.2 optimizer.beta1=0.5",
        "model.dropout=0.5",
        "regularizer=l2 regularizer.strength=0.5",
        "regularizer=elastic_net",
        "loss.label_smoothing=0.1",
        "scheduler=step scheduler.drops=3",
        "trainer.checkpoint_minutes=1 trainer.checkpoint_epochs=2 trainer.progress=false",
        "trainer.batch_size=32",  # what auto stands for here
    ],
)
def test_numbers_and_seeds_may_differ(together, words):
    assert together("", words) == [[0, 1]]


def test_patience_and_what_is_monitored_may_differ(together):
    for words in ("trainer.patience=3", "trainer.monitor=val/loss"):
        assert together("dataset.val_fraction=0.1", f"dataset.val_fraction=0.1 {words}") == [[0, 1]]


@pytest.mark.parametrize(
    "words",
    [
        "dataset=moons",
        "dataset.points_per_class=30",
        "features=polar",
        "features.standardize=none",
        "model=linear",
        "model.width=9",
        "model.activation=tanh",
        "model.norm=batch",
        "loss=hinge",
        "optimizer=adam",
        "optimizer.amsgrad=true",
        "regularizer=l1 regularizer.proximal=true",
        "trainer.batch_size=16",
        "trainer.epochs=7",
        "trainer.log_every=7",
        "trainer.precision=float64",
        "trainer.checkpoint_steps=5",
    ],
)
def test_structure_and_flags_may_not(together, words):
    assert together("", words, "seed=5") == [[0, 2], [1]]


def test_proximal_runs_are_a_stack_of_their_own(together):
    proximal = "regularizer=l1 regularizer.proximal=true"
    assert together("regularizer=l1", proximal, "regularizer=l2", f"{proximal} regularizer.strength=1") == [
        [0, 2], [1, 3],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("optimizer=lbfgs", "optimizer=lbfgs does its own line searches"),
        ("trainer.preflight=true", "trainer.preflight=True checks each run by itself"),
        ("trainer.preflight=only", "trainer.preflight=only checks each run by itself"),
        ("", ""),
    ],
)
def test_what_must_train_alone(plan, words, reason):
    assert hindrance(plan(*words.split())) == reason


def test_jobs_alone_come_with_their_reason(plan):
    plans = [plan(*words.split()) for words in ("seed=0", "optimizer=lbfgs", "seed=1", "optimizer=lbfgs seed=1")]
    together, alone = grouped(jobs_of(plans, 10))
    assert (numbers([together.jobs]), together.together, together.reason) == ([[10, 12]], True, "")
    reason = "optimizer=lbfgs does its own line searches"
    assert (numbers([alone.jobs]), alone.together, alone.reason) == ([[11, 13]], False, reason)


@pytest.mark.parametrize(
    ("count", "largest", "sizes"),
    [(10, 4, [3, 3, 4]), (8, 3, [2, 3, 3]), (6, 3, [3, 3]), (3, 9, [3]), (5, 1, [1] * 5), (257, 256, [128, 129])],
)
def test_portions_are_few_and_about_equal(count, largest, sizes):
    parts = portions(range(100, 100 + count), largest)
    assert [len(part) for part in parts] == sizes
    assert [place for part in parts for place in part] == list(range(100, 100 + count))


@pytest.fixture
def setup_of(plan):
    def build(*words, shared: Shared | None = None) -> Setup:
        return Setup.build(plan("trainer.device=cpu", *words).run.resolved(), shared)

    return build


def test_large_updates_train_alone(setup_of, monkeypatch):
    small, large = setup_of(), setup_of("model.width=800", "trainer.batch_size=300")
    parameters = 2 * 800 + 800 + 800 * 800 + 800 + 800 * 3 + 3
    assert large.operations == 6 * 300 * parameters > grouping.LARGE_UPDATE
    assert hindrance_of_size(small) == ""
    assert "operations keeps the CPU busy already (hydra.launcher.max_stack=N stacks them)" in hindrance_of_size(large)
    monkeypatch.setattr(grouping, "LARGE_UPDATE", large.operations)
    assert hindrance_of_size(large) == ""


def test_parts_of_the_user_are_tried_in_a_stack(setup_of, monkeypatch):
    tried = []

    def trial(learner, features, examples, formulas):
        tried.append((configs.name_of(learner.optimizer), len(examples), formulas))
        return "it is odd"

    monkeypatch.setattr(grouping, "hindrance_of_stack", trial)
    assert hindrance_of(setup_of(), None) == ""
    assert tried == []
    assert hindrance_of(setup_of("trainer.gradient=autograd"), 3) == "it is odd"
    monkeypatch.setattr(grouping, "RULES", {})
    assert hindrance_of(setup_of(), 3) == "it is odd"
    assert tried == [("adamw", 4, False), ("adamw", 4, True)]


def test_the_size_of_stacks_may_be_given(setup_of):
    large = setup_of("model.width=800", "trainer.batch_size=300")
    assert hindrance_of(large, None) == hindrance_of_size(large)
    assert hindrance_of(large, 3) == ""


def test_as_many_fit_as_memory_has_room_for(setup_of, monkeypatch):
    setup = setup_of()
    monkeypatch.setattr(grouping, "free_memory", lambda device: 10.5 * memory(setup))
    assert fitting(setup) == 10
    monkeypatch.setattr(grouping, "free_memory", lambda device: 0)
    assert fitting(setup) == 1
    monkeypatch.setattr(grouping, "free_memory", lambda device: 1 << 60)
    assert fitting(setup) == 256


def test_a_gpu_takes_more_runs_and_large_updates(monkeypatch):
    state = SimpleNamespace(device=torch.device("cuda"))
    setup = SimpleNamespace(state=state, batch_size=10**4, chunk_size=10**6, operations=6e13)
    monkeypatch.setattr(grouping, "free_memory", lambda device: 1 << 60)
    monkeypatch.setattr(grouping, "memory", lambda setup: 1 << 20)
    assert fitting(setup) == 4096
    assert hindrance_of_size(setup) == ""


def test_memory_by_hand(setup_of):
    # 90 points of the plane by 32; layers 2 → 8 → 3: parameters ten times (gradient, states, copies), 2 + 8 + 3 units
    # of a batch six times, the order of the points; four bytes each
    setup = setup_of("dataset.points_per_class=30", "model.layers=2", "model.width=8")
    assert memory(setup) == 4 * (10 * (2 * 8 + 8 + 8 * 3 + 3) + 6 * 32 * (2 + 8 + 3) + 90)


def test_memory_grows_with_what_a_run_holds(setup_of):
    least = memory(setup_of())
    assert memory(setup_of("trainer.precision=float64")) == 2 * least
    assert memory(setup_of("model.width=200")) > least
    assert memory(setup_of("trainer.batch_size=100")) > least
    assert memory(setup_of("dataset.points_per_class=3000")) > least


def test_free_memory_is_half_of_what_there_is(monkeypatch):
    pages = {"SC_AVPHYS_PAGES": 1001, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert grouping.free_memory(torch.device("cpu")) == 1001 * 4096 // 2
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7001, 9000))
    assert grouping.free_memory(torch.device("cuda")) == 3500


def test_runs_with_other_splits_share_a_stack_if_the_splits_have_the_same_shapes(setup_of, monkeypatch):
    shared = Shared()

    def built(*words) -> Setup:
        return setup_of(*words, shared=shared)

    one, other, again = built(), built("dataset.seed=1"), built("seed=1")
    small, held_out = built("dataset.points_per_class=30"), built("dataset.val_fraction=0.1", "dataset.limit=3000")
    assert by_shape([one, small, other, held_out, again]) == [[0, 2, 4], [1], [3]]
    monkeypatch.setattr(ready, "SMALL", 3000 * 2 * 4)  # bytes of one split
    assert by_shape([one, small, other, again]) == [[0, 3], [2], [1]]


def test_splits_that_are_augmented_train_apart(setup_of, monkeypatch):
    shared = Shared()
    setups = [setup_of(*words, shared=shared) for words in ((), ("dataset.seed=1",), ("seed=1",))]
    monkeypatch.setattr(SpiralsConfig, "augmentation", lambda self: lambda inputs, key: inputs)
    assert by_shape(setups) == [[0, 2], [1]]


class MarginConfig(LossConfig):
    """A loss of a user. It does not say that its margin may be one number per run."""

    margin: float = 1.0

    def losses(self, scores, targets):
        return (self.margin - scores).square().sum(1)


class FourthPowersConfig(RegularizerConfig):
    strength: float = 1.0

    def penalty(self, weights):
        return self.strength * sum(weight.pow(4).sum() for weight in weights)


class NoisyConfig(ModelConfig):
    dropout: float = 0.0


@pytest.mark.parametrize(
    ("group", "cls", "key"),
    [
        ("loss", MarginConfig, "margin"),
        ("regularizer", FourthPowersConfig, "strength"),
        ("model", NoisyConfig, "dropout"),
    ],
)
def test_parts_of_a_user_differ_in_no_number(plan, group, cls, key):
    cls = dataclass(kw_only=True)(cls)
    plans = [dataclasses.replace(plan(), **{group: cls(**{key: value})}) for value in (0.0, 0.5, 0.5)]
    assert numbers(found.jobs for found in grouped(jobs_of([*plans, plan()]))) == [[0], [1, 2], [3]]
