"""RMSProp, which the lecture calls "leaky AdaGrad"."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "rmsprop")
@dataclass(kw_only=True, slots=True)
class RMSpropConfig(OptimizerConfig):
    """RMSProp: AdaGrad with a running mean of squared gradients instead of their sum.

    s ← αs + (1 − α)∇L², w ← w − lr·∇L/(√s + ε) with α = `alpha` and ε = `eps`. If `centered`, the variance of gradients
    replaces s (Tieleman & Hinton, "Lecture 6.5: RMSProp", 2012; Graves, "Generating sequences", 2013).

    Attributes
    ----------
    alpha
        The share of the running mean of squared gradients that is kept at each update.
    centered
        Whether the gradient is divided by the standard deviation of gradients instead of their root mean square.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.RMSprop

    lr: float = number(1e-2, above=0)
    alpha: float = number(0.99, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
    momentum: float = number(0.0, minimum=0)
    centered: bool = False
