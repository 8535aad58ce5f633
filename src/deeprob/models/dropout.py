"""Dropout: the module, and the formula of its derivative."""

import torch
from torch import Tensor, nn

from deeprob import randomness
from deeprob.models.backpropagation import Formula, Tensors


class Dropout(nn.Module):
    """Set random units to 0, and scale the other units up so that the expected sum stays the same.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014 (inverted form). The
    rate is a buffer, so the runs of a stack can have different rates.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        steps = min(round(rate * 65536), 65535)  # the same rounding as in the mask, so that the scale matches
        self.register_buffer("rate", torch.tensor(steps / 65536), persistent=False)

    def forward(self, units: Tensor, key: Tensor) -> Tensor:
        """Set each of `units` (B, H) to 0 with probability `rate`, or divide it by 1 − `rate`; return all units."""
        return units * randomness.keep_mask(key, units.shape, self.rate) / (1 - self.rate)


class DropoutFormula(Formula):
    """y = x·s with random scales s (B, H). A scale is 0 with probability p, and 1/(1 − p) with probability 1 − p.

    The derivative is ∂L/∂x = s·∂L/∂y.

    Parameters
    ----------
    name
        The name of the module `Dropout` in the model.
    number
        The number of the layer. Different layers use different random numbers.
    """

    def __init__(self, name: str, number: int) -> None:
        self.rate, self.number = f"{name}.rate", number

    def forward(
        self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return y and s. If there is no key, return x and None."""
        if key is None:
            return inputs, None
        rate = tensors[self.rate]
        kept = randomness.keep_mask(randomness.fold(key, self.number), inputs.shape[-2:], rate)
        scale = kept * (1 / (1 - rate))[..., None, None].to(inputs.dtype)
        return inputs * scale, scale

    def backward(
        self, gradient: Tensor, saved: Tensor | None, tensors: Tensors, gradients: Tensors, wanted: bool
    ) -> Tensor:
        """Return ∂L/∂x."""
        return gradient if saved is None else gradient * saved
