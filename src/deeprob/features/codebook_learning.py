"""A codebook: thousands of centres that stand for hundreds of thousands of points."""

import torch
from torch import Tensor

from deeprob.features.hog import length
from deeprob.features.kmeans import nearest
from deeprob.tracking.console import Bar


def codebook(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Return centres of many points, by Lloyd's algorithm from points drawn at random.

    This differs from `deeprob.features.kmeans.kmeans` in two ways. The start is not chosen with care, because there are
    so many points. The number of moves is fixed, because the first few bring nearly all of the improvement. A centre
    that loses all its points stays where it is.

    Parameters
    ----------
    points
        (N, D) floats, N at least `count`.
    count
        Number of centres.
    rng
        Draws the start, on the CPU.
    iterations
        Number of moves.

    Returns
    -------
    Tensor
        (count, D).
    """
    drawn = torch.randperm(len(points), generator=rng)[:count]
    centres = points[drawn.to(points.device)]
    parts = torch.split(points, 2**14)
    with Bar(iterations * len(points), "learning the codebook", "points") as bar:
        for _ in range(iterations):
            sums = torch.zeros(centres.shape, dtype=torch.float64, device=points.device)
            sizes = torch.zeros(count, dtype=torch.int64, device=points.device)
            for part in parts:
                owners = nearest(part, centres)
                sizes += torch.bincount(owners, minlength=count)
                sums.index_add_(0, owners, part.double())  # in double precision, so that their order does not matter
                bar.advance(len(part))
            means = (sums / sizes.clamp(min=1)[:, None]).to(points.dtype)
            centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres


def directions(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Return words c of length 1 such that each point is nearly s·c for one word c, with s of either sign.

    Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", 2011 (OMP-1):
    a point z belongs to the word of largest |z·c|, with s = z·c, and a word becomes the direction of Σ s z over its
    points. The words start from points drawn at random. A word that loses all its points stays unchanged. Example: for
    the points (3, 0), (−1, 0) and (0, 2), words that start from the last two become (−1, 0) and (0, 1).

    Parameters
    ----------
    points, count, rng, iterations
        As in `codebook`.

    Returns
    -------
    Tensor
        (count, D).
    """
    drawn = torch.randperm(len(points), generator=rng)[:count]
    start = points[drawn.to(points.device)]
    words = start / length(start)
    parts = torch.split(points, 2**14)
    with Bar(iterations * len(points), "learning directions", "points") as bar:
        for _ in range(iterations):
            sums = torch.zeros(words.shape, dtype=torch.float64, device=points.device)
            for part in parts:
                products = part @ words.T
                owners = products.abs().argmax(1, keepdim=True)
                sums.index_add_(0, owners.flatten(), (products.gather(1, owners) * part).double())
                bar.advance(len(part))
            lengths = torch.linalg.vector_norm(sums, dim=1, keepdim=True)
            words = torch.where(lengths > 0, (sums / lengths.clamp(min=1e-30)).to(points.dtype), words)
    return words
