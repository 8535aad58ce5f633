"""Activation functions and the scale of initial weights that suits each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEAK = 0.1  # the lecture's leaky ReLU: max(0.1x, x)


@dataclass(frozen=True)
class Activation:
    """A function of each pre-activation on its own.

    Attributes
    ----------
    name
        What configs call it.
    function
        Any shape in, the same shape out.
    gain
        Standard deviation of the weights before it, times √(fan in), that keeps the signal's size from layer to layer.
    formula
        What a figure writes beside the name.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    gain: float
    formula: str


def identity(values: Tensor) -> Tensor:
    """Return `values`: layers without an activation are one linear layer."""
    return values


def leaky_relu(values: Tensor) -> Tensor:
    """Return max(0.1x, x)."""
    return F.leaky_relu(values, LEAK)


def maxout(values: Tensor, pieces: int) -> Tensor:
    """Return the largest of every `pieces` neighbours: (B, H·pieces) → (B, H).

    max(w₁ᵀx + b₁, w₂ᵀx + b₂) for two pieces (Goodfellow et al., "Maxout networks", 2013).
    """
    return values.view(len(values), values.shape[1] // pieces, pieces).amax(2)


# Rectifiers: gain² = 1/E[φ(z)²] with z standard normal keeps the second moment (He et al., "Delving deep into
# rectifiers", 2015, equations 10 and 15; the last three by quadrature). Functions that are nearly linear at 0: gain 1,
# variance 1/fan_in (LeCun et al., "Efficient backprop", 1998; Glorot & Bengio 2010 for equal fans).
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
