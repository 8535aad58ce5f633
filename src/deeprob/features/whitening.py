"""Whitening: a linear map after which numbers have mean 0, similar variances, and no correlation."""

import torch
from torch import Tensor

from deeprob.features.covariance import axes, moments
from deeprob.features.exact import Exact, centred

METHODS = ("zca", "cholesky")


class Whitening(Exact):
    """z = W (x − x̄) with WᵀW = (C + εI)⁻¹ for a covariance C = V Λ Vᵀ.

    Axes with a variance far below ε are not amplified, so noise and what JPEG has left over stay small. Example:
    uncorrelated numbers of variances 4 and 1, with ε = 0, are divided by 2 and by 1. Any two such W differ only by a
    rotation (Kessy, Lewin & Strimmer, "Optimal whitening and decorrelation", 2018):

    - ``zca``: W = V (Λ + εI)^(−½) Vᵀ changes numbers least, so that pictures still look like pictures (Bell &
      Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997);
    - ``cholesky``: W = L⁻¹ with L Lᵀ = C + εI, L lower triangular; for thousands of numbers much faster to find.

    Parameters
    ----------
    count
        D, the numbers of a row.
    method
        One of `METHODS`; the buffer `matrix` holds W, or L.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, count: int, method: str = "zca") -> None:
        super().__init__()
        self.method = method
        self.register_buffer("mean", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("matrix", torch.eye(count))

    def fit(self, values: Tensor, epsilon: float) -> None:
        """Find the map for rows (N, D); ε is `epsilon` times their mean variance."""
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
        if self.method == "cholesky":  # back substitution needs half the operations of a product with L⁻¹
            whitened: Tensor = torch.linalg.solve_triangular(self.matrix.T, rows, upper=True, left=False)
            return whitened
        return rows @ self.matrix
