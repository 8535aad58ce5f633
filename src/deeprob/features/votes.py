"""Histograms as sums of votes: each number votes for a bin, and each region of a picture adds up its votes.

For each bin, there is a tensor of votes that is as large as the picture. Matrix products add up the votes in each
region. A matrix product adds in a fixed order, so the same picture always has exactly the same histogram. On a GPU,
functions such as ``scatter_add`` have no fixed order.
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
        Whether the last bin is a neighbour of the first bin, as with angles.
    soft
        If true, a number between the centres of two bins counts for both bins, and more for the nearer bin (linear
        interpolation). So a small change of a number changes the histogram only a little. If false, a number counts
        only for the bin in which it lies.
    weights
        The weights (B, H, W) of the numbers. Without them, each weight is 1.

    Returns
    -------
    Tensor
        The votes (B, bins, H, W). The votes of a number add up to the weight of the number.
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
    """Divide `length` pixels into `count` nearly equal parts, and return the weights (count, length) of the means.

    Row k holds the weights for the mean over part k. Example: for 4 pixels and 2 parts, the result is [[½, ½, 0, 0],
    [0, 0, ½, ½]].
    """
    edges = torch.arange(count + 1) * length // count
    pixel = torch.arange(length)
    inside = (pixel >= edges[:-1, None]) & (pixel < edges[1:, None])
    return inside.float() / inside.sum(1, keepdim=True)


def cells(length: int, size: int, *, soft: bool) -> Tensor:
    """Divide `length` pixels into cells of `size` pixels, and return the weights (cells, length) of the means.

    There are length // size cells. Pixels that remain at the end form no further cell. The weights of a cell add up to
    1, or to less than 1 for a soft cell at the border.

    Parameters
    ----------
    length
        The number of pixels along the side.
    size
        The number of pixels per cell.
    soft
        If true, a pixel between the centres of two cells counts for both cells, and more for the nearer cell. If false,
        a pixel counts only for the cell in which it lies.
    """
    count = length // size
    if not soft:
        return (torch.arange(length) // size == torch.arange(count)[:, None]).float() / size
    centres = (torch.arange(count) + 0.5) * size - 0.5
    return (1 - (torch.arange(length) - centres[:, None]).abs() / size).clamp_(min=0) / size


def pooled(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the weighted sums (…, R, C) of `planes` (…, H, W) over a grid of R × C regions.

    `rows` (R, H) and `columns` (C, W) are the weights from `regions` or `cells`.
    """
    return rows @ (planes @ columns.T)
