"""Histograms as sums of votes: which bin a number falls into, and which region of the picture it belongs to.

A bin's votes are a plane of the picture's size, and a region's sum is a product with a small matrix. So sums have a
fixed order, and the same picture has the same histogram each time. On a GPU, scattered additions have no fixed order.
"""

import torch
from torch import Tensor


def votes(places: Tensor, bins: int, *, circular: bool, soft: bool, weights: Tensor | None = None) -> Tensor:
    """Return how much each number counts in each bin.

    Parameters
    ----------
    places
        (B, H, W) floats in [0, bins]: bin k reaches from k to k + 1.
    bins
        Number of bins, at least 2.
    circular
        Whether the last bin is a neighbour of the first, as for angles.
    soft
        Whether a number between the centres of two bins counts for both, and more for the nearer one (linear
        interpolation). Then a small change of the number is a small change of the histogram. Otherwise a number counts
        only for its own bin.
    weights
        (B, H, W): how much each number counts; 1 if not given.

    Returns
    -------
    Tensor
        (B, bins, H, W); over bins they sum to the weights.
    """
    planes = places.new_empty(len(places), bins, *places.shape[1:])
    if not soft:
        places = places.floor().clamp_(max=bins - 1)
    elif not circular:
        places = places.clamp(0.5, bins - 0.5)  # beyond the outermost centres a number is in one bin alone
    for k in range(bins):
        plane = planes[:, k]
        if soft:
            torch.sub(places, k + 0.5, out=plane).abs_()
            if circular:
                torch.minimum(plane, bins - plane, out=plane)
            plane.neg_().add_(1).clamp_(min=0)
        else:
            torch.sub(places, k, out=plane).eq_(0)  # in place, so that it stays a float
        if weights is not None:
            plane.mul_(weights)
    return planes


def regions(length: int, count: int) -> Tensor:
    """Return weights (count, length): each row computes the mean over one of `count` nearly equal parts of a side."""
    edges = torch.arange(count + 1) * length // count
    pixel = torch.arange(length)
    inside = (pixel >= edges[:-1, None]) & (pixel < edges[1:, None])
    return inside.float() / inside.sum(1, keepdim=True)


def cells(length: int, size: int, *, soft: bool) -> Tensor:
    """Return weights (length // size, length): each row computes the sum over one cell of `size` pixels, over `size`.

    With `soft` a pixel between the centres of two cells counts for both, and more for the nearer one, so a cell reaches
    to the centres of its neighbours. Otherwise a pixel counts only for its own cell. Pixels left over at the end have
    no cell of their own.
    """
    count = length // size
    if not soft:
        return (torch.arange(length) // size == torch.arange(count)[:, None]).float() / size
    centres = (torch.arange(count) + 0.5) * size - 0.5
    return (1 - (torch.arange(length) - centres[:, None]).abs() / size).clamp_(min=0) / size


def pooled(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return weighted sums (…, R, C) of planes (…, H, W); the weights are `rows` (R, H) and `columns` (C, W)."""
    return rows @ (planes @ columns.T)
