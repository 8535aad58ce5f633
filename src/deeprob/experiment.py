"""One run from its config to its files: the one place where everything is built and wired."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING

from deeprob import config as configs
from deeprob import randomness
from deeprob.config import number, register
from deeprob.data import DatasetConfig, Examples, Splits
from deeprob.errors import Diverged, Interrupted
from deeprob.features import FeaturesConfig
from deeprob.models import ModelConfig
from deeprob.objective import LossConfig, Objective, RegularizerConfig
from deeprob.optim import OptimizerConfig, Schedule, SchedulerConfig
from deeprob.tracking import console
from deeprob.tracking.events import EventFile
from deeprob.tracking.provenance import device_name, provenance
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training import Classifier, Record, TrainerConfig, TrainState, evaluate, train
from deeprob.training.checkpoint import Checkpoints


@register("", "train")
@dataclass(kw_only=True, slots=True)
class RunConfig:
    """A whole run: a choice in each group, and a seed for weights, batch order and dropout."""

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
            noise += self.model.noise()
            if noise:
                name = configs.name_of(self.optimizer)
                yield f"optimizer={name} needs the full batch and no noise: set {' '.join(noise)}"
        if self.trainer.patience and not self.dataset.val_fraction:
            yield "trainer.patience needs a validation split: set dataset.val_fraction=0.1, say"

    def resolved(self) -> "RunConfig":
        """Return the config with the batch size that ``auto`` stands for, and paths that hold from any folder."""
        size = self.trainer.batch_size
        if size == "auto":
            size = "full" if self.optimizer.deterministic else self.dataset.batch_size_hint
        trainer = dataclasses.replace(self.trainer, batch_size=size)
        return dataclasses.replace(self, dataset=self.dataset.resolved(), trainer=trainer)


# Floating-point operations of an update below which a second CPU thread costs more than it brings (docs/results.md).
SMALL_UPDATE = 1e8
ALL_THREADS = torch.get_num_threads()


def build_classifier(config: RunConfig, input_shape: Sequence[int], classes: Sequence[str]) -> Classifier:
    """Return features not yet fitted and a model with its initial weights, on the CPU in single precision."""
    features = config.features.build(tuple(input_shape))
    model = config.model.build(features.output_count, len(classes), randomness.generator(config.seed, "weights"))
    return Classifier(features, model, tuple(input_shape), tuple(classes))


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` stands for."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs, built and on its device, with nothing written yet.

    Attributes
    ----------
    splits
        Extracted features of each split.
    batch_size, chunk_size, steps
        Examples an update and examples in memory at once; updates of the whole run.
    """

    config: RunConfig
    classifier: Classifier
    splits: Splits
    objective: Objective
    state: TrainState
    schedule: Schedule
    batch_size: int
    chunk_size: int
    steps: int

    @classmethod
    def build(cls, config: RunConfig) -> "Experiment":
        """Load, fit and build what a config names.

        Raises
        ------
        UserError
            When the dataset cannot be read or split as the config says.
        """
        trainer = config.trainer
        device = resolve_device(trainer.device)
        raw = config.dataset.load()
        classifier = build_classifier(config, raw.train.inputs.shape[1:], raw.classes)
        classifier.to(device, getattr(torch, trainer.precision))
        splits = classifier.extract(raw, device)
        state = TrainState.start(classifier.model, config.optimizer.build(classifier.model.parameters()), device)
        batch_size = (
            min(trainer.batch_size, len(splits.train)) if isinstance(trainer.batch_size, int) else len(splits.train)
        )
        steps = trainer.epochs * -(-len(splits.train) // batch_size)
        return cls(
            config=config,
            classifier=classifier,
            splits=splits,
            objective=Objective(config.loss.build(), config.regularizer.build()),
            state=state,
            schedule=config.scheduler.build(steps) if config.optimizer.scheduled else lambda step: 1.0,
            batch_size=batch_size,
            chunk_size=trainer.chunk_size if isinstance(trainer.chunk_size, int) else classifier.chunk_size(),
            steps=steps,
        )

    @property
    def threads(self) -> int:
        """How many CPU threads to use."""
        if isinstance(self.config.trainer.threads, int):
            return self.config.trainer.threads
        return 1 if 6 * self.batch_size * self.parameters < SMALL_UPDATE else ALL_THREADS

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.classifier.model.parameters())

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
            self.classifier.features,
            self.splits.train,
            self.schedule,
            seed=self.config.seed,
            epochs=self.config.trainer.epochs,
            batch_size=self.batch_size,
            chunk_size=self.chunk_size,
            log_every=self.config.trainer.log_every,
            interrupted=interrupted,
        )

    def measure(self, name: str, examples: Examples) -> dict[str, float]:
        """Return ``name/loss`` and ``name/accuracy`` of a split."""
        measured = evaluate(self.classifier.scores, examples, self.objective.loss, self.chunk_size)
        return {f"{name}/{measure}": value for measure, value in measured.items()}


