"""Adafactor: Adam that stores second moments of rows and columns instead of single weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.optim.base import OptimizerConfig


@register("optimizer", "adafactor")
@dataclass(kw_only=True, slots=True)
class AdafactorConfig(OptimizerConfig):
    """Adafactor: Adam without momentum. It stores one second moment for each row and each column of a matrix.

    In update t, β₂ is 1 − t^beta2_decay. If the root mean square (rms) of a step exceeds `d`, the step is scaled down
    to rms `d`. Then the step is multiplied by max(eps2, rms of the weights) and by min(lr, 1/√t) (Shazeer & Stern,
    "Adafactor: adaptive learning rates with sublinear memory cost", 2018).

    Attributes
    ----------
    beta2_decay
        The power c in β₂ = 1 − t^c, where t counts the updates. The share of the new gradient in the second moment is
        t^c, so it falls during the run.
    eps1
        The smallest number by which gradients are divided. null takes the machine epsilon of the parameters'
        precision, as in torch.
    eps2
        The steps of a parameter are proportional to the root mean square of its entries, or to `eps2` if that is
        larger.
    d
        The largest root mean square of a step before it is multiplied by the learning rate. A larger step is scaled
        down.
    weight_decay
        The weight decay λ. Each update multiplies the weights by 1 − lr · λ and then makes its step. Biases and norm
        parameters are left out.
    """

    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adafactor
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {"eps": ("eps1", "eps2")}

    lr: float = number(1e-2, above=0)
    beta2_decay: float = number(-0.8, maximum=0)
    eps1: float | None = number(None, minimum=0, optional=True, whole=False)
    eps2: float = number(1e-3, minimum=0)
    d: float = number(1.0, minimum=1)
    weight_decay: float = number(0.0, minimum=0)
