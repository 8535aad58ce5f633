"""Runs on a few points that can train alone or in a stack, and the comparison of two runs bit for bit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch.utils._pytree import keystr, tree_flatten_with_path

from deeprob import randomness
from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.features.raw import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, LossConfig, NoneConfig, Objective, RegularizerConfig
from deeprob.optim import AdamConfig, ConstantConfig, OptimizerConfig, SchedulerConfig
from deeprob.tracking.checkpoint_file import copied
from deeprob.training import TrainState, train
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.loop import Record
from deeprob.training.training_data import TrainingData

CPU = torch.device("cpu")
Records = list[Record | Diverged]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # a run has the same bits in any stack on one thread only


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

    def three(self, **each: Sequence[Any]) -> list["Spec"]:
        """Three specs with seeds 0, 1, 2 that differ in what is given as a list."""
        return [self.but(seed=run, **{key: values[run] for key, values in each.items()}) for run in range(3)]


class Bench:
    """Trains specs alone and together on the same examples: 23 in batches of 5, so 5 updates an epoch."""

    def __init__(self, examples: Examples, dtype: torch.dtype = torch.float64) -> None:
        self.dtype, shape = dtype, tuple(examples.inputs.shape[1:])
        self.examples = examples.as_floats(dtype)
        self.outputs = int(examples.targets.max()) + 1 if examples.targets.dim() == 1 else examples.targets.shape[1]
        self.features: Features = RawConfig().build(shape).to(CPU, dtype)
        self.features.fit(self.examples.inputs)
        self.settings: dict[str, Any] = {"epochs": 3, "batch_size": 5, "chunk_size": 10**6, "log_every": 2}

    @property
    def data(self) -> TrainingData:
        return TrainingData(self.features, self.examples)

    @property
    def steps(self) -> int:
        return self.settings["epochs"] * -(-len(self.examples) // min(self.settings["batch_size"], len(self.examples)))

    def learner(self, spec: Spec) -> Learner:
        rng = randomness.generator(spec.seed, "weights")
        config = MLPConfig(**{"hidden": [6, 5], **spec.model})
        model = config.build(self.features.output_count, self.outputs, rng).to(self.dtype)
        classes = not self.examples.targets.is_floating_point()
        optimizer, schedule = spec.optimizer.build(model.parameters()), spec.scheduler.build(self.steps)
        state = TrainState.start(model, optimizer, schedule, CPU, accuracy=classes)
        counts = torch.bincount(self.examples.targets) if classes else None
        objective = Objective(spec.loss.build(counts), spec.regularizer.build())
        return Learner(state, objective, spec.optimizer, spec.seed, spec.regularizer.selects)

    def learners(self, specs: Sequence[Spec]) -> list[Learner]:
        return [self.learner(spec) for spec in specs]

    def readings(self, learners: Sequence[Learner], **changes: Any):
        """Return the generator of a stack's readings; `changes` are settings or other arguments of the loop."""
        settings = self.settings | changes
        data = replace(self.data, validation=settings.pop("validation", None))
        others = {name: settings.pop(name) for name in ("interrupted", "ended") if name in settings}
        return train(learners, [data] * len(learners), LoopSettings(**settings), **others)

    def together(self, runs: Sequence[Spec | Learner], **changes: Any) -> list[Records]:
        """Return each run's records, and what ended it early if anything did."""
        learners = [self.learner(run) if isinstance(run, Spec) else run for run in runs]
        records: list[Records] = [[] for _ in learners]
        for readings in self.readings(learners, **changes):
            for run, record in readings.items():
                observe(learners[run], record)
                records[run].append(record)
        return records

    def alone(self, run: Spec | Learner, **changes: Any) -> Records:
        """Return the records of one run, and what ended it early if anything did."""
        return self.together([run], **changes)[0]

    def unlike(self, specs: Sequence[Spec], *companies: Sequence[int], **changes: Any) -> list[str]:
        """Train runs alone, all together, and in smaller stacks of these places; return what differs by any bit."""
        lonely = self.learners(specs)
        records = [self.alone(learner, **changes) for learner in lonely]
        differences = []
        for company in [range(len(specs)), *companies]:
            learners = self.learners([specs[place] for place in company])
            heard_here = self.together(learners, **changes)
            for place, learner, heard in zip(company, learners, heard_here, strict=True):
                found = differing(lonely[place], learner)
                found += ["records"] * (self.exact(heard) != self.exact(records[place]))
                differences += [f"run {place} of {len(learners)}: {name}" for name in found]
        return differences

    @staticmethod
    def exact(records: Records) -> list[Any]:
        """What differs if any bit of a record or of a message differs."""
        return [
            (str(record), record.step) if isinstance(record, Diverged) else (record, exact_metrics(record))
            for record in records
        ]

    @staticmethod
    def unequal(one: Learner | TrainState, other: Learner | TrainState) -> list[str]:
        """Return the names of what two runs have with other bits."""
        return differing(one, other)

    @staticmethod
    def same(one: Learner | TrainState, other: Learner | TrainState) -> None:
        """Assert that two runs have the same bits."""
        assert differing(one, other) == []

    @staticmethod
    def after(count: int) -> Callable[[], bool]:
        """Interrupt after so many updates."""
        calls: list[int] = []
        return lambda: calls.append(1) or len(calls) == count

    def resumed(self, spec: Spec, learner: Learner) -> Learner:
        """A new run of a spec that goes on from what a checkpoint of another run holds."""
        other = self.learner(spec)
        other.state.load_state_dict(copied(learner.state.state_dict()))
        return other


def observe(learner: Learner, record: Record | Diverged) -> None:
    """Tell the state and its schedule of an epoch, as `deeprob.running.recorder` does."""
    if isinstance(record, Diverged) or record.epoch_metrics is None:
        return
    learner.state.schedule.observe(record.epoch_metrics["train/loss"])
    if record.validation is not None:
        metrics = {f"val/{name}": value for name, value in record.validation.items()}
        learner.state.observe("val/loss", "val/loss", metrics, record.epoch)


def content(run: Learner | TrainState) -> dict[str, Any]:
    """All that belongs to a run, except its clock, by name: bits of tensors, and plain values."""
    state = run.state if isinstance(run, Learner) else run
    buffers = dict(state.model.named_buffers())  # also those that no checkpoint holds
    pairs, _ = tree_flatten_with_path([state.state_dict() | {"seconds": 0.0}, buffers])
    return {keystr(path): exact(value) for path, value in pairs}


def exact(value: Any) -> Any:
    """What differs if any bit differs."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.detach().numpy().tobytes()
    return value.hex() if isinstance(value, float) else value


def exact_metrics(record: Record) -> list[Any]:
    parts = record.metrics, record.epoch_metrics, record.validation
    return [part and {name: value.hex() for name, value in part.items()} for part in parts]


def differing(one: Learner | TrainState, other: Learner | TrainState) -> list[str]:
    """Return the names of what two runs have with other bits."""
    mine, theirs = content(one), content(other)
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name, ()) != theirs.get(name, ()))


def points(count: int = 23, inputs: int = 4, classes: int = 3) -> Examples:
    rng = torch.Generator().manual_seed(1)
    return Examples(torch.randn(count, inputs, generator=rng), torch.randint(classes, (count,), generator=rng))


@pytest.fixture
def bench() -> Bench:
    return Bench(points())


@pytest.fixture
def single() -> Bench:
    """The same in float32."""
    return Bench(points(), torch.float32)


@pytest.fixture
def spec() -> Spec:
    return Spec()


@pytest.fixture
def bench_of() -> type[Bench]:
    return Bench
