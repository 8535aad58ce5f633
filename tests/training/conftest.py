"""Runs on 90 points of three spirals that can train alone or as a stack, for the tests of stacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from deeprob.training.stacked.loop import train_stack

from deeprob import randomness
from deeprob.data import Examples
from deeprob.data.spirals import SpiralsConfig
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.features.raw import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, LossConfig, NoneConfig, Objective, RegularizerConfig
from deeprob.optim import AdamConfig, ConstantConfig, OptimizerConfig, SchedulerConfig
from deeprob.training import TrainState, train
from deeprob.training.loop import Learner, LoopSettings, Record

Curves = dict[str, torch.Tensor]
PER_EPOCH = 3  # 90 points by 32


@dataclass(frozen=True)
class Spec:
    """All that makes a run; `model` are fields of `MLPConfig`."""

    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=lambda: AdamConfig(lr=0.01))
    regularizer: RegularizerConfig = field(default_factory=NoneConfig)
    scheduler: SchedulerConfig = field(default_factory=ConstantConfig)
    loss: LossConfig = field(default_factory=CrossEntropyConfig)
    model: dict[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> "Spec":
        return replace(self, **changes)


OF_STACKS = ("compiler", "validation", "interrupted", "ended")


def loop_arguments(settings: dict[str, Any]) -> tuple[Any, ...]:
    """Return what `train` takes after the examples."""
    interrupted = settings.pop("interrupted", None)
    return LoopSettings(**settings), *([] if interrupted is None else [interrupted])


class Bench:
    """Trains specs alone and together on the same examples, which tests may replace."""

    def __init__(self, examples: Examples, dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = (2,)) -> None:
        self.dtype = dtype
        self.examples = examples.as_floats(dtype)
        self.features: Features = RawConfig().build(shape).to(torch.device("cpu"), dtype)
        self.features.fit(self.examples.inputs)
        self.settings: dict[str, Any] = {"epochs": 5, "batch_size": 32, "chunk_size": 10**6, "log_every": 1}

    @property
    def steps(self) -> int:
        return self.settings["epochs"] * -(-len(self.examples) // min(self.settings["batch_size"], len(self.examples)))

    def member(self, spec: Spec) -> Learner:
        rng = randomness.generator(spec.seed, "weights")
        config = MLPConfig(**{"hidden": [8, 8], **spec.model})
        model = config.build(self.features.output_count, 3, rng).to(self.dtype)
        schedule, device = spec.scheduler.build(self.steps), torch.device("cpu")
        state = TrainState.start(model, spec.optimizer.build(model.parameters()), schedule, device)
        objective = Objective(spec.loss.build(), spec.regularizer.build())
        return Learner(state, objective, spec.optimizer, spec.seed, spec.regularizer.selects)

    def alone(self, spec: Spec | Learner, **changes: Any) -> list[Record | Diverged]:
        """Return a run's records, and what ended it early if anything did."""
        member = self.member(spec) if isinstance(spec, Spec) else spec
        settings, records = self.settings | changes, []
        try:
            for record in train(member, self.features, self.examples, *loop_arguments(settings)):
                observe(member, record)
                records.append(record)
        except Diverged as error:
            records.append(error)
        return records

    def together(self, specs: Sequence[Spec | Learner], **changes: Any) -> list[list[Record | Diverged]]:
        """Return each run's records."""
        members = [self.member(spec) if isinstance(spec, Spec) else spec for spec in specs]
        records: list[list[Record | Diverged]] = [[] for _ in members]
        for readings in self.stack(members, **changes):
            for run, record in readings.items():
                observe(members[run], record)
                records[run].append(record)
        return records

    def stack(self, members: Sequence[Learner], **changes: Any):
        """Return the generator of a stack's readings."""
        settings = self.settings | changes
        others = {name: settings.pop(name) for name in OF_STACKS if name in settings}
        return train_stack(members, self.features, self.examples, LoopSettings(**settings), **others)

    def apart(self, specs: Sequence[Spec], **changes: Any) -> float:
        """Return how far curves of the stack are from those of each run alone, as a share of a curve's largest value.

        The steps of the records, what they count, and the means over epochs must be the same too.
        """
        worst = 0.0
        for one, other in zip((self.alone(spec) for spec in specs), self.together(specs, **changes), strict=True):
            assert [(r.step, r.epoch, r.examples) for r in one] == [(r.step, r.epoch, r.examples) for r in other]
            worst = max(worst, distance(curves(one), curves(other)))
            means = [[r.epoch_metrics for r in records if r.epoch_metrics] for records in (one, other)]
            assert len(means[0]) == self.settings["epochs"]
            worst = max(worst, distance(*({name: row(values, name) for name in values[0]} for values in means)))
        return worst


def observe(member: Learner, record: Record | Diverged) -> None:
    """Tell the schedule the loss of an epoch, as `deeprob.running.recorder` does without a validation split."""
    if isinstance(record, Record) and record.epoch_metrics:
        member.state.schedule.observe(record.epoch_metrics["train/loss"])


def row(metrics: Sequence[dict[str, float]], name: str) -> torch.Tensor:
    return torch.tensor([values[name] for values in metrics], dtype=torch.float64)


def curves(records: Sequence[Record]) -> Curves:
    return {name: row([record.metrics for record in records], name) for name in records[0].metrics}


def distance(one: Curves, other: Curves) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max() / one[name].abs().max().clamp(min=1e-300)) for name in one)


@pytest.fixture
def bench() -> Bench:
    return Bench(SpiralsConfig(points_per_class=30).load().train)


@pytest.fixture
def bench_of() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def spec() -> Spec:
    return Spec()
