"""Limited-memory BFGS: second-order steps from the full batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from deeprob.config import choice, number, register
from deeprob.optim.base import OptimizerConfig, without_compiler
from deeprob.optim.quasi_newton import QuasiNewton


@register("optimizer", "lbfgs")
@dataclass(kw_only=True, slots=True)
class LBFGSConfig(OptimizerConfig):
    """L-BFGS: quasi-Newton steps with a line search for the strong Wolfe conditions.

    One update of the run consists of up to `max_iter` iterations. Each iteration may evaluate L(W) and its gradient
    several times. A run ends when the optimizer has converged (Nocedal & Wright, "Numerical optimization", 2006,
    sections 7.2 and 3.5).

    The fields have the names of the arguments of torch's LBFGS. There are two differences: torch's default is no line
    search, and here the tolerances are relative to the loss (see `QuasiNewton`).

    Attributes
    ----------
    lr
        The length of the first step that a line search tries, as a multiple of the search direction. Without a line
        search, every step has this length.
    max_iter
        The largest number of iterations per update of the run.
    max_eval
        The largest number of evaluations of the loss and its gradient per update. null means 1.25 times `max_iter`.
    tolerance_grad
        The tolerance for the gradient, relative to the loss. The run ends when no entry of the gradient exceeds this
        number times the loss.
    tolerance_change
        The tolerance for the decrease of the loss, relative to the loss. The run ends when an iteration lowers the loss
        by no more than this number times the loss.
    history_size
        The number of past steps from which the curvature is estimated.
    line_search_fn
        The line search. null means no line search: each step is `lr` times the search direction.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.LBFGS

    lr: float = number(1.0, above=0)
    max_iter: int = number(20, minimum=1)
    max_eval: int | None = number(None, minimum=1, optional=True)
    tolerance_grad: float = number(1e-7, minimum=0)
    tolerance_change: float = number(1e-9, minimum=0)
    history_size: int = number(100, minimum=1)
    line_search_fn: str | None = choice("strong_wolfe", among=("strong_wolfe",), optional=True)

    @property
    def deterministic(self) -> bool:
        """True: L-BFGS uses differences of gradients. Randomness would make these differences meaningless."""
        return True

    @property
    def scheduled(self) -> bool:
        """Whether the step length follows the schedule. This is so only without a line search."""
        return self.line_search_fn is None

    def build(self, parameters: Iterable[nn.Parameter]) -> QuasiNewton:
        """Return a `QuasiNewton` optimizer of `parameters`."""
        without_compiler()
        return QuasiNewton(list(parameters), **self.arguments())
