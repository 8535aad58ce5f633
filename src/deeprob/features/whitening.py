"""Whitening: a linear map that makes numbers uncorrelated, with mean 0 and similar variances."""

import torch
from torch import Tensor

from deeprob.features.covariance import axes, moments
from deeprob.features.exact import Exact, centred

METHODS = ("zca", "cholesky")


class Whitening(Exact):
    """The map z = W (x − x̄) with WᵀW = (C + εI)⁻¹, where C = V Λ Vᵀ is the covariance of x.

    The numbers z are uncorrelated. Along a principal axis where the variance of x is far above ε, the variance of z is
    nearly 1. Along an axis where the variance of x is far below ε, the variance of z is small. So noise, such as the
    errors of JPEG files, is not amplified. Example for ε = 0: if x₁ and x₂ are uncorrelated, with mean 0 and variances
    4 and 1, then z₁ = x₁/2 and z₂ = x₂.

    Several matrices W have this property. They differ only by a rotation (Kessy, Lewin & Strimmer, "Optimal whitening
    and decorrelation", 2018). Two methods find such a matrix:

    - ``zca``: W = V (Λ + εI)^(−½) Vᵀ. It changes numbers as little as possible, so whitened pictures still look like
      pictures (Bell & Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997).
    - ``cholesky``: W = L⁻¹ with L Lᵀ = C + εI, where L is lower triangular. If there are thousands of columns, this is
      much faster than ``zca``.

    Parameters
    ----------
    count
        D, the number of columns.
    method
        One of `METHODS`. The buffer `matrix` holds W for ``zca``, and L for ``cholesky``.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, count: int, method: str = "zca") -> None:
        super().__init__()
        self.method = method
        self.register_buffer("mean", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("matrix", torch.eye(count))

    def fit(self, values: Tensor, epsilon: float, weights: Tensor | None = None) -> None:
        """Find the map for rows (N, D) with weights (N,); ε is `epsilon` times the mean variance of the D columns."""
        mean, covariance = moments(values, self.matrix.dtype, weights)
        size = covariance.diagonal().mean()
        floor = max(epsilon, 1e-12) * torch.where(size > 0, size, 1.0)
        self.mean.copy_(mean)
        if self.method == "cholesky":
            covariance.diagonal().add_(floor)
            self.matrix.copy_(torch.linalg.cholesky(covariance))
        else:
            variances, vectors = axes(covariance)
            self.matrix.copy_(vectors / (variances + floor).sqrt() @ vectors.T)

    def forward(self, values: Tensor) -> Tensor:
        """Return the whitened rows (…, D)."""
        rows = centred(values, self.mean, self.matrix.dtype)
        if self.method == "cholesky":  # solving with L takes half as many operations as a product with L⁻¹
            whitened: Tensor = torch.linalg.solve_triangular(self.matrix.T, rows, upper=True, left=False)
            return whitened
        return rows @ self.matrix
