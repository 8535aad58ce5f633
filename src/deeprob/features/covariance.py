"""Means, covariances and principal axes of many rows of numbers."""

import math

import torch
from torch import Tensor

from deeprob.errors import UserError
from deeprob.features.exact import centred
from deeprob.tracking.console import Bar

MOST = 2**13
"""The largest number of columns for which principal axes are computed. More columns would take too much time."""
MOST_TO_FACTOR = 2**14
"""The largest number of columns for which a covariance is computed. Then three matrices take 2 GB of memory each."""
_CHUNK = 2**12  # number of rows per matrix product
_BLOCK = 2**10  # number of columns per matrix product


def moments(values: Tensor, dtype: torch.dtype = torch.float32, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the covariance (D, D) of rows (N, D), both in double precision.

    The covariance is a sum of matrix products, which are computed in `dtype` and added in double precision. `weights`
    (N,) are the weights of the rows. None: each has the weight 1.
    """
    parts = torch.split(values, _CHUNK)
    mean = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    shares = [None] * len(parts) if weights is None else torch.split(weights.to(mean)[:, None], _CHUNK)
    count = len(values) if weights is None else weights.sum().to(mean)
    for part, share in zip(parts, shares, strict=True):
        mean += part.sum(0, dtype=torch.float64) if share is None else (part * share).sum(0)
    mean /= count
    # columns are divided by powers of two, so that no product overflows; such a division does not round
    farthest = torch.maximum(values.amax(0).double() - mean, mean - values.amin(0).double())
    scale = torch.ldexp(torch.ones_like(mean), torch.frexp(farthest).exponent - 1)  # 1/2 where a column is constant
    covariance = torch.zeros(values.shape[1], values.shape[1], dtype=torch.float64, device=values.device)
    with Bar(len(values), "measuring covariances", "rows") as bar:
        for part, share in zip(parts, shares, strict=True):
            rows = centred(part, mean, dtype) / scale.to(dtype)
            if share is not None:
                rows *= share.sqrt().to(dtype)
            for first in range(0, values.shape[1], _BLOCK):
                columns = slice(first, first + _BLOCK)
                covariance[first:, columns] += rows[:, first:].T @ rows[:, columns]
            bar.advance(len(part))
    covariance.mul_(scale[:, None] * scale / count)
    return mean, covariance.tril_().add_(covariance.tril(-1).T)


def axes(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variances (D,) along the principal axes of a covariance (D, D), and the axes (D, D).

    The axes are the columns of the second tensor. The axis with the largest variance is first. The sign of an axis is
    chosen such that its entry with the largest absolute value is positive.

    Raises
    ------
    UserError
        If the axes cannot be computed, for example because some columns have much larger values than other columns.
    """
    try:
        variances, vectors = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise UserError(
            "features: the inputs differ too much in size to compute principal axes; leave some of them out"
        ) from error
    variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return variances, torch.where(largest < 0, -vectors, vectors)


def fit_covariance(name: str, input_shape: tuple[int, ...], most: int = MOST) -> int:
    """Check that an input is small enough for a covariance (D, D), and return D, the number of values in the input.

    Raises
    ------
    UserError
        If D is larger than `most`.
    """
    count = math.prod(input_shape)
    if count > most:
        raise UserError(
            f"features={name}: inputs have {count} numbers, but it takes at most {most}; make the inputs smaller"
        )
    return count
