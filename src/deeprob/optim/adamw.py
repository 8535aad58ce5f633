"""Adam with decoupled weight decay."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig, decay_groups


@register("optimizer", "adamw")
@dataclass(kw_only=True, slots=True)
class AdamWConfig(OptimizerConfig):
    """Adam's step, and weights shrunk by α·`weight_decay` on their own.

    m ← β₁m + (1 − β₁)∇L, v ← β₂v + (1 − β₂)∇L², w ← (1 − αλ)w − α·m̂/(√v̂ + ε) with bias-corrected m̂ and v̂
    (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019).
    """

    lr: float = number(1e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(1e-2, minimum=0)
    amsgrad: bool = False

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
        """Return the optimizer."""
        return torch.optim.AdamW(
            decay_groups(parameters, self.weight_decay),
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            amsgrad=self.amsgrad,
            fused=True,
        )
