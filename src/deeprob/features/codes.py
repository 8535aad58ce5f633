"""Codes of a picture: the nearness of each word of a codebook to the patches, averaged over regions."""

from collections.abc import Iterator

import torch
from torch import Tensor

TILE = {"cpu": 300_000, "cuda": 2**26}
"""The number of distances in memory at once. On a CPU they are few enough to stay in its cache between two steps."""


def regions_of(rows: Tensor, columns: Tensor) -> Tensor:
    """Return weights (R·C, H·W). The product of a row and a picture (H·W,) is the mean over one region of a grid.

    Parameters
    ----------
    rows, columns
        The weights (R, H) and (C, W) from `deeprob.features.votes.regions`.
    """
    return torch.einsum("rh,cw->rchw", rows, columns).flatten(2).flatten(0, 1).contiguous()


def coded(patches: Tensor, words: Tensor, regions: Tensor, *, hard: bool) -> Tensor:
    """Return the mean code (B, R, K) of the patches in each region.

    Most of the work is one matrix product, which gives ‖z − c‖² = ‖z‖² − 2 z·c + ‖c‖² for all patches z and words c.
    For this, each vector gets two more entries for the squares. The product is computed tile by tile.

    Parameters
    ----------
    patches
        (B, P, D).
    words
        (K, D), the codebook.
    regions
        (R, P). Each row holds the weights of a mean over one region.
    hard
        Whether a patch counts 1 for its nearest word only. Otherwise (triangle code) a patch counts for each word
        that is nearer than the mean distance to all words, by the difference of the two distances (see `capped`).
    """
    rounding = 1 + (patches.shape[2] + 2) * torch.finfo(patches.dtype).eps
    squares = torch.linalg.vector_norm(patches, dim=2, keepdim=True).square_()
    extended = torch.cat([patches, squares, torch.ones_like(squares)], 2)
    book = torch.cat([-2 * words, torch.ones_like(words[:, :1]), words.square().sum(1, keepdim=True)], 1)
    book[:, -2:] *= rounding  # enlarged by more than the rounding errors, so that no squared distance is negative
    found = patches.new_zeros(len(patches), len(regions), len(words))
    means = torch.empty_like(squares)
    for pictures, part, distances in products(extended, book.T.contiguous()):
        weights = regions[:, part].expand(len(distances), -1, -1)
        if hard:
            found[pictures].baddbmm_(weights, nearest_only(distances))
        else:
            found[pictures].baddbmm_(weights, capped(distances, means[pictures, part]), alpha=-1)
    return found if hard else found.add_(regions @ means)


def thresholded(patches: Tensor, words: Tensor, regions: Tensor, threshold: float) -> Tensor:
    """Return the means (B, R, 2K) of max(0, z·c − α) and of max(0, −z·c − α) over the patches z in each region.

    Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", 2011: a patch
    z counts z·c − α for a word c of length 1 if this is positive, and −z·c − α for the opposite word −c if that is
    positive. Both codes are computed from their difference and their sum. The difference is z·c, moved towards 0 by α.
    The sum is the absolute value of the difference.

    Parameters
    ----------
    patches, words, regions
        As in `coded`. Each word has length 1.
    threshold
        α, in the units of the patches.
    """
    count = len(words)
    found = patches.new_zeros(len(patches), len(regions), 2 * count)
    for pictures, part, product in products(patches, words.T.contiguous()):
        means = regions[:, part].expand(len(product), -1, -1)
        shrunk = torch.ops.aten.softshrink.out(product, threshold, out=product)
        found[pictures, :, :count].baddbmm_(means, shrunk)
        found[pictures, :, count:].baddbmm_(means, shrunk.abs_())
    difference, size = found[..., :count], found[..., count:]
    return torch.cat([size + difference, size - difference], 2).div_(2)


def products(patches: Tensor, book: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield the product of patches (B, P, D) and `book` (D, K) tile by tile; each tile overwrites the previous one.

    Yields
    ------
    tuple
        The slice of the pictures in the tile, the slice of their patches, and the product (B', P', K) for them.
    """
    (count, size, _), words = patches.shape, book.shape[1]
    tile = max(1, TILE.get(book.device.type, TILE["cuda"]) // words)
    # a tile is one of several equal parts of a picture, or several whole pictures
    tile = -(-size // -(-size // tile)) if tile < size else tile // size * size
    space = patches.new_empty(min(tile, count * size), words)
    for first in range(0, count, max(1, tile // size)):
        pictures = slice(first, min(count, first + max(1, tile // size)))
        for start in range(0, size, tile):
            part = slice(start, min(size, start + tile))
            rows = patches[pictures, part].flatten(0, 1)
            found = torch.mm(rows, book, out=space[: len(rows)])
            yield pictures, part, found.view(-1, part.stop - start, words)


def capped(squares: Tensor, means: Tensor) -> Tensor:
    """Return min(d, d̄) for the distances d to words, and overwrite their `squares` (B, P, K).

    Coates, Ng & Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011: the code of a word
    is max(0, d̄ − d) = d̄ − min(d, d̄). It is positive if the word is nearer than the mean distance d̄. The function
    writes d̄ to `means` (B, P, 1). Example: the distances 1, 2 and 6 have the mean 3. The result is 1, 2 and 3, so the
    codes are 2, 1 and 0.
    """
    distances = squares.sqrt_()
    torch.mean(distances, 2, keepdim=True, out=means)
    return torch.minimum(distances, means, out=distances)


def nearest_only(squares: Tensor) -> Tensor:
    """Return a tensor (B, P, K) with 1 for the word nearest to each patch, and 0 for the other words.

    If several words are equally near, the first one gets the 1. The `squares` of the distances are overwritten.
    """
    nearest = squares.argmin(2, keepdim=True)
    return squares.zero_().scatter_(2, nearest, 1.0)
