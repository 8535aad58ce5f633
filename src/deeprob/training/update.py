"""One update of all runs of a stack: the gradient, the measurements, and one step of the update rule."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprob.config import name_of
from deeprob.features import Features
from deeprob.objective import Regularizer
from deeprob.optim.rules import RULES, Number
from deeprob.optim.rules.base import decay
from deeprob.training.cuda_graphs import Graphs
from deeprob.training.draws import Batch
from deeprob.training.gradient import AutogradGradient, FormulaGradient, Gradient, Terms, VmapGradient, stacked
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.metrics import SUMS
from deeprob.training.stack import Stack, shared

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

    def __init__(self, stack: Stack, gradient: Gradient) -> None:
        self.stack, self.gradient = stack, gradient
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
        gradient: type[Gradient] = FormulaGradient
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
        if not self._proximal:
            return
        if isinstance(self.gradient, FormulaGradient):
            stack.weights.copy_(self.gradient.objective.regularizer.shrink(stack.weights, c[PROXIMAL_LR]))
        elif isinstance(self.gradient, VmapGradient):
            self.gradient.shrink(c[PROXIMAL_LR])

    def _by_torch(self, batch: Batch, step: int) -> None:
        """Make an update of a single run with torch's optimizer. The optimizer may evaluate L(W) several times."""
        (state,), measured = self.stack.states, False
        factor = state.schedule(step)
        for group in state.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

        def closure() -> Any:  # returns a 0-d tensor, but torch's type hints expect a float
            nonlocal measured
            terms = self.gradient(batch)
            if not measured:
                self.measure(terms, batch.targets.shape[1])
                measured = True
            return terms.loss[0]

        state.optimizer.step(closure)
        assert measured, "the optimizer never called its closure"
        lr = state.optimizer.param_groups[0]["lr"]
        for name, parameter in state.model.named_parameters():
            if parameter.dim() >= 2:
                weight = self.stack.tensors[name][0]
                shrunk = self.gradient.objective.regularizer.shrink(weight, lr)
                if shrunk is not weight:
                    weight.copy_(shrunk)
