"""Averaged stochastic gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "asgd")
@dataclass(kw_only=True, slots=True)
class ASGDConfig(OptimizerConfig):
    """Averaged gradient descent (ASGD): gradient descent that also keeps an average of the weights.

    w ← (1 − lambd·η)w − η∇L with η = lr/(1 + lambd·lr·t)^alpha after t updates. From update `t0` on, the optimizer
    stores the average of w (Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992). `lambd`
    shrinks every parameter, as in torch. `weight_decay` shrinks only weight matrices.

    Attributes
    ----------
    lambd
        The decay of every parameter: each update multiplies it by 1 − lambd · (learning rate). With a larger `lambd`,
        the learning rate also falls faster.
    alpha
        The exponent in the formula of the learning rate. With a larger exponent the learning rate falls faster.
    t0
        The number of updates before the averaging of the weights begins.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.ASGD

    lr: float = number(1e-2, above=0)
    lambd: float = number(1e-4, minimum=0)
    alpha: float = number(0.75, minimum=0)
    t0: float = number(1e6, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
