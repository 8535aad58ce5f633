"""Adafactor: second moments per row and column instead of per weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adafactor")
@dataclass(kw_only=True, slots=True)
class AdafactorConfig(OptimizerConfig):
    """Adam without momentum; the second moments of a matrix are the product of a column and a row.

    β₂ is 1 − t^beta2_decay. The step is relative to the size of the weights (at least `eps2`) and clipped at `d`
    (Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018). With `eps1` null it is
    the machine epsilon of the parameters' precision, as in torch.

    Attributes
    ----------
    beta2_decay
        The power of t by which the second moment's share of new gradients falls; β₂ = 1 − t^beta2_decay.
    eps1
        A small number below which squared gradients do not go. null takes the precision's smallest step.
    eps2
        The least size of the weights that steps are relative to.
    d
        The largest root mean square of an update; a larger one is scaled down.
    weight_decay
        The weight decay λ: weights shrink by lr · λ at each update, apart from the step. Biases and norm parameters
        are left out.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adafactor
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"eps": ("eps1", "eps2")}

    lr: float = number(1e-2, above=0)
    beta2_decay: float = number(-0.8, maximum=0)
    eps1: float | None = number(None, minimum=0, optional=True, whole=False)
    eps2: float = number(1e-3, minimum=0)
    d: float = number(1.0, minimum=1)
    weight_decay: float = number(0.0, minimum=0)
