"""The configs of a run and of a sweep, with the checks of invalid combinations.

The file also lists the keys that may change when a run is resumed (`MAY_CHANGE`), and the keys in which the runs of a
stack may differ (`VARY`).
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from omegaconf import MISSING

from deeprob import config as configs
from deeprob.config import number, register
from deeprob.config.failures import failing
from deeprob.data import DatasetConfig
from deeprob.features import FeaturesConfig
from deeprob.models import MLPConfig, ModelConfig
from deeprob.objective import LossConfig, RegularizerConfig
from deeprob.optim import OptimizerConfig, SchedulerConfig
from deeprob.tracking.metric_names import OF_NUMBERS, measure_of
from deeprob.training import TrainerConfig


@dataclass(kw_only=True, slots=True)
class RunConfig:
    """The config of a run: one option of each group, and a seed.

    Attributes
    ----------
    seed
        The seed of weights, batch order, dropout and augmentation.
    """

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
        """Yield a message for each invalid combination of options."""
        if self.optimizer.deterministic:
            name = configs.name_of(self.optimizer)
            noise = ["trainer.batch_size=full"] if self.trainer.batch_size not in ("auto", "full") else []
            noise += self.dataset.noise_sources() + self.model.noise_sources() + self.trainer.noise_sources()
            if noise:
                yield f"optimizer={name} needs the full batch and no noise: set {' '.join(noise)}"
            if self.regularizer.has_proximal_step:
                yield f"regularizer.proximal=true needs an optimizer with one gradient step per update, not {name}"
        if (noise := self.dataset.noise_sources()) and not self.features.unchanged:
            name = configs.name_of(self.features)
            yield f"features={name} are computed once, before any augmentation: set {' '.join(noise)}"
        if self.trainer.gradient == "formulas" and (lacking := self.lacking_formulas()):
            yield f"trainer.gradient=formulas: no formula for the derivative of {' and '.join(lacking)}; set autograd"
        if self.dataset.regression and self.loss.weighted:
            yield "loss.class_weights needs classes, and the targets are numbers: leave it out"
        if self.dataset.regression and not self.loss.regression:
            name = configs.name_of(self.loss)
            yield f"loss={name} needs classes, and the targets are numbers: set loss=squared_error"
        for key in ("monitor", "patience_monitor"):
            metric: str = getattr(self.trainer, key)
            measure = measure_of(metric)
            if self.dataset.regression and measure not in ("auto", "loss", *OF_NUMBERS):
                yield f"trainer.{key}={metric}: needs classes, and the targets are numbers; set val/loss"
            if not self.dataset.regression and measure in OF_NUMBERS:
                yield f"trainer.{key}={metric}: needs numbers as targets, and these are classes; set val/accuracy"
            if measure == "ece" and not self.loss.build().probabilities:
                name = configs.name_of(self.loss)
                yield f"trainer.{key}={metric}: loss={name} gives no probabilities; set loss=cross_entropy"

    def choices(self) -> Iterator[tuple[str, str]]:
        """Yield the group and the name of each option that the run uses, also of features' parts, figures, trackers."""
        for f in dataclasses.fields(RunConfig):
            if configs.options(f.name):
                yield f.name, configs.name_of(getattr(self, f.name))
        for part in getattr(self.features, "parts", ()):
            yield "features", str(part.get("name") if isinstance(part, Mapping) else part)
        for figure in self.trainer.figures or ():
            yield "figure", figure.partition(" ")[0]
        for tracker in self.trainer.trackers:
            yield "tracker", tracker.partition(" ")[0]

    def lacking_formulas(self) -> list[str]:
        """Return the options whose derivative is not stated as a formula, such as ``model=resnet``."""
        with failing(self.loss):
            loss = self.loss.build()
        with failing(self.regularizer):
            regularizer = self.regularizer.build()
        have = {"model": self.model.has_formulas, "loss": loss.has_formula, "regularizer": regularizer.has_formula}
        return [f"{key}={configs.name_of(getattr(self, key))}" for key, has in have.items() if not has]

    def resolved(self) -> "RunConfig":
        """Replace each ``auto`` by a value, make all paths absolute, and return the new config."""
        size = self.trainer.batch_size
        if size == "auto":
            size = "full" if self.optimizer.deterministic else self.dataset.batch_size_hint
        monitor = self.trainer.monitor
        if monitor == "auto":
            monitor = "val/loss" if self.dataset.regression else "val/accuracy"
        patience_monitor = self.trainer.patience_monitor.replace("auto", "val/loss")
        gradient = self.trainer.gradient
        if gradient == "auto":
            gradient = "autograd" if self.lacking_formulas() else "formulas"
        trainer = dataclasses.replace(
            self.trainer, batch_size=size, monitor=monitor, patience_monitor=patience_monitor, gradient=gradient
        )
        return dataclasses.replace(self, dataset=self.dataset.resolved(), trainer=trainer)


