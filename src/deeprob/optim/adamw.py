"""Adam with decoupled weight decay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adamw")
@dataclass(kw_only=True, slots=True)
class AdamWConfig(OptimizerConfig):
    """AdamW: Adam with weight decay in a separate step instead of in the gradient.

    m ← β₁m + (1 − β₁)∇L, v ← β₂v + (1 − β₂)∇L², w ← (1 − αλ)w − α·m̂/(√v̂ + ε) with bias-corrected m̂ and v̂
    (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019).

    Attributes
    ----------
    weight_decay
        The weight decay λ. Each update multiplies the weights by 1 − lr · λ and then makes Adam's step. Biases and
        norm parameters are left out.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.AdamW
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}
    fused: ClassVar[bool] = True

    lr: float = number(1e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(1e-2, minimum=0)
    amsgrad: bool = False
