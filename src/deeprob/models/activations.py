"""Activation functions and the scale of initial weights that suits each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """A function of each pre-activation on its own.

    Attributes
    ----------
    function
        Any shape in, the same shape out.
    gain
        Standard deviation of the weights before it, times √(fan in), that keeps the signal's size from layer to layer.
    """

    function: Callable[[Tensor], Tensor]
    gain: float


ACTIVATIONS = {
    # max(0, x) halves the second moment: variance 2/fan_in (He et al., "Delving deep into rectifiers", 2015)
    "relu": Activation(torch.relu, math.sqrt(2)),
    # slope 1 at 0: variance 1/fan_in (LeCun et al., "Efficient backprop", 1998; Glorot & Bengio 2010 for equal fans)
    "tanh": Activation(torch.tanh, 1.0),
}
