"""Whitening: a linear map after which numbers have mean 0, similar variances, and no correlation."""

import torch
from torch import Tensor

from deeprob.features.covariance import axes, moments
from deeprob.features.exact import Exact, centred

METHODS = ("zca", "cholesky")


class Whitening(Exact):
    """The map z = W (x − x̄) with WᵀW = (C + εI)⁻¹, where C = V Λ Vᵀ is the covariance of x.

    The numbers z are uncorrelated. Their variances are nearly 1 along axes with a variance far above ε. Along axes with
    a variance far below ε, variances stay small, so noise, such as the errors of JPEG files, is not amplified. Example:
    two uncorrelated numbers have the variances 4 and 1. With ε = 0, they are divided by 2 and by 1.

    Several matrices W have this property, and they differ only by a rotation (Kessy, Lewin & Strimmer, "Optimal
    whitening and decorrelation", 2018). There are two methods to find one:

    - ``zca``: W = V (Λ + εI)^(−½) Vᵀ. It changes numbers as little as possible, so whitened pictures still look like
      pictures (Bell & Sejnowski, "The 'independent components' of natural scenes are edge filters", 1997).
    - ``cholesky``: W = L⁻¹ with L Lᵀ = C + εI, where L is lower triangular. If there are thousands of numbers, this is
      much faster than ``zca``.

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
        """Return the whitened rows (…, D)."""
        rows = centred(values, self.mean, self.matrix.dtype)
        if self.method == "cholesky":  # solving with L takes half as many operations as a product with L⁻¹
            whitened: Tensor = torch.linalg.solve_triangular(self.matrix.T, rows, upper=True, left=False)
            return whitened
        return rows @ self.matrix
