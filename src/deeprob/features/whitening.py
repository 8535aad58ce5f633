"""Whitening: a linear map after which numbers have mean 0, vary alike, and no two of them are correlated."""

import torch
from torch import Tensor, nn

from deeprob.features.covariance import axes, moments


class Whitening(nn.Module):
    """ZCA: the whitening that changes numbers least, z = V (Λ + εI)^(−½) Vᵀ (x − x̄) for a covariance V Λ Vᵀ.

    Bell & Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997. Along axes of a variance
    far below ε nothing is blown up, be it noise or what JPEG has left over. Small: uncorrelated numbers of variances 4
    and 1, with ε = 0, are divided by 2 and by 1.

    Parameters
    ----------
    count
        D.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("matrix", torch.eye(count))

    def fit(self, values: Tensor, epsilon: float) -> None:
        """Measure rows (N, D); `epsilon` times the mean variance is added to variances."""
        mean, covariance = moments(values, self.mean.dtype)
        variances, vectors = axes(covariance)
        floor = (epsilon * variances.mean()).clamp(min=1e-12)
        self.mean.copy_(mean)
        self.matrix.copy_(vectors / (variances + floor).sqrt() @ vectors.T)

    def forward(self, values: Tensor) -> Tensor:
        """Return rows (…, D) whitened."""
        return (values - self.mean) @ self.matrix
