"""The training loop: a generator that updates the state, and yields a record of measurements at each reading.

During training, measurements are summed on the device. A reading fetches the sums. Readings take place every
`log_every` updates and at the end of each epoch.
"""

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
    """The measurements that the training loop yields between two updates.

    Attributes
    ----------
    step
        The number of updates so far.
    epoch
        The number of epochs that have begun. An epoch begins when its first update is done.
    metrics
        The means over the updates since the last reading, by TensorBoard tag. Empty if no reading was due, and the loop
        yielded the record only so that the caller can write a checkpoint or stop.
    examples
        The number of examples in the updates since the last reading.
    epoch_metrics
        The means over all updates of an epoch, at its end; otherwise None.
    validation
        ``loss`` and ``accuracy`` of the validation split; None if the loop did not measure them.
    """

    step: int
    epoch: int
    metrics: dict[str, float]
    examples: int
    epoch_metrics: dict[str, float] | None
    validation: dict[str, float] | None = None

    @classmethod
    def empty(cls, step: int, per_epoch: int) -> "Record":
        """Return a record without measurements."""
        return cls(step, epoch_of(step, per_epoch), {}, 0, None)


@dataclass(frozen=True)
class Learner:
    """The objects that belong to one run.

    The run trains alone, or together with other runs (in a stack).

    Attributes
    ----------
    state
        The training state, which training changes in place. It can be saved whenever the loop yields a record. A run
        that is resumed from it gets the same results, bit for bit, as a run without interruption. In a stack, the
        tensors of the state become views of the stack's tensors.
    objective
        The function that computes L(W).
    optimizer
        The config of the optimizer in `state`.
    seed
        The seed of the run. It decides the order of the examples, the dropout masks and the augmentation.
    zeros
        Whether to measure the share of weights that are exactly 0.
    """

    state: TrainState
    objective: Objective
    optimizer: OptimizerConfig
    seed: int
    zeros: bool = False


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The settings of the training loop: its length, its batches, and the updates at which it yields records.

    Attributes
    ----------
    epochs, batch_size, chunk_size, log_every
        See `TrainerConfig`. Here they are always numbers: ``auto`` and ``full`` have been replaced.
    bf16
        Whether to compute matrix products in bfloat16. Parameters, loss and updates keep their precision.
    pause_every
        The number of updates between two records without measurements; 0 for none. If a reading is due after the same
        update, the loop yields only the record of the reading.
    augment
        The function that augments a batch of inputs. Its second argument is a key for random numbers. None means no
        augmentation.
    """

    epochs: int
    batch_size: int
    chunk_size: int
    log_every: int
    bf16: bool = False
    pause_every: int = 0
    augment: Augment | None = None

    def read_at(self, step: int, per_epoch: int) -> bool:
        """Return whether a reading is due after `step` updates."""
        return step % per_epoch == 0 or step % self.log_every == 0

    def paused_at(self, step: int) -> bool:
        """Return whether a record without measurements is due after `step` updates (see `pause_every`)."""
        return self.pause_every > 0 and step % self.pause_every == 0


def epoch_of(step: int, per_epoch: int) -> int:
    """Return the number of epochs that have begun after `step` updates. Example: with 2 updates per epoch, 3 → 2."""
    return -(-step // per_epoch)


def draws_of(learner: Learner, examples: Examples, settings: LoopSettings) -> Draws:
    """Return the batches and random keys of a run."""
    noisy = learner.state.model.noisy
    return Draws(examples, settings.batch_size, learner.seed, noisy=noisy, augment=settings.augment)


def train(
    learner: Learner,
    features: Features,
    examples: Examples,
    settings: LoopSettings,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """Continue the training of a run to the end of the last epoch, or until the optimizer has converged.

    The loop does not wait for the device between two records. So it learns only at a reading that a number was NaN or
    infinite in an earlier update. Then it restores the last snapshot of the state, and repeats the updates before the
    failed one.

    Parameters
    ----------
    learner
        The run.
    features, examples
        The module that prepares a batch for the model, and the training split, whose features are already extracted.
        Both are on the model's device.
    settings
        The settings of the loop.
    interrupted
        The function that is called after each update. If it returns True, the loop yields a last record and ends.

    Raises
    ------
    Diverged
        If a number was NaN or infinite. It is raised instead of the next record. Then the state is the one before
        the failed update.
    """
    state = learner.state
    if settings.augment is None:
        features, examples = made_ready(features, examples, whole=settings.batch_size >= len(examples))
    draws = draws_of(learner, examples, settings)
    per_epoch = draws.batches.per_epoch
    update = Update(state, learner.objective, features, settings.chunk_size, settings.bf16, halving=per_epoch == 1)

    guarded = learner.optimizer.deterministic  # L-BFGS keeps parameters finite, and its state is large: copy nothing
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
        elif pauses:  # no reading is due: the sums stay for the next reading
            yield Record.empty(state.step, per_epoch)


def make(update: Update, draws: Draws) -> None:
    """Do the next update, with the learning rate of the schedule."""
    state = update.state
    factor = state.schedule(state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    update(*draws[state.step])
    state.step += 1


def go_back(update: Update, draws: Draws, kept: Snapshot, first: int) -> int:
    """Put the state back to the moment before the first failed update.

    First the snapshot is restored. Then the updates between the snapshot and the failed update are repeated. An update
    has failed if a loss, a gradient or a parameter is NaN or infinite. Return the number of updates before it.

    Parameters
    ----------
    update, draws
        The update function, and the batches and random keys of the run.
    kept
        The snapshot.
    first
        The first update, counted from 0, whose loss or gradient is not finite. The parameters may have become NaN or
        infinite earlier.
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
    """Return a record of the measurements since the last reading.

    Parameters
    ----------
    learner
        The run.
    per_epoch
        The number of updates per epoch.
    norm
        The norm of the parameters.
    fault
        The function that is called when a number is not finite. Its argument is the first update (counted from 0)
        whose loss or gradient is not finite. The function puts the state back to the moment before the first failed
        update, which may be an earlier one. It returns the number of the failed update, and the name of the quantity
        that was not finite, for example ``data loss``.

    Raises
    ------
    Diverged
        If a number was not finite. The error names the first such quantity.
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
    """Return the share of exact zeros among the entries of all tensors."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    return (flat == 0).double().mean().item()
