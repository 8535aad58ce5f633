"""The training loop: a generator that updates one or many runs, and yields their records between updates."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deeprob.errors import Diverged
from deeprob.objective import weights
from deeprob.tracking.checkpoint_file import copied
from deeprob.training.draws import Draws
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.ready import ready_together
from deeprob.training.training_data import DataOfRuns, TrainingData
from deeprob.training.update import Update

MEASURED_AT_ONCE = 256
"""The smallest size of a chunk of the validation split, unless `chunk_size` is smaller."""


@dataclass(frozen=True)
class Record:
    """The measurements of a run that the loop yields between two updates.

    A record with measurements is called a reading. A record without measurements is called empty.

    Attributes
    ----------
    step
        The number of updates so far.
    epoch
        The number of epochs that have begun. An epoch begins with its first update.
    metrics
        Means over the updates since the last reading, by TensorBoard tag. Empty if no reading was due, but a checkpoint
        or an interruption.
    examples
        The number of examples in the updates since the last reading.
    epoch_metrics
        The means over all updates of the epoch. None unless the epoch ends with this record.
    validation
        The metrics of the validation split (see `Loop.measure`); None if the loop did not measure them.
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


Readings = dict[int, Record | Diverged]
"""The record of each run that still trains, or the error that ended the run. The keys are the indices of the runs."""