@dataclass(kw_only=True, slots=True)
class SweepConfig:
    """The settings of a sweep.

    Attributes
    ----------
    folds
        The number of folds of a cross-validation. Every combination of values is trained once for each fold, which is
        the test split of this run (see ``dataset.folds``). 0 makes no folds. Example: ``-m dataset=csv
        dataset.root=TABLE.csv model=linear,mlp sweep.folds=5``.
    fail_fast
        Whether the sweep starts no further job after a job has failed. Jobs that train together with the failed job go
        on. Example: ``-m seed=0,1 sweep.fail_fast=true``.
    isolate
        Whether each job runs in its own process. If such a process is killed, for example because it uses too much
        memory, only this job fails. Example: ``-m model.width=64,4096 sweep.isolate=true``.
    variants
        The variants that a sweep compares. Each variant is a text with overrides. A variant may set several keys, and
        may give several values for a key. Example: ``-m
        "sweep.variants=['optimizer=sgd optimizer.lr=0.1,0.3','optimizer=adam']"``.
    tune
        The keys that are tuned. Jobs that differ only in these keys and in seeds form a group. From each group,
        only the jobs with the best value are in the final table, the figure and the claims. Example: ``-m
        optimizer.lr=1e-3,1e-2 seed=0,1 sweep.tune=[optimizer.lr]``.
    tune_by
        The metric that decides which value is best. The mean over seeds is compared. auto means the metric that chooses
        the best checkpoint. If there is no validation split, auto means train/loss. Example: ``-m optimizer.lr=0.01,0.1
        sweep.tune=[optimizer.lr] sweep.tune_by=train/accuracy``.
    fuse
        The key that decides which jobs are fused when all jobs have ended. First, for each value of the key, the job
        that is best on the validation split is chosen. Then the scores of the chosen jobs are added, with weights that
        are fitted on the validation split (see `deeprob.assembly.fusion`). Each seed gives one result. It is a row with
        the value ``fused`` in tables and claims. Example: ``-m features=raw,polar dataset.val_fraction=0.2
        sweep.fuse=features``.
    columns
        The metrics that the tables show. [] shows accuracy, or the loss if there are no classes. Example: ``-m seed=0,1
        sweep.columns=[train/loss,test/accuracy]``.
    measures
        Further measurements of each job. They are made when all jobs have ended. ``boundary`` measures the length of
        the decision boundary. ``probe`` measures the hidden layers. ``slices`` measures the loss on lines (see
        `deeprob.sweeps.measures`). Example: ``-m seed=0,1 sweep.measures=[boundary,probe]``.
    figure
        The figure that shows all jobs side by side. It is drawn when all jobs have ended. Example: ``-m
        model.width=3,20 sweep.figure=decision_boundary``.
    claims
        The claims about the jobs. They are checked when all jobs have ended. The forms of a claim are in
        `deeprob.sweeps.claims`. Example: ``-m seed=0,1 "sweep.claims=['test/accuracy > 0.9']"``.
    """

    folds: int = number(0, minimum=0)
    fail_fast: bool = False
    isolate: bool = False
    variants: list[str] = field(default_factory=list)
    tune: list[str] = field(default_factory=list)
    tune_by: str = "auto"
    fuse: str | None = None
    columns: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    figure: str | None = None
    claims: list[str] = field(default_factory=list)

    def problems(self) -> Iterator[str]:
        """Yield a message for each setting that is invalid, or that this system does not support."""
        if self.folds == 1:
            yield "folds=1: expected 2 or more, or 0 for no folds"
        if self.isolate and not hasattr(os, "fork"):
            yield f"isolate=true needs fork, which this system ({sys.platform}) lacks; leave it out"


