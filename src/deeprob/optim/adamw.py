"""Adam with decoupled weight decay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig

USUAL_DECAY = 1e-2
"""The weight decay of torch.optim.AdamW."""


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
        norm parameters are left out. ``auto`` takes 0.01. For a table (``dataset=csv``) with n training rows it takes
        40/√n if this is more, and for a linear model 1.5/√n: otherwise a network fits the noise of few rows.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.AdamW
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}
    fused: ClassVar[bool] = True

    lr: float = number(1e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: int | float | str = number(USUAL_DECAY, minimum=0, words=("auto",), whole=False)
    amsgrad: bool = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the torch class. If no number has replaced ``auto`` yet, it means torch's default."""
        decay = USUAL_DECAY if self.weight_decay == "auto" else self.weight_decay
        return {**super(AdamWConfig, self).arguments(), "weight_decay": decay}
