"""Normalization of hidden layers, between Wx + b and the activation."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """Normalize over the batch: (h − mean)/√(variance + ε)·γ + β (Ioffe & Szegedy, "Batch normalization", 2015).

    Training uses the mean and the variance of the batch. Evaluation uses running means and variances. Training uses
    them too if a batch has only one example, because one example has no variance.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized units (B, H) of `input` (B, H)."""
        if self.training and len(input) > 1:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda units: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,  # over the units of each example (Ba, Kiros & Hinton, "Layer normalization", 2016)
}
