"""Codes of a picture: how near each word of a codebook is to the patches, averaged over regions."""

from collections.abc import Iterator

import torch
from torch import Tensor

TILE = {"cpu": 300_000, "cuda": 2**26}
"""How many distances are in memory at once. On a CPU so few stay in its cache from the product to the sum."""


def regions_of(rows: Tensor, columns: Tensor) -> Tensor:
    """Return weights (R·C, H·W): each row computes the mean of a picture (H·W,) over one region of a grid.

    Parameters
    ----------
    rows, columns
        (R, H) and (C, W), see `deeprob.features.votes.regions`.
    """
    return torch.einsum("rh,cw->rchw", rows, columns).flatten(2).flatten(0, 1).contiguous()


def coded(patches: Tensor, words: Tensor, regions: Tensor, *, hard: bool) -> Tensor:
    """Return the mean code of the patches in each region: (B, R, K).

    Most of the work is one matrix product: ‖z − c‖² = ‖z‖² − 2 z·c + ‖c‖² for all patches z and words c, with both
    squares as two more entries of the vectors. It is computed tile by tile.

    Parameters
    ----------
    patches
        (B, P, D).
    words
        (K, D), the codebook.
    regions
        (R, P), each row with the weights of a mean.
    hard
        Whether a patch counts 1 for the nearest word. Otherwise (triangle code) a patch counts for each word by how
        much the word is nearer than the mean distance (see `capped`).
    """
    rounding = 1 + (patches.shape[2] + 2) * torch.finfo(patches.dtype).eps
    squares = torch.linalg.vector_norm(patches, dim=2, keepdim=True).square_()
    extended = torch.cat([patches, squares, torch.ones_like(squares)], 2)
    book = torch.cat([-2 * words, torch.ones_like(words[:, :1]), words.square().sum(1, keepdim=True)], 1)
    book[:, -2:] *= rounding  # raised by more than rounding errors, so that no square is negative
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
    """Return the mean of max(0, z·c − α) and of max(0, −z·c − α) over the patches z in each region: (B, R, 2K).

    Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", 2011: a patch
    z counts for a word c of length 1 by how much z·c exceeds α, and for the opposite word −c likewise. Both codes are
    computed from their difference, which is z·c shrunk by α towards 0, and from their sum, which is the absolute value
    of the difference.

    Parameters
    ----------
    patches, words, regions
        As in `coded`; words of length 1.
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
    """Yield the product of patches (B, P, D) and `book` (D, K) tile by tile; each tile overwrites the one before.

    Yields
    ------
    tuple
        The tile's pictures, the tile's patches in these pictures, and its numbers (B', P', K).
    """
    (count, size, _), words = patches.shape, book.shape[1]
    tile = max(1, TILE.get(book.device.type, TILE["cuda"]) // words)
    # equal parts of one picture, or several whole pictures
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
    """Return min(d, d̄) of the distances d to words, given their `squares` (B, P, K), which are overwritten.

    Coates, Ng & Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011: the code of a word
    is max(0, d̄ − d) = d̄ − min(d, d̄), which is positive for words nearer than the mean distance d̄. `means` (B, P, 1)
    are set to d̄. Example: distances 1, 2 and 6 have a mean of 3 and give 1, 2 and 3, so the code is 2, 1 and 0.
    """
    distances = squares.sqrt_()
    torch.mean(distances, 2, keepdim=True, out=means)
    return torch.minimum(distances, means, out=distances)


def nearest_only(squares: Tensor) -> Tensor:
    """Return 1 for the word nearest to a patch, the first of equals, and 0 for the others (B, P, K).

    The `squares` of the distances are overwritten.
    """
    nearest = squares.argmin(2, keepdim=True)
    return squares.zero_().scatter_(2, nearest, 1.0)
