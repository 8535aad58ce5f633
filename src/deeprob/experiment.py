"""A run's config, and the one place where everything that it names is built and wired."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import MISSING
from torch import Tensor

from deeprob import config as configs
from deeprob import randomness
from deeprob.config import number, register
from deeprob.data import DatasetConfig, Examples, Splits
from deeprob.errors import Diverged
from deeprob.features import Features, FeaturesConfig
from deeprob.models import ModelConfig
from deeprob.objective import LossConfig, Objective, RegularizerConfig
from deeprob.optim import OptimizerConfig, Schedule, SchedulerConfig
from deeprob.training import Predictor, Prepared, Record, Shared, TrainerConfig, TrainState, evaluate, train


@dataclass(kw_only=True, slots=True)
class RunConfig:
    """A whole run: a choice in each group, and a seed for weights, batch order, dropout and augmentation."""

    dataset: DatasetConfig = MISSING
    features: FeaturesConfig = MISSING
    model: ModelConfig = MISSING
    loss: LossConfig = MISSING
    regularizer: RegularizerConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    scheduler: SchedulerConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = number(0, minimum=0)

    def problems(self) -> Iterator[str]:
        """Yield choices that do not go together."""
        if self.optimizer.deterministic:
            noise = ["trainer.batch_size=full"] if self.trainer.batch_size not in ("auto", "full") else []
            noise += self.dataset.noise_sources() + self.model.noise_sources() + self.trainer.noise_sources()
            if noise:
                name = configs.name_of(self.optimizer)
                yield f"optimizer={name} needs the full batch and no noise: set {' '.join(noise)}"
            if self.regularizer.has_proximal_step:
                yield "regularizer.proximal=true needs an optimizer of single gradient steps: not lbfgs"
        if (noise := self.dataset.noise_sources()) and not self.features.unchanged:
            name = configs.name_of(self.features)
            yield f"features={name} are computed once, before any augmentation: set {' '.join(noise)}"
        if self.dataset.regression:
            if not self.loss.regression:
                name = configs.name_of(self.loss)
                yield f"loss={name} needs classes, and the targets are numbers: set loss=squared_error"
            if self.trainer.monitor == "val/accuracy":
                yield "trainer.monitor=val/accuracy: there is no accuracy where targets are numbers; set val/loss"
        if self.trainer.patience and not self.dataset.val_fraction:
            yield "trainer.patience needs a validation split: set dataset.val_fraction=0.1, say"

    def resolved(self) -> "RunConfig":
        """Return the config with what ``auto`` stands for, and paths that hold from any folder."""
        size = self.trainer.batch_size
        if size == "auto":
            size = "full" if self.optimizer.deterministic else self.dataset.batch_size_hint
        monitor = self.trainer.monitor
        if monitor == "auto":
            monitor = "val/loss" if self.dataset.regression else "val/accuracy"
        trainer = dataclasses.replace(self.trainer, batch_size=size, monitor=monitor)
        return dataclasses.replace(self, dataset=self.dataset.resolved(), trainer=trainer)


@dataclass(kw_only=True, slots=True)
class SweepConfig:
    """How the jobs of a sweep go together.

    Attributes
    ----------
    fail_fast
        Start no other job after the first that fails.
    isolate
        Give each job a process of its own, so that one that is killed, for its memory say, is just one that failed.
    measures
        What else is measured on each job when all have ended: ``boundary``, ``probe``, ``slices`` (see
        `deeprob.sweep.measures`).
    figure
        The figure that is drawn then of all jobs side by side.
    claims
        What the jobs are to show, in words that are checked (see `deeprob.sweep.claims`).
    variants
        Overrides of which each makes the sweep once: ``optimizer=adam optimizer.lr=1e-3,1e-2``, say. So what is
        compared may differ in several keys, and try values of its own.
    tune, tune_by
        Keys that are tuned: of jobs that differ in these and in seeds alone, those with the best value stay for table,
        figure and claims, by a metric's mean over seeds.
    fuse
        A key: the best job with each of its values, by the validation split, is fused with the others when all have
        ended, for each seed, with weights fitted there (see `deeprob.fusion`). What comes of it is a row with the value
        ``fused`` in tables and claims: ``sweep.fuse=features`` fuses what was trained on different features.
    columns
        The metrics that tables show; none for accuracy, or loss where there are no classes.
    """

    fail_fast: bool = False
    isolate: bool = False
    variants: list[str] = field(default_factory=list)
    tune: list[str] = field(default_factory=list)
    tune_by: str = "train/loss"
    fuse: str | None = None
    columns: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    figure: str | None = None
    claims: list[str] = field(default_factory=list)


@register("", "train")
@dataclass(kw_only=True, slots=True)
class TrainConfig(RunConfig):
    """What ``deeprob-train`` is told: a run, and what is no part of it.

    Attributes
    ----------
    resume
        A run's directory to go on in; ``auto`` for the run's own, if it has begun there.
    """

    resume: str | None = None
    sweep: SweepConfig = field(default_factory=SweepConfig)

    @property
    def run(self) -> RunConfig:
        """The run alone."""
        return RunConfig(**{f.name: getattr(self, f.name) for f in dataclasses.fields(RunConfig)})


# Floating-point operations of an update below which a second CPU thread costs more than it brings (docs/results.md).
SMALL_UPDATE = 1e7
ALL_THREADS = torch.get_num_threads()


def build_predictor(
    config: RunConfig, features: Features, input_shape: Sequence[int], outputs: int, classes: Sequence[str]
) -> Predictor:
    """Return features together with a model that has its initial weights."""
    model = config.model.build(features.output_count, outputs, randomness.generator(config.seed, "weights"))
    bf16 = config.trainer.precision == "bf16"
    return Predictor(features, model, tuple(input_shape), outputs, tuple(classes), bf16)


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` stands for."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs, built and on its device, with nothing written yet.

    Attributes
    ----------
    prepared
        The dataset, and its extracted features.
    batch_size, chunk_size, steps
        Examples an update and examples in memory at once; updates of the whole run.
    """

    config: RunConfig
    predictor: Predictor
    prepared: Prepared
    objective: Objective
    state: TrainState
    batch_size: int
    chunk_size: int
    steps: int

    @classmethod
    def build(
        cls, config: RunConfig, shared: Shared | None = None, learned: Mapping[str, Tensor] | None = None
    ) -> "Experiment":
        """Load, fit and build what a config names; what is `shared` with other runs only once.

        Features that have `learned` already, in a run that goes on, are not fitted anew.

        Raises
        ------
        UserError
            When the dataset cannot be read or split as the config says.
        """
        trainer = config.trainer
        device = resolve_device(trainer.device)
        prepared = (shared or Shared()).prepare(config.dataset, config.features, device, trainer.dtype, learned)
        splits = prepared.splits
        predictor = build_predictor(config, prepared.features, prepared.input_shape, splits.outputs, splits.classes)
        predictor.to(device, trainer.dtype)
        batch_size = (
            min(trainer.batch_size, len(splits.train)) if isinstance(trainer.batch_size, int) else len(splits.train)
        )
        steps = trainer.epochs * -(-len(splits.train) // batch_size)
        state = TrainState.start(
            predictor.model,
            config.optimizer.build(predictor.model.parameters()),
            config.scheduler.build(steps) if config.optimizer.scheduled else Schedule(),
            device,
            accuracy=bool(splits.classes),
        )
        return cls(
            config=config,
            predictor=predictor,
            prepared=prepared,
            objective=Objective(config.loss.build(), config.regularizer.build()),
            state=state,
            batch_size=batch_size,
            chunk_size=trainer.chunk_size if isinstance(trainer.chunk_size, int) else predictor.chunk_size(),
            steps=steps,
        )

    @property
    def raw(self) -> Splits:
        """Each split as it was loaded."""
        return self.prepared.raw

    @property
    def splits(self) -> Splits:
        """Each split's extracted features."""
        return self.prepared.splits

    @property
    def threads(self) -> int:
        """How many CPU threads to use."""
        if isinstance(self.config.trainer.threads, int):
            return self.config.trainer.threads
        return 1 if 6 * self.batch_size * self.parameters < SMALL_UPDATE else ALL_THREADS

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.predictor.model.parameters())

    @property
    def epochs_done(self) -> int:
        """How many whole epochs the state has behind it."""
        return self.state.step * self.config.trainer.epochs // self.steps

    def identity(self) -> dict[str, Any]:
        """Return what tells the run's data and features from others."""
        counts = [0 if part is None else len(part) for part in (self.splits.train, self.splits.val, self.splits.test)]
        return {"examples": counts, "inputs": self.prepared.fingerprint, **self.predictor.state_dict()}

    def checkpoint_due(self, record: Record) -> bool:
        """Tell whether the config asks for a checkpoint at a record."""
        trainer = self.config.trainer
        steps, epochs = trainer.checkpoint_steps, trainer.checkpoint_epochs
        by_epoch = epochs > 0 and record.epoch_metrics is not None and record.epoch % epochs == 0
        return by_epoch or (steps > 0 and record.step % steps == 0)

    @property
    def label(self) -> str:
        """The run in three words."""
        return "-".join(
            configs.name_of(part) for part in (self.config.dataset, self.config.model, self.config.optimizer)
        )

    def train(self, interrupted: Callable[[], bool]) -> Iterator[Record]:
        """Train from wherever the state is to the end."""
        return train(
            self.state,
            self.objective,
            self.predictor.features,
            self.splits.train,
            seed=self.config.seed,
            epochs=self.config.trainer.epochs,
            batch_size=self.batch_size,
            chunk_size=self.chunk_size,
            log_every=self.config.trainer.log_every,
            bf16=self.predictor.bf16,
            zeros=self.config.regularizer.selects,
            pause_every=self.config.trainer.checkpoint_steps,
            augment=self.config.dataset.augmentation(),
            interrupted=interrupted,
        )

    def measure(self, name: str, examples: Examples, measured: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return ``name/loss`` of a split, and ``name/accuracy`` where there are classes.

        What was `measured` by others already is only checked.

        Raises
        ------
        Diverged
            When the loss is not finite: the last update was too large.
        """
        if measured is None:
            measured = evaluate(self.predictor.scores, examples, self.objective.loss, self.chunk_size)
        if not math.isfinite(measured["loss"]):
            raise Diverged(f"loss on the {name} split", self.state.step)
        return {f"{name}/{measure}": value for measure, value in measured.items()}
