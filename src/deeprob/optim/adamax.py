"""Adamax: Adam that divides by the largest recent gradient instead of by the root mean square."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adamax")
@dataclass(kw_only=True, slots=True)
class AdamaxConfig(OptimizerConfig):
    """Adamax: Adam with the infinity norm. Steps are divided by the largest recent gradient.

    m ← β₁m + (1 − β₁)∇L, u ← max(β₂u, |∇L| + ε), w ← w − α/(1 − β₁ᵗ)·m/u in update t, with α = `lr` and ε = `eps`
    (Kingma & Ba 2015, section 7.1).
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adamax
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}

    lr: float = number(2e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
