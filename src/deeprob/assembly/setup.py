"""Build all parts of a run from its config, and connect them."""

import copy
import dataclasses
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deeprob import config as configs
from deeprob import randomness
from deeprob.assembly.automatic import batch_size_of, decided, epochs_of
from deeprob.assembly.config import LONE_EXAMPLE, RunConfig
from deeprob.assembly.prepare import Prepared, Shared
from deeprob.config.failures import failing
from deeprob.config.own_modules import is_own
from deeprob.data import Encoding, Examples, Splits
from deeprob.errors import Diverged, UserError, did_you_mean, first_few
from deeprob.features import Features, Standardize
from deeprob.models import Model
from deeprob.objective import Loss, LossConfig, Objective, weights
from deeprob.optim import OptimizerConfig, Schedule
from deeprob.tracking.cache import fingerprint
from deeprob.tracking.console import note
from deeprob.tracking.device import resolve_device
from deeprob.tracking.metric_names import measure_of
from deeprob.training import Predictor, Record, TrainState, evaluate, train
from deeprob.training.classification import imbalance
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.loop import share_of_zeros
from deeprob.training.metrics import regularized
from deeprob.training.ranks import Ranks
from deeprob.training.scoring import Scoring

# If an update has fewer floating-point operations than this, a second CPU thread makes it slower (docs/results.md).
SMALL_UPDATE = 1e7


def build_predictor(
    config: RunConfig,
    features: Features,
    input_shape: Sequence[int],
    outputs: int,
    classes: Sequence[str],
    target_scale: Standardize | None = None,
    encoding: Encoding | None = None,
) -> Predictor:
    """Return a predictor: the features, a model with its initial weights, and the scale of the targets."""
    model = initial_model(config, features.output_count, outputs)
    bf16 = config.trainer.precision == "bf16"
    return Predictor(features, model, tuple(input_shape), outputs, tuple(classes), bf16, target_scale, encoding)


def initial_model(config: RunConfig, inputs: int, outputs: int) -> Model:
    """Return a run's model with its initial weights. The random numbers for the weights depend only on the seed."""
    with randomness.seeded(config.seed, "layers"), failing(config.model):
        return config.model.build(inputs, outputs, randomness.generator(config.seed, "weights"))


def build_loss(config: LossConfig, splits: Splits) -> Loss:
    """Return the loss of a config. The training split decides the scale of its class weights.

    Raises
    ------
    UserError
        If ``loss.class_weights`` is a list that does not have one number per class.
    """
    if not config.weighted:
        return config.build()
    given = getattr(config, "class_weights", None)
    if isinstance(given, list) and len(given) != len(splits.classes):
        raise UserError(
            f"loss.class_weights={str(given).replace(' ', '')}: expected one number for each of the "
            f"{len(splits.classes)} classes {first_few(splits.classes)}"
        )
    train = splits.train
    return config.build(torch.bincount(train.targets, train.weights, minlength=len(splits.classes)))


def build_optimizer(config: OptimizerConfig, model: Model) -> torch.optim.Optimizer:
    """Return the optimizer of a config. If its class is the user's, another one first makes a step with a copy.

    Raises
    ------
    UserError
        If the class of the user does not build an optimizer that deeprob can use.
    """
    if is_own(type(config)):
        check_optimizer(config, copy.deepcopy(model))
    return config.build(model.parameters())


