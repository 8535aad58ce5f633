"""Activation functions with their derivatives, and with factors for the size of the initial weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob.models.backpropagation import Formula, Tensors

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
    forward
        The same function for training. It may overwrite its argument. It uses only operations that round every entry
        of a tensor in the same way (some functions of torch round the last entries differently).
    backward
        The chain rule: a function of g = ∂L/∂φ(z), z and φ(z) that returns ∂L/∂z = g·φ′(z).
    keeps_inputs
        Whether `backward` needs z. If not, `forward` may overwrite z, and `backward` gets φ(z) twice.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    gain: float
    formula: str
    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]
    keeps_inputs: bool = False

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle an activation of the table below by its name, because lambda functions cannot be pickled."""
        if ACTIVATIONS.get(self.name) is self:
            return _by_name, (self.name,)
        return super().__reduce__()


def _by_name(name: str) -> Activation:
    return ACTIVATIONS[name]


def identity(values: Tensor) -> Tensor:
    """Return `values` unchanged. With this activation, a network computes a linear function."""
    return values


def leaky_relu(values: Tensor) -> Tensor:
    """Return max(0.1x, x)."""
    return F.leaky_relu(values, LEAK)


def maxout(values: Tensor, pieces: int) -> Tensor:
    """Return the maximum (B, H) of each group of `pieces` neighbouring numbers in `values` (B, H·pieces).

    Example: with two pieces, [1, 5, 3, 2] becomes [5, 3]. A unit is then max(w₁ᵀx + b₁, w₂ᵀx + b₂) (Goodfellow et al.,
    "Maxout networks", 2013).
    """
    return values.view(values.shape[0], values.shape[1] // pieces, pieces).amax(2)  # torch cannot export len(values)


def sigmoid(z: Tensor) -> Tensor:
    """Return σ(z) = 1/(1 + e⁻ᶻ)."""
    return torch.exp(-z).add_(1).reciprocal_()


def normal_cdf(z: Tensor) -> Tensor:
    """Return Φ(z) = ½(1 + erf(z/√2)), the distribution function of the standard normal distribution."""
    return torch.erf(z * math.sqrt(0.5)).add_(1).mul_(0.5)


def relu_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = 1 if z > 0, else 0."""
    torch.ops.aten.threshold_backward.grad_input(g, a, 0, grad_input=g)  # g·(a > 0) in one operation
    return g


def leaky_relu_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = 1 if z > 0, else 0.1."""
    return torch.where(a > 0, g, LEAK * g)


def elu_forward(z: Tensor) -> Tensor:
    """φ(z) = z if z > 0, else eᶻ − 1."""
    return torch.where(z > 0, z, torch.expm1(z))


def elu_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = 1 if z > 0, else eᶻ = φ(z) + 1."""
    return torch.where(a > 0, g, g * (a + 1))


def gelu_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = Φ(z) + z·Φ′(z) with the normal density Φ′(z) = e^(−z²/2)/√(2π)."""
    density = torch.exp(z * z * -0.5).mul_(1 / math.sqrt(2 * math.pi))
    return normal_cdf(z).add_(density.mul_(z)).mul_(g)


def silu_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = σ(z) + z·σ(z)·(1 − σ(z)) = σ(z) + φ(z)·(1 − σ(z))."""
    s = sigmoid(z)
    return (a * (1 - s)).add_(s).mul_(g)


def tanh_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = 1 − tanh²(z)."""
    return (1 - a * a).mul_(g)


def sigmoid_backward(g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """φ′(z) = σ(z)·(1 − σ(z))."""
    return (1 - a).mul_(a).mul_(g)


class ActivationFormula(Formula):
    """a = φ(z) for each unit, with ∂L/∂z = ∂L/∂a·φ′(z)."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation

    def forward(
        self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return φ(z)."""
        outputs = self.activation.forward(inputs)
        return outputs, (inputs if self.activation.keeps_inputs else outputs, outputs)

    def backward(
        self, gradient: Tensor, saved: tuple[Tensor, Tensor], tensors: Tensors, gradients: Tensors, wanted: bool
    ) -> Tensor:
        """Return g·φ′(z)."""
        return self.activation.backward(gradient, *saved)


class MaxoutFormula(Formula):
    """The maximum over the `pieces` numbers of each unit (see `maxout`).

    The gradient of a unit goes to its largest number. If k numbers are the largest, each of them gets 1/k of the
    gradient, as in torch.
    """

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    def forward(self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None) -> tuple[Tensor, Any]:
        """Return the maximum of each unit (…, B, H), for inputs (…, B, H·pieces)."""
        groups = inputs.view(*inputs.shape[:-1], -1, self.pieces)
        largest = groups.amax(-1)
        return largest, groups == largest[..., None]

    def backward(self, gradient: Tensor, saved: Tensor, tensors: Tensors, gradients: Tensors, wanted: bool) -> Tensor:
        """Return the gradient of L by the inputs, a tensor (…, B, H·pieces)."""
        return (saved * (gradient / saved.sum(-1))[..., None]).flatten(-2)


# For rectifiers, gain² is 1/E[φ(z)²], where z is standard normal. With this gain the signals have the same second
# moment in all layers (He et al., "Delving deep into rectifiers", 2015, equations 10 and 15). The gains of elu, gelu
# and silu were computed by quadrature. For functions that are nearly linear at 0 the gain is 1, so the weights have
# variance 1/fan_in (LeCun et al., "Efficient backprop", 1998; Glorot & Bengio 2010 for equal fans).
ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("relu", torch.relu, math.sqrt(2), "max(0, x)", torch.relu_, relu_backward),
        Activation(
            "leaky_relu",
            leaky_relu,
            math.sqrt(2 / (1 + LEAK**2)),
            "max(0.1x, x)",
            lambda z: F.leaky_relu_(z, LEAK),
            leaky_relu_backward,
        ),
        Activation("elu", F.elu, 1.2452, "x, or eˣ − 1 below 0", elu_forward, elu_backward),
        Activation("gelu", F.gelu, 1.5335, "x·Φ(x)", lambda z: z * normal_cdf(z), gelu_backward, keeps_inputs=True),
        Activation("silu", F.silu, 1.6765, "x·σ(x)", lambda z: z * sigmoid(z), silu_backward, keeps_inputs=True),
        Activation("tanh", torch.tanh, 1.0, "tanh x", torch.tanh_, tanh_backward),
        Activation("sigmoid", torch.sigmoid, 1.0, "σ(x) = 1/(1 + e⁻ˣ)", sigmoid, sigmoid_backward),
        Activation("identity", identity, 1.0, "x", identity, lambda g, z, a: g),
    )
}
