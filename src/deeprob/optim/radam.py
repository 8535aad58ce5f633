"""RAdam: Adam that uses the second moment only after it has become reliable."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "radam")
@dataclass(kw_only=True, slots=True)
class RAdamConfig(OptimizerConfig):
    """RAdam: Adam whose first steps do not use the second moment v̂.

    At first, v̂ is a mean of too few squared gradients, so it is not reliable. In these updates the rule is w ← w − α·m̂.
    Later the rule is w ← w − α·r·m̂/√v̂, with a factor r that rises to 1 (Liu et al., "On the variance of the adaptive
    learning rate and beyond", 2020).
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.RAdam
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}

    lr: float = number(1e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
    decoupled_weight_decay: bool = False
