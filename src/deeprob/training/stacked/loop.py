"""The loop over a stack of runs: the same updates, draws and readings as each run has alone."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from deeprob import randomness
from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.objective import Objective
from deeprob.optim import OptimizerConfig, Schedule
from deeprob.training.draws import Augment, Draws
from deeprob.training.loop import Record, reading
from deeprob.training.ready import made_ready
from deeprob.training.stacked.compiled import Compiler
from deeprob.training.stacked.stack import Stack
from deeprob.training.stacked.update import StackedObjective, StackedUpdate
from deeprob.training.state import TrainState
from deeprob.training.update import Update

Readings = dict[int, Record | Diverged]
"""What the runs of a stack have to tell at a moment, by their place in it."""


@dataclass(frozen=True)
class Member:
    """What a run of a stack has of its own.

    Attributes
    ----------
    state, objective, optimizer, seed
        See `deeprob.training.loop.train`; the state's tensors become views of the stack's.
    zeros
        Measure the share of weights that are exactly 0.
    """

    state: TrainState
    objective: Objective
    optimizer: OptimizerConfig
    seed: int
    zeros: bool = False


def train_stack(
    members: Sequence[Member],
    kind: str,
    features: Features,
    examples: Examples,
    *,
    epochs: int,
    batch_size: int,
    chunk_size: int,
    log_every: int,
    bf16: bool = False,
    pause_every: int = 0,
    augment: Augment | None = None,
    compiler: Compiler | None = None,
    varying: Collection[str] = (),
    validation: Examples | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    ended: Callable[[int], bool] = lambda run: False,
) -> Iterator[Readings]:
    """Train R runs from the step that all of them are at to the end of the last epoch.

    At each moment at which a run alone would yield a record, that of each run is yielded, or the error that ends it;
    such a run stays as it was before the update at fault, and the others go on.

    Parameters
    ----------
    members
        The runs, which differ in nothing else.
    kind
        The name of the optimizer.
    features, examples, epochs, batch_size, chunk_size, log_every, bf16, pause_every, augment, interrupted
        See `deeprob.training.loop.train`.
    compiler
        Compiles updates; None computes them as they are written.
    varying
        Names of numbers in which these runs may agree, but runs of other stacks that are compiled once differ.
    validation
        Is measured at the end of each epoch, if given.
    ended
        Asked after each reading: whether a run, by its place, is to change no more.
    """
    states = [member.state for member in members]
    draws = StackedDraws(
        examples, batch_size, [m.seed for m in members], noisy=any(s.model.noisy for s in states), augment=augment
    )
    extracted = features
    if draws.together:
        features, draws.examples = made_ready(features, examples)
    stack = Stack(states, [member.optimizer for member in members], kind, varying)
    update = StackedUpdate(
        stack,
        StackedObjective.of([member.objective for member in members], stack.parameters, varying),
        next((state.model for state in states if state.model.noisy), states[0].model),
        features,
        draws.together,
        bf16,
    )
    measuring = replace(update, features=extracted)
    tensors, rates = update.tensors(), Rates(stack.lr, [state.schedule for state in states])
    call = update if compiler is None else compiler.of(update, epochs * draws.per_epoch)

    def cause(member: Member, step: int) -> str:
        """Return which number was first not finite in an update of a run."""
        alone = Update(member.state, member.objective, features, chunk_size, bf16)
        seen = Draws(draws.examples, batch_size, member.seed, noisy=member.state.model.noisy, augment=augment)
        return alone.first_not_finite(*seen[step])

    step, last = states[0].step, epochs * draws.per_epoch
    going, since, seen = list(range(len(members))), 0, 0
    while step < last and going:
        lr = rates(step)
        inputs, targets, keys = draws[step]
        call(tensors, lr, inputs, targets, keys)
        since, seen = since + 1, seen + draws.count(step)
        step += 1

        stopped = interrupted()
        told = step % draws.per_epoch == 0 or step % log_every == 0
        if not told and not stopped and not (pause_every and step % pause_every == 0):
            continue
        readings: Readings = {}
        split = validation if step % draws.per_epoch == 0 else None
        measured = None if split is None else measuring.measure(tensors, split, chunk_size)
        norms = torch.linalg.vector_norm(stack.parameters, dim=1).tolist() if told else []
        for run, rate in zip(going, lr[going].tolist(), strict=True):
            member = members[run]
            state = member.state
            state.step, state.evaluations = step, state.evaluations + since
            state.meters.count(seen, since)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            if not told:
                readings[run] = Record(step, -(-step // draws.per_epoch), {}, 0, None)
                continue
            try:
                record = reading(state, draws.per_epoch, norms[run], partial(cause, member), zeros=member.zeros)
                readings[run] = record if measured is None else replace(record, validation=measured[run])
            except Diverged as error:
                readings[run] = error
        since = seen = 0
        yield readings
        going = [run for run in going if not isinstance(readings[run], Diverged) and not ended(run)]
        stack.frozen[[run for run in readings if run not in going]] = 1
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
