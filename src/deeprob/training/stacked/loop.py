"""The loop over a stack of runs: the same updates, draws and readings as each run has alone."""

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
"""Of each run that is under way its record at a moment, or the error that ended it, by its place in the stack."""


class StackedLoop:
    """A stack with all that its updates and readings need.

    Parameters
    ----------
    learners, features, examples, settings, compiler
        See `train_stack`.

    Attributes
    ----------
    per_epoch
        Updates an epoch.
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
        """Make the update (counted from 0) of all runs that are not frozen."""
        self._lr = self._rates(step)
        self._update(self._tensors, self._lr, *self._draws[step])
        self._seen, self._done = self._seen + self._draws.count(step), self._done + 1

    def read(self, step: int, going: Sequence[int], validation: Examples | None) -> Readings:
        """Return what the runs that are `going` have after so many updates.

        At the end of an epoch the validation split is measured too, if there is one. Where no reading is due, each has
        an empty record.
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
        """Let runs, by their place, change no more."""
        self._stack.frozen[list(runs)] = 1

    def _count(self, state: TrainState, step: int, rate: float) -> None:
        """Let a run's state know of the updates since the last reading."""
        state.step, state.evaluations = step, state.evaluations + self._done
        state.meters.count(self._seen, self._done)
        for group in state.optimizer.param_groups:
            group["lr"] = rate

    def _fault(self, run: int, first: int) -> tuple[int, str]:
        """Let the state of a frozen run be that before the update at fault (see `reading`)."""
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
    """Train R runs from the step that all of them are at to the end of the last epoch.

    At each moment at which a run alone would yield a record, that of each run is yielded, or the error that ends it;
    such a run stays as it was before the update at fault, and the others go on.

    Parameters
    ----------
    learners
        The runs, which differ in nothing else; their optimizers are of one kind.
    features, examples, settings, interrupted
        See `deeprob.training.loop.train`.
    compiler
        Compiles updates; None computes them as they are written.
    validation
        Is measured at the end of each epoch, if given.
    ended
        Asked after each reading: whether a run, by its place, is to change no more.
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
    """The learning rates of several runs: from an update to (R,) float64.

    Parameters
    ----------
    lr
        (R,) before any schedule.
    schedules
        Each run's; one that several have is asked once.
    """

    def __init__(self, lr: Tensor, schedules: Sequence[Schedule]) -> None:
        different = {id(schedule): schedule for schedule in schedules}
        places = {name: place for place, name in enumerate(different)}
        self.lr, self.schedules = lr, list(different.values())
        self.places = torch.tensor([places[id(schedule)] for schedule in schedules], device=lr.device)

    def __call__(self, step: int) -> Tensor:
        """Return the rates of an update."""
        factors = [schedule(step) for schedule in self.schedules]
        if len(factors) == 1:
            return self.lr * factors[0]
        return self.lr * self.lr.new_tensor(factors)[self.places]


class StackedDraws:
    """What the updates of R runs see (see `Draws`).

    Parameters
    ----------
    examples, batch_size, noisy, augment
        See `Draws`.
    seeds
        The runs'.

    Attributes
    ----------
    together
        Whether all runs see all examples at each update, so that there is one batch for all.
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
        """Return how many examples a run sees in an update."""
        return min(self.batch_size, len(self.examples) - step % self.per_epoch * self.batch_size)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return inputs (R, B, …) and targets (R, B, …), without R if `together`, and the keys (R,) of an update."""
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
        """Return each run's order of the examples in an epoch (R, N)."""
        if self.per_epoch == 1:
            return torch.arange(len(self.examples), device=self._order_key.device).expand(len(self._order_key), -1)
        different, places = torch.unique(self._order_key, return_inverse=True)
        orders = randomness.permutation(randomness.fold(different, epoch)[:, None], len(self.examples))
        return orders if len(different) == len(places) and torch.equal(different, self._order_key) else orders[places]