def check_optimizer(config: OptimizerConfig, model: Model) -> None:
    """Raise a `UserError` if the optimizer of a config is not one that deeprob can use. The model changes."""
    word, calls, parameters = configs.choice_of(config), 0, list(model.parameters())
    with failing(config):
        optimizer: object = config.build(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(f"{word}: build() returned a {type(optimizer).__name__}; expected a torch.optim.Optimizer")
    if not all("lr" in group for group in optimizer.param_groups):
        raise UserError(f"{word}: a parameter group has no lr, which the schedule multiplies; give it one")
    try:
        inspect.signature(optimizer.step).bind(None)
    except TypeError:
        raise UserError(f"{word}: step() takes no closure; write def step(self, closure) and call closure()") from None

    def closure() -> Any:
        nonlocal calls
        calls += 1
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        return torch.stack([parameter.detach().square().sum() / 2 for parameter in parameters]).sum()

    with failing(config, "step"):
        optimizer.step(closure)
    if not calls:
        raise UserError(f"{word}: step(closure) never calls closure(), which computes the gradient")


def build_schedule(config: RunConfig, steps: int) -> Schedule:
    """Return the learning-rate schedule of a run with this number of updates."""
    if not config.optimizer.scheduled:
        return Schedule()
    with failing(config.scheduler):
        return config.scheduler.build(steps)


@dataclass(frozen=True)
class Setup:
    """All parts of a run, built and on their device. Nothing is written to the disk yet.

    Attributes
    ----------
    prepared
        The dataset and its extracted features.
    batch_size, chunk_size, steps
        The number of examples per update, the number of examples that go through the model together, and the number of
        updates in the whole run.
    ranks
        The processes that train the run together.
    """

    config: RunConfig
    predictor: Predictor
    prepared: Prepared
    objective: Objective
    state: TrainState
    batch_size: int
    chunk_size: int
    steps: int
    ranks: Ranks = field(default_factory=Ranks)

    @classmethod
    def build(
        cls,
        config: RunConfig,
        shared: Shared | None = None,
        learned: Mapping[str, Tensor] | None = None,
        ranks: Ranks | None = None,
    ) -> "Setup":
        """Load the dataset, fit the features and build the model of a config.

        `shared` keeps datasets and features that other runs use too. If `learned` is given, it has the fitted features
        of a checkpoint. These are reused.

        `ranks` are the processes that train the run together.

        The config of the setup has numbers in place of each ``auto`` that depends on the number of training examples
        (see `deeprob.assembly.automatic`). If several processes train, the number of examples that each of them
        computes at once replaces ``trainer.chunk_size=auto``.

        Raises
        ------
        UserError
            If the dataset cannot be read, if it cannot be split as the config says, if ``loss.class_weights`` does not
            have one number per class, if the model has batch norm and there is only one training example, if the
            validation split lacks the metric that is monitored, or if several processes cannot train the run together.
        """
        trainer, shared, ranks = config.trainer, shared or Shared(), ranks or Ranks()
        if lacking := " and ".join(config.lacking_formulas()):
            shared.note_once(f"{lacking}: no formula for the derivative, so autograd computes the gradients")
        device = resolve_device(trainer.device)
        if ranks.count > 1:
            check_ranks(config, ranks, device)
        prepared = shared.prepare(config.dataset, config.features, device, trainer.dtype, learned)
        splits = prepared.splits
        if config.model.compares_examples and len(splits.train) == 1:
            raise UserError(f"dataset: 1 training example, but {LONE_EXAMPLE}; give more, or set model.norm=layer")
        predictor = build_predictor(
            config,
            prepared.features,
            prepared.input_shape,
            splits.outputs,
            splits.classes,
            prepared.target_scale,
            prepared.raw.encoding,
        )
        predictor.to(device, trainer.dtype)
        if splits.val is not None:
            check_monitors(config, predictor, splits.val.targets)
        batch_size = batch_size_of(config, len(splits.train))
        chunk_size = trainer.chunk_size if isinstance(trainer.chunk_size, int) else predictor.chunk_size()
        if ranks.count > 1:
            if trainer.chunk_size == "auto":
                chunk_size = ranks.chunk_size(batch_size, chunk_size)
                config = dataclasses.replace(config, trainer=dataclasses.replace(trainer, chunk_size=chunk_size))
            if (chunks := -(-batch_size // chunk_size)) < ranks.count:
                note(
                    f"trainer.chunk_size={chunk_size}: only {chunks} of {ranks.count} processes "
                    f"{'has' if chunks == 1 else 'have'} work, because an update has {batch_size} examples"
                )
        config = decided(config, len(splits.train), splits.train.total)
        steps = epochs_of(config) * -(-len(splits.train) // batch_size)
        state = TrainState.start(
            predictor.model,
            build_optimizer(config.optimizer, predictor.model),
            build_schedule(config, steps),
            device,
            accuracy=bool(splits.classes),
        )
        return cls(
            config=config,
            predictor=predictor,
            prepared=prepared,
            objective=Objective(build_loss(config.loss, splits), config.regularizer.build()),
            state=state,
            batch_size=batch_size,
            chunk_size=chunk_size,
            steps=steps,
            ranks=ranks,
        )

    @property
    def formulas(self) -> bool:
        """Whether formulas compute the gradient; if not, autograd does."""
        return self.config.trainer.gradient == "formulas"

    @property
    def raw(self) -> Splits:
        """The raw splits, as they were loaded."""
        return self.prepared.raw

    @property
    def splits(self) -> Splits:
        """The extracted features of each split."""
        return self.prepared.splits

    @property
    def sizes(self) -> dict[str, int]:
        """The number of examples in each split, by its name."""
        parts = {"train": self.splits.train, "val": self.splits.val, "test": self.splits.test}
        return {name: len(part) for name, part in parts.items() if part is not None}

    @property
    def operations(self) -> float:
        """The approximate number of floating-point operations per update: 6 for each parameter and each example."""
        return 6.0 * self.batch_size * self.parameters

    @property
    def threads(self) -> int:
        """The number of CPU threads for training this run, with or without a stack.

        With ``trainer.threads=auto`` a large update uses all threads that this process has now.
        """
        if isinstance(self.config.trainer.threads, int):
            return self.config.trainer.threads
        return 1 if self.operations < SMALL_UPDATE or self.ranks.count > 1 else torch.get_num_threads()

    @property
    def parameters(self) -> int:
        """The number of parameters of the model."""
        return sum(parameter.numel() for parameter in self.predictor.model.parameters())

    @property
    def epochs(self) -> int:
        """The number of epochs in the whole run."""
        return epochs_of(self.config)

    @property
    def _scoring(self) -> Scoring:
        """The function that measures the scores of a split."""
        return self.predictor.scoring(self.objective.loss)

    @property
    def imbalance(self) -> float | None:
        """How unequal the classes are (see `deeprob.tracking.metric_names.unbalanced`). None for regression."""
        if not self.splits.classes:
            return None
        return max(imbalance(split.targets) for split in (self.splits.train, self.splits.test))

    @property
    def epochs_done(self) -> int:
        """The number of complete epochs of training so far."""
        return self.state.step * self.epochs // self.steps

    @property
    def out_of_patience(self) -> bool:
        """Whether the last ``trainer.patience`` epochs brought no improvement, so that the run stops early."""
        return 0 < self.config.trainer.patience <= self.epochs_done - self.state.improved.epoch

    def agree(self) -> None:
        """Wait until all processes have come this far.

        Raises
        ------
        UserError
            If the processes do not have the same config, inputs, number of updates and weights.
        """
        if self.ranks.count > 1:
            parameters = torch.cat([values.detach().flatten() for values in self.state.parameters.values()])
            self.ranks.agree(
                {
                    "config": configs.digest(self.config),
                    "inputs": self.prepared.fingerprint,
                    "updates": self.state.step,
                    "weights": fingerprint(parameters),
                }
            )

    def identity(self) -> dict[str, Any]:
        """Return the values that identify the run's data and features."""
        counts = [self.sizes.get(name, 0) for name in ("train", "val", "test")]
        return {"examples": counts, "inputs": self.prepared.fingerprint, **self.predictor.state_dict()}

    @property
    def label(self) -> str:
        """The names of dataset, model and optimizer, joined by hyphens."""
        return "-".join(
            configs.name_of(part) for part in (self.config.dataset, self.config.model, self.config.optimizer)
        )

    @property
    def learner(self) -> Learner:
        """The parts of the training loop that this run does not share with the other runs of a stack."""
        config = self.config
        return Learner(self.state, self.objective, config.optimizer, config.seed, config.regularizer.selects)

    @property
    def settings(self) -> LoopSettings:
        """The settings of the training loop."""
        trainer = self.config.trainer
        return LoopSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            chunk_size=self.chunk_size,
            log_every=trainer.log_every,
            formulas=self.formulas,
            bf16=self.predictor.bf16,
            pause_every=trainer.checkpoint_steps,
            augment=self.config.dataset.augmentation(),
            ranks=self.ranks,
            scoring=self._scoring,
        )

    def train(self, interrupted: Callable[[], bool]) -> Iterator[Record]:
        """Train the run without a stack, and yield its records (see `deeprob.training.loop.train`).

        Raises
        ------
        Diverged
            If a number was not finite. The state is then the state before the failed update.
        """
        for readings in train([self.learner], [self.prepared.training], self.settings, interrupted=interrupted):
            record = readings[0]
            if isinstance(record, Diverged):
                raise record
            yield record

    def measure(self, name: str, examples: Examples, measured: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the metrics of the split `name`, such as ``name/loss`` and ``name/accuracy``.

        For the training split, the loss is L(W), and its two terms are returned too (see `regularized`). If the result
        of `evaluate` for these examples is known already, pass it as `measured`. Then nothing is measured again.

        Raises
        ------
        Diverged
            If the loss is not finite. Either the last update was too large, or an input is not finite.
        """
        if measured is None:
            measured = evaluate(self.predictor.scores, examples, self.objective.loss, self.chunk_size, self._scoring)
        if name == "train":
            measured = regularized(measured, self.objective.regularizer, self.state.parameters)
        if not math.isfinite(measured["loss"]):
            inputs = (
                self.predictor.features(part).isfinite().all() for part in torch.split(examples.inputs, self.chunk_size)
            )
            raise Diverged(f"{'loss on' if all(inputs) else 'input of'} the {name} split", self.state.step)
        return {f"{name}/{measure}": value for measure, value in measured.items()}

    def end_epoch(self, record: Record) -> tuple[dict[str, float], bool]:
        """Pass the metrics of an epoch to the schedule and to early stopping.

        Returns
        -------
        dict, bool
            The metrics of the training split and the validation split, and whether this is the best epoch so far.

        Raises
        ------
        Diverged
            If the loss of the validation split is not finite.
        """
        assert record.epoch_metrics is not None
        state, trainer, val = self.state, self.config.trainer, self.splits.val
        if val is None:
            state.schedule.observe(record.epoch_metrics["train/loss"])
            return record.epoch_metrics, False
        validation = self.measure("val", val, record.validation)
        state.schedule.observe(validation["val/loss"])
        best = state.observe(trainer.monitor, trainer.patience_monitor, validation, record.epoch)
        return record.epoch_metrics | validation, best

    def measure_all(self) -> dict[str, float]:
        """Return the metrics of the current weights.

        The metrics are the loss and the measures of each split, the norm of the parameters, and the share of zero
        weights. The share of zeros is measured only if the regularizer can make weights 0.

        Raises
        ------
        Diverged
            If a loss is not finite.
        """
        metrics: dict[str, float] = {}
        for name in ("train", "val", "test"):
            examples: Examples | None = getattr(self.splits, name)
            if examples is not None:
                metrics |= self.measure(name, examples)
        norms = [torch.linalg.vector_norm(parameter.detach()) for parameter in self.state.model.parameters()]
        metrics["params/norm"] = torch.linalg.vector_norm(torch.stack(norms)).item()
        if self.learner.zeros:
            metrics["params/zeros"] = share_of_zeros(weights(self.state.parameters).values())
        return metrics


def check_monitors(config: RunConfig, predictor: Predictor, targets: Tensor) -> None:
    """Raise a `UserError` if the validation split with these targets lacks a metric that ``trainer`` monitors."""
    monitors = {key: getattr(config.trainer, key) for key in ("monitor", "patience_monitor")}
    if {measure_of(metric) for metric in monitors.values()} <= {"auto", "loss", "accuracy"}:
        return
    scoring = predictor.scoring(config.loss.build())
    known = [f"val/{measure}" for measure in ("loss", *scoring.names(targets, predictor.outputs))]
    for key, metric in monitors.items():
        if metric not in ("auto", *known):
            raise UserError(
                f"trainer.{key}={metric}: this validation split has no such metric; {did_you_mean(metric, known)}"
            )


def check_ranks(config: RunConfig, ranks: Ranks, device: torch.device) -> None:
    """Raise a `UserError` if several processes cannot train a run together on this device."""
    if config.model.compares_examples:
        raise UserError(
            "model.norm=batch: batch norm compares all examples of a batch, but each process has only some of them; "
            "set model.norm=layer, or train with one process"
        )
    if device.type == "cuda" and torch.cuda.device_count() < ranks.local_count:
        raise UserError(
            f"trainer.device={config.trainer.device}: {ranks.local_count} processes, but {torch.cuda.device_count()} "
            "CUDA devices; start one process for each device, or set trainer.device=cpu"
        )