def run(config: RunConfig, directory: Path, command: Sequence[str] = (), report: bool = True) -> dict[str, Any]:
    """Train as a config says, and leave a complete run directory behind.

    Parameters
    ----------
    config
        What to do.
    directory
        Where the run's files go; written to once everything that can fail for a wrong input is built.
    command
        The words that started the run, for ``provenance.json``.
    report
        Show progress and a final table.

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    UserError
        Before anything is written.
    Diverged, Interrupted
        After ``summary.json`` is written.
    """
    config = config.resolved()
    experiment = Experiment.build(config)
    torch.set_num_threads(experiment.threads)
    state, splits = experiment.state, experiment.splits

    files = RunDirectory(directory)
    configs.save(config, files.config)
    files.write_json("provenance", provenance(command, state.frozen.device, config.seed))
    checkpoints = Checkpoints(files.checkpoints, state, experiment.classifier.state_dict(), splits.val is None)
    checkpoints.write()

    total = config.trainer.epochs * len(splits.train)
    with (
        Interruption() as interruption,
        EventFile(directory) as events,
        console.Bar(total, experiment.label, "examples", visible=report and config.trainer.progress) as bar,
    ):
        events.hyperparameters(configs.flat(config))
        began = time.perf_counter()
        outcome = follow(experiment, files, checkpoints, events, bar, interruption)
        seconds = time.perf_counter() - began
        if outcome.error is None:
            checkpoints.restore_best()
            if splits.val is not None:
                outcome.metrics |= experiment.measure("val", splits.val)
            final = experiment.measure("test", splits.test)
            events.scalars(final, state.step)
            outcome.metrics |= final
        events.finished(completed=outcome.error is None)

    summary = {
        "status": outcome.status,
        "epochs": state.step * config.trainer.epochs // experiment.steps,
        "steps": state.step,
        "evaluations": state.evaluations,
        "best_epoch": state.best.epoch or None,
        "seconds": round(seconds, 3),
        "parameters": experiment.parameters,
        "device": device_name(state.frozen.device),
        **outcome.metrics,
    }
    files.write_json("summary", summary)
    if outcome.error is not None:
        raise outcome.error
    if report:
        console.split_table(outcome.metrics)
        console.where(directory)
    return summary


@dataclass
class Outcome:
    """How training ended: a status of ``summary.json``, the last metrics, and what is to be raised, if anything."""

    status: str
    metrics: dict[str, float]
    error: Diverged | Interrupted | None = None


def follow(
    experiment: Experiment,
    files: RunDirectory,
    checkpoints: Checkpoints,
    events: EventFile,
    bar: console.Bar,
    interruption: Interruption,
) -> Outcome:
    """Train, and hand every record to TensorBoard, ``metrics.csv``, the checkpoints and the progress bar."""
    trainer, state, val_split = experiment.config.trainer, experiment.state, experiment.splits.val
    metrics: dict[str, float] = {}
    clock = time.perf_counter()
    try:
        for record in experiment.train(interruption):
            if record.metrics:
                rate = {"time/examples_per_second": record.examples / (time.perf_counter() - clock)}
                events.scalars(record.metrics | rate, record.step)
                metrics |= record.metrics | rate
            if record.epoch_metrics is not None:
                metrics |= record.epoch_metrics
                if val_split is not None:
                    validation = experiment.measure("val", val_split)
                    events.scalars(validation, record.step)
                    metrics |= validation
                    if state.observe(trainer.monitor, metrics, record.epoch):
                        checkpoints.keep_best()
                files.append_metrics({"epoch": record.epoch, "step": record.step, **metrics})
            events.flush()
            bar.advance(record.examples, console.remark(metrics))
            if trainer.patience and record.epoch_metrics and record.epoch - state.best.epoch >= trainer.patience:
                checkpoints.write()
                return Outcome("stopped", metrics)
            checkpoints.write_if_due(trainer.checkpoint_seconds)
            clock = time.perf_counter()
    except Diverged as error:
        return Outcome("diverged", metrics, error)
    checkpoints.write()
    if interruption.number is not None and state.step < experiment.steps:
        return Outcome("interrupted", metrics, Interrupted(interruption.number))
    return Outcome("completed", metrics)
