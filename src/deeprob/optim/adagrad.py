"""AdaGrad: smaller steps for weights whose gradients were large."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adagrad")
@dataclass(kw_only=True, slots=True)
class AdagradConfig(OptimizerConfig):
    """AdaGrad: the gradient of each weight is divided by the root of the sum of its squared gradients so far.

    s ← s + ∇L², w ← w − α/(1 + (t − 1)·lr_decay) · ∇L/(√s + ε) in update t, with α = `lr` and ε = `eps`. s only grows,
    so steps shrink during the run (Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011).

    Attributes
    ----------
    lr_decay
        The decay of the learning rate: after t updates the learning rate is divided by 1 + t · lr_decay.
    initial_accumulator_value
        The initial value of the sum of squared gradients.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adagrad

    lr: float = number(1e-2, above=0)
    lr_decay: float = number(0.0, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
    initial_accumulator_value: float = number(0.0, minimum=0)
    eps: float = number(1e-10, minimum=0)
