"""Adam: momentum, and a learning rate for each weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adam")
@dataclass(kw_only=True, slots=True)
class AdamConfig(OptimizerConfig):
    """Adam: RMSProp with momentum and bias correction.

    m ← β₁m + (1 − β₁)∇L, v ← β₂v + (1 − β₂)∇L², w ← w − α·m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)
    (Kingma & Ba, "Adam: a method for stochastic optimization", 2015). `weight_decay` λ adds λw to the gradient.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adam
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}
    fused: ClassVar[bool] = True

    lr: float = number(1e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
    amsgrad: bool = False
    decoupled_weight_decay: bool = False
