"""One update of all runs of a stack: the gradient, the measurements, and one step of the update rule."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprob.config import name_of
from deeprob.errors import UserError
from deeprob.features import Features
from deeprob.objective import Regularizer
from deeprob.optim.rules import RULES, Number
from deeprob.optim.rules.base import decay
from deeprob.training.cuda_graphs import Graphs
from deeprob.training.draws import Batch
from deeprob.training.gradient import AutogradGradient, FormulaGradient, Terms, VmapGradient, stacked
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.metrics import SUMS
from deeprob.training.stack import NotTogether, Stack, shared
from deeprob.training.state import TrainState

PROXIMAL_LR = "proximal_lr"
"""The name of the coefficient with the learning rate of the proximal step."""


class Update:
    """A function that updates all runs of a stack once, in place.

    An update rule needs numbers that depend on the update, such as the scheduled learning rate. `plan` computes these
    numbers for several updates in advance, so that the device never waits for them.

    Parameters
    ----------
    stack
        The runs.
    gradient
        The function that computes the gradients of the runs.
    """

    def __init__(self, stack: Stack, gradient: FormulaGradient | AutogradGradient | VmapGradient) -> None:
        self.stack, self.gradient = stack, gradient
        self._name = f"optimizer={name_of(stack.configs[0])}"
        like = stack.parameters
        self._schedules = {id(state.schedule): state.schedule for state in stack.states}
        self._zero = like.new_zeros(len(stack))
        self._sums = stack.sums.T[1 : len(SUMS)]  # (4, R); L(W) is read as the sum of its two terms
        self._first = 0
        self._table: dict[str, tuple[Tensor, ...]] = {}
        self._coefficients: dict[str, Tensor] = {}
        self._tiles = list(stack.tiles())
        graphs = like.is_cuda and isinstance(gradient, FormulaGradient) and gradient.ranks.count == 1
        self._graphs = Graphs(self._compute) if graphs else None
        regularizer = gradient.objective.regularizer
        self._proximal = bool(getattr(regularizer, "proximal", type(regularizer).shrink is not Regularizer.shrink))

    @classmethod
    def of(
        cls, learners: Sequence[Learner], features: Features | None, settings: LoopSettings, *, whole: bool = False
    ) -> "Update":
        """Combine runs into one stack, and return the update of this stack.

        Parameters
        ----------
        learners, settings
            See `deeprob.training.loop.train`.
        features
            The module that prepares a batch for the model. None: batches are prepared already.
        whole
            Whether each batch is the whole training split. If so, a single run halves its chunks when memory runs out.
        """
        states, configs = [learner.state for learner in learners], [learner.optimizer for learner in learners]
        alone = len(learners) == 1
        stack = Stack(states, configs, rule=name_of(configs[0]) in RULES and (settings.formulas or not alone))
        objectives = [learner.objective for learner in learners]
        gradient: type[FormulaGradient | AutogradGradient | VmapGradient] = FormulaGradient
        objective = stacked(objectives, stack.parameters)
        if not settings.formulas:
            gradient = AutogradGradient if alone else VmapGradient
            objective = objectives[0] if alone else objective
        model = next((state.model for state in states if state.model.noisy), states[0].model)
        return cls(
            stack,
            gradient(
                stack,
                objective,
                model,
                features,
                settings.chunk_size,
                bf16=settings.bf16,
                halving=whole and alone,
                ranks=settings.ranks,
            ),
        )

    def rates(self, step: int) -> Number:
        """Return the learning rate in update `step` (counted from 0): one number for all runs, or an array (R,)."""
        factors = {name: schedule(step) for name, schedule in self._schedules.items()}
        if len(factors) == 1:
            return self.stack.lr * next(iter(factors.values()))
        return self.stack.lr * shared([factors[id(state.schedule)] for state in self.stack.states])

    def plan(self, first: int, last: int) -> None:
        """Compute the numbers for the updates `first` to `last` − 1."""
        rule = self.stack.rule
        if rule is None:
            return
        rows: list[list[Number]] = []
        names: list[str] = []
        for step in range(first, last):
            lr = self.rates(step)
            numbers = rule.coefficients(step + 1, lr, **self.stack.hyper)
            if self._proximal:
                numbers[PROXIMAL_LR] = lr
            names = list(numbers)
            rows.append(list(numbers.values()))
        runs, like = len(self.stack), self.stack.parameters
        table = np.empty((len(names), len(rows), runs))
        for row, of_name in zip(table, zip(*rows, strict=True), strict=True):
            if runs == 1:
                row[:, 0] = of_name
            else:
                for step_row, value in zip(row, of_name, strict=True):
                    step_row[:] = value
        exact = torch.from_numpy(table)[..., None].to(like.device)
        self._first, rounded = first, exact.to(like.dtype)
        self._table = {
            name: (exact if name in rule.wide else rounded)[place].unbind() for place, name in enumerate(names)
        }
        if self._graphs is not None and not self._coefficients:  # a graph reads its numbers at one address
            self._coefficients = {name: torch.empty_like(values[0]) for name, values in self._table.items()}

    def __call__(self, batch: Batch, step: int) -> None:
        """Make update `step` (counted from 0) with the batches of all runs. Call `plan` for this update first."""
        if self.stack.rule is None:
            self._by_torch(batch, step)
            return
        row = step - self._first
        numbers = {name: values[row] for name, values in self._table.items()}
        evaluations = self.gradient.evaluations
        if self._graphs is None:
            self._coefficients = numbers
            self._compute(batch)
        else:
            for name, value in numbers.items():
                self._coefficients[name].copy_(value)
            self._graphs(batch)
        self.gradient.evaluations = evaluations + 1  # a replayed graph calls no Python function

    def _compute(self, batch: Batch) -> None:
        """Make an update. All numbers come from tensors on the device, so that a CUDA graph can replay this method."""
        self.measure(self.gradient(batch), batch.targets.shape[1])
        self._by_rule()

    def measure(self, terms: Terms, count: int) -> None:
        """Add the terms of L(W) and the norm of its gradient to the sums of the runs; `count` is the batch's size."""
        losses = terms.losses if terms.examples == count else terms.losses * (count / terms.examples)
        regularization = self._zero if terms.regularization is None else terms.regularization * count
        norm = torch.linalg.vector_norm(self.stack.gradient, dim=1)
        self._sums.add_(torch.cat([losses, regularization, terms.correct, norm]).view(4, -1))

    def _by_rule(self) -> None:
        """Make a step of the update rule. If the regularizer has a proximal step, make it afterwards."""
        stack, c, rule = self.stack, self._coefficients, self.stack.rule
        assert rule is not None
        decay(stack.weights, stack.weights_gradient, c)
        for parameters, gradient, state in self._tiles:
            fitting = c if parameters.dim() == 2 else {name: value.unsqueeze(-1) for name, value in c.items()}
            rule.update(parameters, gradient, state, fitting)
        if self._proximal:
            self._shrink(c[PROXIMAL_LR])

    def _shrink(self, lr: Tensor) -> None:
        """Make the proximal step of the regularizer; `lr` (R, 1) holds the learning rate of each run."""
        weights = self.stack.weights
        if isinstance(self.gradient, FormulaGradient):
            weights.copy_(self.gradient.objective.regularizer.shrink(weights, lr.to(weights)))
        else:
            self.gradient.shrink(lr)

    def _by_torch(self, batch: Batch, step: int) -> None:
        """Make an update with the torch optimizer of each run.

        The optimizer of a single run may evaluate L(W) several times. In a stack, L(W) is evaluated once for all runs.

        Raises
        ------
        NotTogether
            If the optimizer of a run in a stack evaluates L(W) again.
        UserError
            If the optimizer of a run does not evaluate L(W) at all.
        """
        states, losses = self.stack.states, []
        if len(states) > 1:
            terms = self.gradient(batch)
            self.measure(terms, batch.targets.shape[1])
            losses = list(terms.loss.unbind())
        for run, state in enumerate(states):
            self._step_by_torch(state, batch, step, losses[run : run + 1])
        if self._proximal:
            rates = [[state.optimizer.param_groups[0]["lr"]] for state in states]
            self._shrink(torch.tensor(rates, dtype=torch.float64, device=self.stack.parameters.device))

    def _step_by_torch(self, state: TrainState, batch: Batch, step: int, known: Sequence[Tensor]) -> None:
        """Make a step of one run's optimizer. In a stack, `known` holds L(W), and the gradient is in the stack."""
        factor, calls = state.schedule(step), 0
        for group in state.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

        def closure() -> Any:  # returns a 0-d tensor, but torch's type hints expect a float
            nonlocal calls
            calls += 1
            if known:
                if calls > 1:
                    raise NotTogether(f"{self._name} evaluates L(W) several times per update")
                return known[0]
            terms = self.gradient(batch)
            if calls == 1:
                self.measure(terms, batch.targets.shape[1])
            return terms.loss[0]

        state.optimizer.step(closure)
        if not calls:
            raise UserError(f"{self._name}: step(closure) never calls closure(), which computes the gradient")
