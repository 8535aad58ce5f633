"""Adadelta: RMSProp with steps in the units of the weights."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adadelta")
@dataclass(kw_only=True, slots=True)
class AdadeltaConfig(OptimizerConfig):
    """Adadelta: each step is the gradient times √(running mean of squared steps / running mean of squared gradients).

    s ← ρs + (1 − ρ)∇L², d = √(u + ε)/√(s + ε)·∇L, u ← ρu + (1 − ρ)d², w ← w − lr·d with ρ = `rho` and ε = `eps`
    (Zeiler, "Adadelta: an adaptive learning rate method", 2012).

    Attributes
    ----------
    rho
        The share of each running mean that is kept at each update. The two running means are those of squared
        gradients and of squared steps.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adadelta

    lr: float = number(1.0, above=0)
    rho: float = number(0.9, minimum=0, maximum=1)
    eps: float = number(1e-6, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
