"""The training loop for a stack: runs that train together.

Each run gets the same updates, batches and records as if it trained alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from deeprob import randomness
from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.optim import Schedule
from deeprob.training.draws import Augment
from deeprob.training.loop import Learner, LoopSettings, Record, draws_of, reading
from deeprob.training.ready import made_ready
from deeprob.training.stacked.compiled import Compiler
from deeprob.training.stacked.stack import Stack
from deeprob.training.stacked.update import StackedObjective, StackedUpdate
from deeprob.training.state import TrainState
from deeprob.training.update import Update

Readings = dict[int, Record | Diverged]
"""The record or the error of each run that was still training. Keys are the positions of the runs in the stack."""


class StackedLoop:
    """The operations of `train_stack`: update the runs of a stack, fetch their records, and stop runs that end.

    Parameters
    ----------
    learners, features, examples, settings, compiler
        See `train_stack`.

    Attributes
    ----------
    per_epoch
        The number of updates per epoch.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        features: Features,
        examples: Examples,
        settings: LoopSettings,
        compiler: Compiler | None,
    ) -> None:
        self.learners, self.settings = learners, settings
        states = [learner.state for learner in learners]
        self._draws = StackedDraws(
            examples,
            settings.batch_size,
            [learner.seed for learner in learners],
            noisy=any(state.model.noisy for state in states),
            augment=settings.augment,
        )
        self.per_epoch = self._draws.per_epoch
        extracted = features
        if settings.augment is None:
            features, self._draws.examples = made_ready(features, examples, whole=self._draws.together)
        self._features = features
        varying = () if compiler is None else compiler.varying
        self._stack = Stack(states, [learner.optimizer for learner in learners], varying)
        update = StackedUpdate(
            self._stack,
            StackedObjective.of([learner.objective for learner in learners], self._stack.parameters, varying),
            next((state.model for state in states if state.model.noisy), states[0].model),
            features,
            self._draws.together,
            settings.bf16,
        )
        self._measuring = replace(update, features=extracted)
        self._tensors, self._rates = update.tensors(), Rates(self._stack.lr, [state.schedule for state in states])
        self._update = update if compiler is None else compiler.of(update, settings.epochs * self.per_epoch)
        self._lr = self._stack.lr
        self._seen = self._done = 0  # examples and updates since the last reading

    def update(self, step: int) -> None:
        """Do update `step` (counted from 0) for all runs that have not ended."""
        self._lr = self._rates(step)
        self._update(self._tensors, self._lr, *self._draws[step])
        self._seen, self._done = self._seen + self._draws.count(step), self._done + 1

    def read(self, step: int, going: Sequence[int], validation: Examples | None) -> Readings:
        """Return the records of the runs in `going` after `step` updates.

        At the end of an epoch, the records contain the metrics of the validation split, if there is one. If no reading
        is due, the records contain no measurements. A run that has failed gets its error instead of a record.
        """
        due = self.settings.read_at(step, self.per_epoch)
        frozen = self._stack.frozen.tolist()
        measured = None
        if validation is not None and step % self.per_epoch == 0:
            measured = self._measuring.measure(self._tensors, validation, self.settings.chunk_size)
        norms = torch.linalg.vector_norm(self._stack.parameters, dim=1).tolist()
        readings: Readings = {}
        for run, rate in zip(going, self._lr[going].tolist(), strict=True):
            self._count(self.learners[run].state, step, rate)
            if not (due or frozen[run]):
                readings[run] = Record.empty(step, self.per_epoch)
                continue
            try:
                record = reading(self.learners[run], self.per_epoch, norms[run], partial(self._fault, run))
                readings[run] = record if measured is None else replace(record, validation=measured[run])
            except Diverged as error:
                readings[run] = error
        self._seen = self._done = 0
        return readings

    def freeze(self, runs: Sequence[int]) -> None:
        """Freeze the runs at the given positions of the stack: later updates do not change them."""
        self._stack.frozen[list(runs)] = 1

    def _count(self, state: TrainState, step: int, rate: float) -> None:
        """Add the numbers of updates and examples since the last call of `read` to a run's state; set its `lr`."""
        state.step, state.evaluations = step, state.evaluations + self._done
        state.meters.count(self._seen, self._done)
        for group in state.optimizer.param_groups:
            group["lr"] = rate

    def _fault(self, run: int, first: int) -> tuple[int, str]:
        """Put the state of a failed run back to the moment before its failed update.

        This is the argument `fault` of `reading`.
        """
        learner, settings = self.learners[run], self.settings
        state = learner.state
        state.go_back(first, state.evaluations - (state.step - first))
        update = Update(state, learner.objective, self._features, settings.chunk_size, settings.bf16)
        return first, update.first_not_finite(*draws_of(learner, self._draws.examples, settings)[first])


