"""Adafactor: Adam with second moments for each row and each column instead of for each weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adafactor")
@dataclass(kw_only=True, slots=True)
class AdafactorConfig(OptimizerConfig):
    """Adafactor: Adam without momentum, which stores one second moment for each row and each column of a matrix.

    β₂ is 1 − t^beta2_decay. The step is relative to the size of the weights (at least `eps2`) and clipped at `d`
    (Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018). If `eps1` is null,
    the machine epsilon of the parameters' precision is used, as in torch.

    Attributes
    ----------
    beta2_decay
        The power c in β₂ = 1 − t^c, where t counts the updates. The share of the new gradient in the second moment is
        t^c, so it falls during the run.
    eps1
        The lower bound of squared gradients. null takes the machine epsilon of the parameters' precision.
    eps2
        The lower bound of a tensor's size. The steps are relative to this size.
    d
        The largest root mean square of an update; a larger update is scaled down.
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
