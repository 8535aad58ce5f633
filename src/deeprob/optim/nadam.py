"""NAdam: Adam with Nesterov's momentum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "nadam")
@dataclass(kw_only=True, slots=True)
class NAdamConfig(OptimizerConfig):
    """NAdam: Adam with Nesterov's momentum.

    The step is −α·m̂/(√v̂ + ε), as in Adam. But here m̂ is (1 − μ_t)·∇L + μ_{t+1}·m with bias correction of both terms,
    and μ_t = β₁(1 − ½·0.96^(t·momentum_decay)) (Dozat, "Incorporating Nesterov momentum into Adam", 2016).

    Attributes
    ----------
    momentum_decay
        The speed at which the momentum rises from beta1/2 to beta1 during the run.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.NAdam
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"betas": ("beta1", "beta2")}

    lr: float = number(2e-3, above=0)
    beta1: float = number(0.9, minimum=0, below=1)
    beta2: float = number(0.999, minimum=0, below=1)
    eps: float = number(1e-8, minimum=0)
    weight_decay: float = number(0.0, minimum=0)
    momentum_decay: float = number(4e-3, minimum=0)
    decoupled_weight_decay: bool = False