def train_stack(
    learners: Sequence[Learner],
    features: Features,
    examples: Examples,
    settings: LoopSettings,
    *,
    compiler: Compiler | None = None,
    validation: Examples | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    ended: Callable[[int], bool] = lambda run: False,
) -> Iterator[Readings]:
    """Train R runs together to the end of the last epoch.

    After some updates, the function yields a dict with one entry for each run that is still training: its record, or
    the error that ends it. These are the updates after which `train` would yield a record of a single run. The state of
    a run with an error is the state before its failed update. The other runs go on.

    Parameters
    ----------
    learners
        The runs. All have done the same number of updates, and have the same kind of optimizer.
    features, examples, settings, interrupted
        See `deeprob.training.loop.train`.
    compiler
        The compiler of the updates. None means that updates are not compiled.
    validation
        The validation split, on which the runs are evaluated at the end of each epoch. None means no evaluation.
    ended
        The function that decides whether a run ends. After each dict, it is called with the position of each run that
        is still training. If it returns True, later updates do not change the run.
    """
    loop = StackedLoop(learners, features, examples, settings, compiler)
    step, last = learners[0].state.step, settings.epochs * loop.per_epoch
    going = list(range(len(learners)))
    while step < last and going:
        loop.update(step)
        step += 1
        stopped = interrupted()
        if not (stopped or settings.read_at(step, loop.per_epoch) or settings.paused_at(step)):
            continue
        readings = loop.read(step, going, validation)
        yield readings
        going = [run for run in going if not isinstance(readings[run], Diverged) and not ended(run)]
        loop.freeze([run for run in readings if run not in going])
        if stopped:
            return


class Rates:
    """A function that returns the learning rates (R,) float64 of R runs in an update.

    Parameters
    ----------
    lr
        The learning rates (R,), before the schedules multiply them.
    schedules
        The schedule of each run. If several runs share a schedule, it is called once per update.
    """

    def __init__(self, lr: Tensor, schedules: Sequence[Schedule]) -> None:
        different = {id(schedule): schedule for schedule in schedules}
        places = {name: place for place, name in enumerate(different)}
        self.lr, self.schedules = lr, list(different.values())
        self.places = torch.tensor([places[id(schedule)] for schedule in schedules], device=lr.device)

    def __call__(self, step: int) -> Tensor:
        """Return the learning rates (R,) of update `step`."""
        factors = [schedule(step) for schedule in self.schedules]
        if len(factors) == 1:
            return self.lr * factors[0]
        return self.lr * self.lr.new_tensor(factors)[self.places]


class StackedDraws:
    """The batches and random keys of R runs (see `Draws`).

    Parameters
    ----------
    examples, batch_size, noisy, augment
        See `Draws`.
    seeds
        The seed of each run.

    Attributes
    ----------
    together
        Whether all runs share one batch. This is so if every batch is the whole training split, without augmentation.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seeds: Sequence[int], *, noisy: bool, augment: Augment | None
    ) -> None:
        device = examples.targets.device
        self.examples = examples
        self.batch_size = min(batch_size, len(examples))
        self.per_epoch = -(-len(examples) // self.batch_size)
        self.together = self.per_epoch == 1 and augment is None
        words = torch.tensor(seeds, dtype=torch.int64, device=device)
        self._order_key = randomness.key(words, "batches")
        self._dropout = randomness.key(words, "dropout") if noisy else None
        self._augmentation = randomness.key(words, "augmentation")
        self._augment = None if augment is None else vmap(augment)
        self._epoch, self._order = -1, words

    def count(self, step: int) -> int:
        """Return the number of examples in the batch of update `step`."""
        return min(self.batch_size, len(self.examples) - step % self.per_epoch * self.batch_size)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the inputs (R, B, …), targets (R, B, …) and keys (R,) of update `step`.

        If `together`, inputs and targets have no dimension R. If no model uses random numbers, the keys are None.
        """
        keys = None if self._dropout is None else randomness.fold(self._dropout, step)
        if self.together:
            return self.examples.inputs, self.examples.targets, keys
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._orders(epoch)
        drawn = self._order[:, batch * self.batch_size : (batch + 1) * self.batch_size]
        inputs, targets = self.examples.inputs[drawn], self.examples.targets[drawn]
        if self._augment is not None:
            inputs = self._augment(inputs, randomness.fold(self._augmentation, step))
        return inputs, targets, keys

    def _orders(self, epoch: int) -> Tensor:
        """Return the order (R, N) of the N examples in an epoch, for each run."""
        if self.per_epoch == 1:
            return torch.arange(len(self.examples), device=self._order_key.device).expand(len(self._order_key), -1)
        different, places = torch.unique(self._order_key, return_inverse=True)
        orders = randomness.permutation(randomness.fold(different, epoch)[:, None], len(self.examples))
        return orders if len(different) == len(places) and torch.equal(different, self._order_key) else orders[places]
