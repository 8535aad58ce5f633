"""Activation functions, each with a factor for the size of the initial weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEAK = 0.1  # the lecture's leaky ReLU: max(0.1x, x)


@dataclass(frozen=True)
class Activation:
    """An activation function, applied to each pre-activation separately.

    Attributes
    ----------
    name
        The name in configs.
    function
        The function itself. It takes a tensor of any shape, and returns a tensor of the same shape.
    gain
        A factor for the initial weights of the layer before the activation: their standard deviation is
        gain/√(number of inputs). Then signals have about the same size in all layers.
    formula
        The formula that figures show beside the name.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    gain: float
    formula: str


def identity(values: Tensor) -> Tensor:
    """Return `values` unchanged. With this activation, all layers together are one linear function."""
    return values


def leaky_relu(values: Tensor) -> Tensor:
    """Return max(0.1x, x)."""
    return F.leaky_relu(values, LEAK)


def maxout(values: Tensor, pieces: int) -> Tensor:
    """Return the maximum (B, H) of each group of `pieces` neighbouring numbers in `values` (B, H·pieces).

    Example: with two pieces, [1, 5, 3, 2] becomes [5, 3]. A unit is then max(w₁ᵀx + b₁, w₂ᵀx + b₂) (Goodfellow et al.,
    "Maxout networks", 2013).
    """
    return values.view(len(values), values.shape[1] // pieces, pieces).amax(2)


# For relu, leaky_relu, elu, gelu and silu, gain² is 1/E[φ(z)²], where z is standard normal. With this gain the signals
# have the same mean square in all layers (He et al., "Delving deep into rectifiers", 2015, equations 10 and 15). The
# gains of elu, gelu and silu come from numerical integration. The other functions have gain 1, so the weights have
# variance 1/fan_in (LeCun et al., "Efficient backprop", 1998; Glorot & Bengio 2010 for layers with as many outputs as
# inputs).
ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("relu", torch.relu, math.sqrt(2), "max(0, x)"),
        Activation("leaky_relu", leaky_relu, math.sqrt(2 / (1 + LEAK**2)), "max(0.1x, x)"),
        Activation("elu", F.elu, 1.2452, "x, or eˣ − 1 below 0"),
        Activation("gelu", F.gelu, 1.5335, "x·Φ(x)"),
        Activation("silu", F.silu, 1.6765, "x·σ(x)"),
        Activation("tanh", torch.tanh, 1.0, "tanh x"),
        Activation("sigmoid", torch.sigmoid, 1.0, "σ(x) = 1/(1 + e⁻ˣ)"),
        Activation("identity", identity, 1.0, "x"),
    )
}
