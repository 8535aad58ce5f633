"""Histograms as sums of votes: each number votes for a bin, and the votes are added up in each region of a picture.

The votes for one bin form a tensor as large as the picture. Products of this tensor with two small matrices give the
sums over regions. The additions in a product have a fixed order, so the same picture always has the same histogram.
Scattered additions on a GPU have no fixed order.
"""

import torch
from torch import Tensor


def votes(places: Tensor, bins: int, *, circular: bool, soft: bool, weights: Tensor | None = None) -> Tensor:
    """Return the vote of each number for each bin.

    Parameters
    ----------
    places
        The numbers (B, H, W), as floats in [0, bins]. Bin k reaches from k to k + 1.
    bins
        Number of bins, at least 2.
    circular
        Whether the last bin is a neighbour of the first, as for angles.
    soft
        Whether a number between the centres of two bins counts for both, and more for the nearer one (linear
        interpolation). A small change of a number then causes only a small change of the histogram. Otherwise a number
        counts only for its own bin.
    weights
        The weight (B, H, W) of each number; 1 if not given.

    Returns
    -------
    Tensor
        The votes (B, bins, H, W). The sum of a number's votes over all bins is its weight.
    """
    planes = places.new_empty(len(places), bins, *places.shape[1:])
    if not soft:
        places = places.floor().clamp_(max=bins - 1)
    elif not circular:
        places = places.clamp(0.5, bins - 0.5)  # a number beyond the outermost centres votes for one bin only
    for k in range(bins):
        plane = planes[:, k]
        if soft:
            torch.sub(places, k + 0.5, out=plane).abs_()
            if circular:
                torch.minimum(plane, bins - plane, out=plane)
            plane.neg_().add_(1).clamp_(min=0)
        else:
            torch.sub(places, k, out=plane).eq_(0)  # in place, so that the result is a float
        if weights is not None:
            plane.mul_(weights)
    return planes


def regions(length: int, count: int) -> Tensor:
    """Return weights (count, length): each row gives the mean over one of `count` nearly equal parts of a side."""
    edges = torch.arange(count + 1) * length // count
    pixel = torch.arange(length)
    inside = (pixel >= edges[:-1, None]) & (pixel < edges[1:, None])
    return inside.float() / inside.sum(1, keepdim=True)


def cells(length: int, size: int, *, soft: bool) -> Tensor:
    """Return weights (length // size, length): each row is the sum over one cell of `size` pixels, divided by `size`.

    With `soft` a pixel between the centres of two cells counts for both, and more for the nearer one, so a cell reaches
    to the centres of its neighbours. Otherwise a pixel counts only for its own cell. If `length` is not a multiple of
    `size`, the last pixels have no cell of their own.
    """
    count = length // size
    if not soft:
        return (torch.arange(length) // size == torch.arange(count)[:, None]).float() / size
    centres = (torch.arange(count) + 0.5) * size - 0.5
    return (1 - (torch.arange(length) - centres[:, None]).abs() / size).clamp_(min=0) / size


def pooled(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the sums (…, R, C) of `planes` (…, H, W), weighted by `rows` (R, H) and `columns` (C, W)."""
    return rows @ (planes @ columns.T)
