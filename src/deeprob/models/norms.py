"""Normalization of hidden layers, between a layer's sums and its activation."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """Each unit over the batch: (h − mean)/√(variance + ε)·γ + β (Ioffe & Szegedy, "Batch normalization", 2015).

    Running means are used in evaluation, and for a training batch of a single example, which has no variance.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return normalized units of the shape of `input` (B, H)."""
        if self.training and len(input) > 1:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda units: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,  # each example over its units (Ba, Kiros & Hinton, "Layer normalization", 2016)
}