LONE_EXAMPLE = "batch norm needs two or more examples in a batch"
"""The text in error messages that says why batch norm fails with a single example."""


@register("", "train")
@dataclass(kw_only=True, slots=True)
class TrainConfig(RunConfig):
    """The config of ``deeprob-train``: a run, and the settings of resumption and sweeps.

    Attributes
    ----------
    resume
        The directory of a run to resume. ``auto`` resumes the run that is in the output directory already, if there is
        one. Example: ``resume=outputs/spirals-mlp-adamw/2026-01-31_12-00-00``.
    """

    resume: str | None = None
    sweep: SweepConfig = field(default_factory=SweepConfig)

    def problems(self) -> Iterator[str]:
        """Yield the problems of the run, and further problems that matter only for training.

        `RunConfig` does not report the further problems, so that a finished run with such a problem can be loaded.
        """
        yield from RunConfig.problems(self)
        if self.trainer.patience and not self.dataset.has_validation:
            yield "trainer.patience needs a validation split: set dataset.val_fraction=0.1, say"
        # the metric that replaces auto in config.yaml is allowed without a validation split too
        instead_of_auto = "val/loss" if self.dataset.regression else "val/accuracy"
        if self.trainer.monitor not in ("auto", instead_of_auto) and not self.dataset.has_validation:
            yield f"trainer.monitor={self.trainer.monitor} needs a validation split: set dataset.val_fraction=0.1, say"
        model = self.model
        if isinstance(model, MLPConfig) and model.activation != "maxout" and model.pieces != MLPConfig().pieces:
            yield f"model.pieces={model.pieces} needs maxout units: set model.activation=maxout"
        for key in ("batch_size", "chunk_size"):
            if self.model.compares_examples and getattr(self.trainer, key) == 1:
                yield f"trainer.{key}=1: {LONE_EXAMPLE}; set trainer.{key}=2 or more, or model.norm=layer"

    @property
    def run(self) -> RunConfig:
        """The config of the run, without the settings of resumption and sweeps."""
        return RunConfig(**{f.name: getattr(self, f.name) for f in dataclasses.fields(RunConfig)})


FOLD = "dataset.fold"
"""The key with the number of the fold that is the test split. Like a seed, it chooses one of several equal draws."""


def is_seed(key: str) -> bool:
    """Return whether a key is a seed: ``seed``, ``dataset.seed`` or ``dataset.fold``."""
    return key.rpartition(".")[2] == "seed" or key == FOLD


MAY_CHANGE = (
    "trainer.epochs",
    "trainer.log_every",
    "trainer.progress",
    "trainer.figures",
    "trainer.figures_every",
    "trainer.preflight",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_epochs",
    "trainer.checkpoint_steps",
    "trainer.device",
    "trainer.threads",
    "trainer.gradient",
)
"""The keys that may change when a run is resumed.

A change of one of the last three keys changes the results of the run a little, because numbers are rounded differently.
"""


VARY = frozenset(
    {
        "seed",
        "dataset.seed",
        "dataset.fold",
        "model.dropout",
        "loss.class_weights",
        "loss.delta",
        "loss.gamma",
        "loss.label_smoothing",
        "loss.margin",
        "regularizer",
        "scheduler",
        "trainer.monitor",
        "trainer.patience",
        "trainer.patience_monitor",
        "trainer.progress",
        "trainer.figures",
        "trainer.figures_every",
        "trainer.trackers",
        "trainer.checkpoint_minutes",
        "trainer.checkpoint_epochs",
    }
)
"""The keys in which the runs of a stack may differ.

The runs may also differ in the numbers of the optimizer, the regularizer and the schedule. Runs with different splits
train in one stack only if the splits have the same shapes (see `deeprob.sweeps.grouping.by_shape`).
"""
