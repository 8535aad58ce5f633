"""The training loop: a generator that updates the state and yields a record whenever something can be read."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.objective import Objective, weights
from deeprob.optim import OptimizerConfig
from deeprob.training.draws import Augment, Draws
from deeprob.training.ready import made_ready
from deeprob.training.state import Snapshot, TrainState
from deeprob.training.update import Update, total_norm


@dataclass(frozen=True)
class Record:
    """What the loop knows at a moment when it has waited for the device anyway.

    Attributes
    ----------
    step
        Updates done.
    epoch
        Epochs done, the current one counted from its first update.
    metrics
        Means over the updates since the last reading, under the names of TensorBoard's tags; empty in a record in the
        middle of an interval, which an interruption causes or a checkpoint that is due.
    examples
        How many examples those updates saw.
    epoch_metrics
        At the end of an epoch the means over all its updates, else None.
    validation
        What the validation split has there, if the loop measured it: ``loss`` and ``accuracy``.
    """

    step: int
    epoch: int
    metrics: dict[str, float]
    examples: int
    epoch_metrics: dict[str, float] | None
    validation: dict[str, float] | None = None

    @classmethod
    def empty(cls, step: int, per_epoch: int) -> "Record":
        """Return a record of a moment at which nothing is read."""
        return cls(step, epoch_of(step, per_epoch), {}, 0, None)


@dataclass(frozen=True)
class Learner:
    """What a run has of its own, alone or among others of a stack.

    Attributes
    ----------
    state
        Is changed in place; between two records it can be written down and loaded to go on bit for bit. In a stack its
        tensors become views of the stack's.
    objective
        L(W).
    optimizer
        The config of the state's optimizer.
    seed
        Names the order of batches, the dropout masks and what augmentation draws.
    zeros
        Measure the share of weights that are exactly 0.
    """

    state: TrainState
    objective: Objective
    optimizer: OptimizerConfig
    seed: int
    zeros: bool = False


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How long and in which portions to train.

    Attributes
    ----------
    epochs, batch_size, chunk_size, log_every
        See `TrainerConfig`, resolved to numbers.
    bf16
        Compute products of matrices in bfloat16; parameters, loss and updates stay as they are.
    pause_every
        Yield an empty record every so many updates, if there is no other; 0 for never.
    augment
        Changes a batch of inputs, given a key for its random numbers.
    """

    epochs: int
    batch_size: int
    chunk_size: int
    log_every: int
    bf16: bool = False
    pause_every: int = 0
    augment: Augment | None = None

    def read_at(self, step: int, per_epoch: int) -> bool:
        """Tell whether a reading is due after so many updates."""
        return step % per_epoch == 0 or step % self.log_every == 0

    def paused_at(self, step: int) -> bool:
        """Tell whether an empty record is due after so many updates."""
        return self.pause_every > 0 and step % self.pause_every == 0


def epoch_of(step: int, per_epoch: int) -> int:
    """Return how many epochs so many updates have begun: 3 updates of 2 an epoch have begun the second."""
    return -(-step // per_epoch)


def draws_of(learner: Learner, examples: Examples, settings: LoopSettings) -> Draws:
    """Return what each update of a run sees."""
    noisy = learner.state.model.noisy
    return Draws(examples, settings.batch_size, learner.seed, noisy=noisy, augment=settings.augment)


def train(
    learner: Learner,
    features: Features,
    examples: Examples,
    settings: LoopSettings,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """Train from wherever the state is to the end of the last epoch, or until the optimizer has nothing more to do.

    Nothing waits for the device between two records. Once a number is not finite the state goes back to a snapshot, and
    makes the updates again that went well.

    Parameters
    ----------
    learner
        The run.
    features, examples
        What prepares a batch for the model, and the extracted training split on the model's device.
    settings
        How long and in which portions.
    interrupted
        Is asked after each update; when it says so the loop yields a last record and ends.

    Raises
    ------
    Diverged
        At the next record after a number was not finite; the state is that before the update at fault.
    """
    state = learner.state
    if settings.augment is None:
        features, examples = made_ready(features, examples, whole=settings.batch_size >= len(examples))
    draws = draws_of(learner, examples, settings)
    per_epoch = draws.batches.per_epoch
    update = Update(state, learner.objective, features, settings.chunk_size, settings.bf16, halving=per_epoch == 1)

    guarded = learner.optimizer.deterministic  # it never leaves a finite point, and its memory is large
    kept, stopped = state.snapshot(tensors=not guarded), state.finished

    def fault(first: int) -> tuple[int, str]:
        first = go_back(update, draws, kept, first)
        return first, update.first_not_finite(*draws[first])

    while state.step < settings.epochs * per_epoch and not stopped:
        make(update, draws)
        stopped = interrupted() or state.finished
        pauses = stopped or settings.paused_at(state.step)
        if settings.read_at(state.step, per_epoch) or (pauses and state.frozen):
            yield reading(learner, per_epoch, total_norm(update.parameters).item(), fault)
            if guarded or state.step % settings.log_every == 0 or state.schedule.state_dict() != kept.schedule:
                kept = state.snapshot(tensors=not guarded)
        elif pauses:  # read nothing: the interval goes on after it
            yield Record.empty(state.step, per_epoch)


def make(update: Update, draws: Draws) -> None:
    """Make the next update of a state."""
    state = update.state
    factor = state.schedule(state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    update(*draws[state.step])
    state.step += 1


def go_back(update: Update, draws: Draws, kept: Snapshot, first: int) -> int:
    """Let a state be the last one that is finite, made again from a snapshot, and return its step.

    Parameters
    ----------
    update, draws
        What made the updates since the snapshot.
    kept
        The snapshot.
    first
        The first update, counted from 0, with a loss or gradient that is not finite; the parameters may have been so
        before.
    """
    state = update.state
    last = max(first, kept.step)
    state.restore(kept)
    while kept.states is not None and state.step < last:
        make(update, draws)
        if not total_norm(update.parameters).isfinite():
            last = state.step - 1
            state.restore(kept)
    state.go_back(last, state.evaluations)
    return last


def reading(learner: Learner, per_epoch: int, norm: float, fault: Callable[[int], tuple[int, str]]) -> Record:
    """Return what was measured since the last reading.

    Parameters
    ----------
    learner
        The run after an update.
    per_epoch
        Updates an epoch.
    norm
        Of the parameters.
    fault
        From the first update (counted from 0) with a loss or gradient that is not finite to the first update at fault,
        which may be earlier, and what was not finite in it; lets the state be that before it.

    Raises
    ------
    Diverged
        When a number has not been finite; names the first.
    """
    state = learner.state
    metrics, count = state.meters.read()
    metrics["optim/lr"] = state.optimizer.param_groups[0]["lr"]
    metrics["params/norm"] = norm
    frozen = int(metrics.pop("frozen"))
    if frozen or not math.isfinite(norm):
        first, cause = fault(state.step - max(frozen, 1))
        raise Diverged(cause, first + 1, *divmod(first, per_epoch))
    if learner.zeros:
        metrics["params/zeros"] = share_of_zeros(weights(state.parameters).values())
    epoch_metrics = metrics | state.meters.read_epoch() if state.step % per_epoch == 0 else None
    return Record(state.step, epoch_of(state.step, per_epoch), metrics, count, epoch_metrics)


def share_of_zeros(tensors: Iterable[Tensor]) -> float:
    """Return the share of entries that are exactly 0."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    return (flat == 0).double().mean().item()
