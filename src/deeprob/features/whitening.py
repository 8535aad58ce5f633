"""Whitening: a linear map after which numbers have mean 0, similar variances, and no correlation."""

import torch
from torch import Tensor

from deeprob.features.covariance import axes, moments
from deeprob.features.exact import Exact, centred

METHODS = ("zca", "cholesky")


class Whitening(Exact):
    """The map z = W (x − x̄) with WᵀW = (C + εI)⁻¹, for a covariance C = V Λ Vᵀ.

    If the variance along an axis is far below ε, the axis stays weak, so noise and errors of JPEG files stay small.
    Example: if two uncorrelated numbers have the variances 4 and 1, and ε = 0, they are divided by 2 and by 1. Any two
    such matrices W differ only by a rotation (Kessy, Lewin & Strimmer, "Optimal whitening and decorrelation", 2018).
    The methods find two of these matrices:

    - ``zca``: W = V (Λ + εI)^(−½) Vᵀ changes numbers least, so whitened pictures still look like pictures (Bell &
      Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997).
    - ``cholesky``: W = L⁻¹ with L Lᵀ = C + εI, where L is lower triangular. For thousands of numbers, L is found much
      faster than the matrix of ``zca``.

    Parameters
    ----------
    count
        D, the count of numbers in a row.
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

    def fit(self, values: Tensor, epsilon: float) -> None:
        """Find the map for rows (N, D); ε is `epsilon` times the mean variance of the D columns."""
        mean, covariance = moments(values, self.matrix.dtype)
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
        """Return rows (…, D) whitened."""
        rows = centred(values, self.mean, self.matrix.dtype)
        if self.method == "cholesky":  # solving with L takes half as many operations as a product with L⁻¹
            whitened: Tensor = torch.linalg.solve_triangular(self.matrix.T, rows, upper=True, left=False)
            return whitened
        return rows @ self.matrix
