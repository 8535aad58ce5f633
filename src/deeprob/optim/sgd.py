"""Stochastic gradient descent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "sgd")
@dataclass(kw_only=True, slots=True)
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent (SGD), with momentum or Nesterov's momentum.

    v ← ρv + (1 − dampening)·∇L, w ← w − αv with α = `lr` and ρ = `momentum`. In the first update v is ∇L. Nesterov's
    form uses the step −α(∇L + ρv) (Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013).

    Attributes
    ----------
    dampening
        The share of each gradient that is not added to the momentum.
    nesterov
        Whether to use Nesterov's momentum. It computes the gradient at the point to which the momentum leads.
        Example: ``optimizer=sgd optimizer.momentum=0.9 optimizer.nesterov=true``.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.SGD
    fused: ClassVar[bool] = True

    lr: float = number(1e-3, above=0)
    momentum: float = number(0.0, minimum=0)
    dampening: float = number(0.0)
    weight_decay: float = number(0.0, minimum=0)
    nesterov: bool = False

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            yield "nesterov=true: needs optimizer.momentum > 0 and optimizer.dampening=0"
