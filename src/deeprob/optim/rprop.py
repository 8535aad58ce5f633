"""Rprop: only the signs of the gradients count."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "rprop")
@dataclass(kw_only=True, slots=True)
class RpropConfig(OptimizerConfig):
    """Rprop: each weight's step length grows while its gradient keeps its sign, and shrinks when the sign flips.

    The step length starts at `lr`. It is multiplied by `eta1` when the sign flips, and by `eta2` when the sign stays.
    The step length stays between `step_size1` and `step_size2` (Riedmiller & Braun, "The RPROP algorithm",
    1993). Rprop is made for full batches: trainer.batch_size=full.

    Attributes
    ----------
    lr
        The length of each weight's first step.
    eta1
        The factor that multiplies a weight's step length when the sign of its gradient flips.
    eta2
        The factor that multiplies a weight's step length while its gradient keeps its sign.
    step_size1
        The smallest length of a step.
    step_size2
        The largest length of a step.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Rprop
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {
        "etas": ("eta1", "eta2"),
        "step_sizes": ("step_size1", "step_size2"),
    }

    lr: float = number(1e-2, above=0)
    eta1: float = number(0.5, above=0, below=1)
    eta2: float = number(1.2, above=1)
    step_size1: float = number(1e-6, above=0)
    step_size2: float = number(50.0, above=0)

    @property
    def scheduled(self) -> bool:
        """False: a weight's step length follows the signs of its gradient, not the schedule."""
        return False