def epoch_of(step: int, per_epoch: int) -> int:
    """Return the number of epochs begun after `step` updates. Example: 2 after 3 updates with 2 per epoch."""
    return -(-step // per_epoch)


@torch.no_grad()
def train(
    learners: Sequence[Learner],
    data: Sequence[TrainingData],
    settings: LoopSettings,
    *,
    interrupted: Callable[[], bool] = lambda: False,
    ended: Callable[[int], bool] = lambda run: False,
) -> Iterator[Readings]:
    """Train runs to the end of the last epoch, or until the optimizer is finished.

    All runs start with the same number of updates. On a CPU with one thread, a run computes the same bits alone and in
    any stack. The loop does not wait for the device between two records.

    If a number of a run is not finite, the run returns to the state before the update that failed. Then the loop yields
    an error for this run, and continues with the other runs.

    Parameters
    ----------
    learners
        The runs. They share `settings`, and have the same kind of optimizer.
    data
        The data of each run, all of the same shapes. Different data must be small (see
        `deeprob.training.ready.may_join`), and the settings must have no augmentation then.
    settings
        The settings of the loop.
    interrupted
        The function that is called after each update. If it returns True, the loop yields a last record and ends.
    ended
        The function that is called after each record with the index of a run. If it returns True, the training of this
        run ends. Runs that ended before are left out.
    """
    step = learners[0].state.step
    loop = Loop(learners, data, settings)
    going, last = list(range(len(learners))), settings.epochs * loop.per_epoch
    stopped = loop.finished
    while step < last and not stopped:
        end = min(settings.next_record(step, loop.per_epoch), last)
        loop.update.plan(step, end)
        while step < end and not stopped:
            loop.update(loop.draws[step], step)
            step += 1
            stopped = interrupted() or loop.finished
        readings = loop.read(step)
        yield {going[place]: record for place, record in readings.items()}
        left = [
            place for place, record in readings.items() if not isinstance(record, Diverged) and not ended(going[place])
        ]
        if not left:
            return
        if len(left) < len(going):
            going = [going[place] for place in left]
            loop = Loop([loop.learners[place] for place in left], [loop.data[place] for place in left], settings)
        else:
            loop.keep(step)


class Loop:
    """Runs that train together, their batches, and copies of their tensors for runs that fail.

    Parameters
    ----------
    learners, data, settings
        See `train`.
    """

    def __init__(self, learners: Sequence[Learner], data: Sequence[TrainingData], settings: LoopSettings) -> None:
        self.learners, self.data, self.settings = learners, data, settings
        self._of_runs = DataOfRuns(data)
        first, whole = data[0], settings.batch_size >= len(data[0].train) and settings.augment is None
        if settings.augment is None:
            features, examples = ready_together(self._of_runs.different, whole)
        else:
            features, examples = first.features, first.train
        self.draws = Draws(
            examples,
            settings.batch_size,
            [learner.seed for learner in learners],
            splits=self._of_runs.places,
            noisy=any(learner.state.model.noisy for learner in learners),
            augment=settings.augment,
        )
        self.per_epoch = self.draws.per_epoch
        self.update = Update.of(learners, features, settings, whole=whole)
        # such an optimizer keeps its parameters finite, and its state is large: copy nothing
        self._guarded = learners[0].optimizer.deterministic
        self._read = learners[0].state.step
        self._copies: list[Tensor] = []
        self._copy(self._read)

    @property
    def finished(self) -> bool:
        """Whether the optimizer has converged or cannot go on. Always False for two runs or more."""
        return len(self.learners) == 1 and self.learners[0].state.finished

    def keep(self, step: int) -> None:
        """Copy the tensors that updates change, if the last copy is too old or a schedule has changed since."""
        if self._guarded or step - self._kept >= self.settings.log_every or self._schedules() != self._kept_schedules:
            self._copy(step)

    def read(self, step: int) -> Readings:
        """Return the records of all runs after `step` updates. If no reading is due, the records are empty."""
        stack = self.update.stack
        due = self.settings.read_at(step, self.per_epoch)
        stack.steps.fill_(step)
        norms = torch.linalg.vector_norm(stack.parameters, dim=1).tolist()
        good = [
            math.isfinite(norm) and finite
            for norm, finite in zip(norms, stack.sums.isfinite().all(1).tolist(), strict=True)
        ]
        measured = None
        if self.data[0].validation is not None and step % self.per_epoch == 0:
            measured = self.measure()
        self._count(step)
        readings: Readings = {}
        for place, learner in enumerate(self.learners):
            if not good[place]:
                readings[place] = self._failed(place, step)
            elif not due:
                readings[place] = Record.empty(step, self.per_epoch)
            else:
                record = reading(learner, self.per_epoch, norms[place])
                readings[place] = record if measured is None else replace(record, validation=measured[place])
        return readings

    def measure(self) -> list[dict[str, float]]:
        """Return the metrics of the validation split for each run (see `deeprob.training.metrics.evaluate`)."""
        settings, total, outputs = self.settings, self.update.stack.sums.new_zeros(len(self.learners)), []
        size = min(settings.chunk_size, max(settings.batch_size, MEASURED_AT_ONCE))  # the same for any stack
        splits = [(data.features, data.validation) for data in self._of_runs.different if data.validation is not None]
        count, each = len(splits[0][1]), self._of_runs.each
        shares = [examples.shares for _, examples in splits]
        for start in range(0, count, size):
            part = slice(start, start + size)
            losses, scores = self.update.gradient.losses(
                each([features(examples.inputs[part]) for features, examples in splits]),
                each([examples.targets[part] for _, examples in splits]),
            )
            weights = [of_one[part] for of_one in shares if of_one is not None]
            total += (losses.double() * each(weights) if weights else losses.double()).sum(1)
            outputs.append(scores)
        targets, scoring = splits[0][1].targets, settings.scoring
        if len(splits) > 1:
            targets = each([examples.targets for _, examples in splits])
            deviations = [data.deviation for data in self._of_runs.different if data.deviation is not None]
            scoring = replace(scoring, deviation=each(deviations) if deviations else None)
        measures = scoring(torch.cat(outputs, 1), targets)
        means = (total / count).tolist()
        return [{"loss": loss, **of_run} for loss, of_run in zip(means, measures, strict=True)]

    def _count(self, step: int) -> None:
        """Add the counts since the last record to the state of each run, and store the last learning rate there."""
        seen = sum(self.draws.count(made) for made in range(self._read, step))
        stack, evaluations = self.update.stack, self.update.gradient.evaluations
        rates = [self.update.rates(step - 1)] * len(stack)
        if not isinstance(rates[0], float):
            rates = rates[0].tolist()
        for state, rate in zip(stack.states, rates, strict=True):
            state.meters.count(seen, step - self._read)
            state.step, state.evaluations = step, state.evaluations + evaluations
            for group in state.optimizer.param_groups:
                group["lr"] = rate
        self._read, self.update.gradient.evaluations = step, 0

    def _schedules(self) -> list[dict[str, object]]:
        """Return the state of each run's schedule. It may change at the end of an epoch."""
        return [learner.state.schedule.state_dict() for learner in self.learners]

    def _copy(self, step: int) -> None:
        """Copy the tensors that updates change; `step` updates have been made."""
        self._kept, self._kept_schedules = step, self._schedules()
        self._kept_evaluations = [learner.state.evaluations for learner in self.learners]
        if not self._guarded:
            tensors = list(self.update.stack.changing())
            if len(self._copies) == len(tensors):
                for copy, tensor in zip(self._copies, tensors, strict=True):
                    copy.copy_(tensor)
            else:
                self._copies = [tensor.clone() for tensor in tensors]
            if self.update.stack.rule is None:  # each run's own optimizer keeps its state
                states = self.update.stack.states
                self._kept_optimizers = [copied(state.optimizer.state_dict())["state"] for state in states]

    def _restore(self, place: int) -> None:
        """Copy the tensors of a run back."""
        stack = self.update.stack
        for tensor, copy in zip(stack.changing(), self._copies, strict=True):
            tensor[place].copy_(copy[place])
        if stack.rule is None:
            stack.states[place].set_optimizer(self._kept_optimizers[place])

    def _failed(self, place: int, step: int) -> Diverged:
        """Find the update that failed in a run, restore the state before this update, and return the error.

        To find the update, the run starts again from its copy and trains alone, with a check after each update.
        """
        learner = self.learners[place]
        state = learner.state
        if self._guarded:
            state.go_back(step - 1, self._kept_evaluations[place])
            own = Loop([learner], [self.data[place]], self.settings)
            return own.diverged(step - 1)
        self._restore(place)
        state.go_back(self._kept, self._kept_evaluations[place])
        own = Loop([learner], [self.data[place]], self.settings)
        own.update.plan(self._kept, step)
        made = self._kept
        while made < step:
            own._copy(made)
            evaluations = own.update.gradient.evaluations
            own.update(own.draws[made], made)
            stack = own.update.stack
            if not (stack.sums.isfinite().all() and torch.linalg.vector_norm(stack.parameters).isfinite()):
                break
            made += 1
        made = min(made, step - 1)  # with several threads the run may not fail again: take the last update
        own._restore(0)
        stack.steps.fill_(made)
        state.go_back(made, self._kept_evaluations[place] + evaluations)
        return own.diverged(made)

    def diverged(self, step: int) -> Diverged:
        """Return the error for update `step` (counted from 0), which fails. The stack has one run."""
        return Diverged(self._cause(step), step + 1, *divmod(step, self.per_epoch))

    def _cause(self, step: int) -> str:
        """Repeat update `step` in a stack of one run, and return the name of the first value that is not finite."""
        batch, stack = self.draws[step], self.update.stack
        if batch.inputs.is_floating_point() and not batch.inputs.isfinite().all():
            return "input"
        buffers = {name: values.clone() for name, values in stack.buffers.items()}
        terms = self.update.gradient(batch)
        for name, values in buffers.items():
            stack.buffers[name].copy_(values)
        for name, term in (("data loss", terms.data_loss), ("regularization", terms.regularization)):
            if term is not None and not torch.isfinite(term).all():
                return name
        for name, _ in stack.states[0].model.named_parameters():
            if not stack.gradients[name].isfinite().all():
                return f"gradient of {name}"
        return "updated parameters"


def reading(learner: Learner, per_epoch: int, norm: float) -> Record:
    """Return the measurements of a run since the last reading. `norm` is the norm of its parameters."""
    state = learner.state
    metrics, count = state.meters.read()
    metrics["optim/lr"] = state.optimizer.param_groups[0]["lr"]
    metrics["params/norm"] = norm
    if learner.zeros:
        metrics["params/zeros"] = share_of_zeros(weights(state.parameters).values())
    epoch_metrics = metrics | state.meters.read_epoch() if state.step % per_epoch == 0 else None
    return Record(state.step, epoch_of(state.step, per_epoch), metrics, count, epoch_metrics)


def share_of_zeros(tensors: Iterable[Tensor]) -> float:
    """Return the share of entries that are exactly 0."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    return (flat == 0).double().mean().item()
