"""Learn a codebook: thousands of centres that represent hundreds of thousands of points."""

import torch
from torch import Tensor

from deeprob.features.hog import length
from deeprob.features.kmeans import nearest
from deeprob.tracking.console import Bar


def codebook(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Find centres of many points with Lloyd's algorithm; the initial centres are points drawn at random.

    This differs from `deeprob.features.kmeans.kmeans` in two ways. The initial centres are not chosen to be far apart,
    because there are so many points. The number of moves is fixed, because the first few moves bring nearly all of the
    improvement. A centre without points does not move.

    Parameters
    ----------
    points
        (N, D) floats, N at least `count`.
    count
        Number of centres.
    rng
        The random generator that draws the initial centres, on the CPU.
    iterations
        The number of times that the centres are moved.

    Returns
    -------
    Tensor
        The centres (count, D).
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
                sums.index_add_(0, owners, part.double())  # in double precision, so that their order is irrelevant
                bar.advance(len(part))
            means = (sums / sizes.clamp(min=1)[:, None]).to(points.dtype)
            centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres


def directions(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Find words c of length 1 such that each point is nearly s·c for one word c; s may be negative.

    Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", 2011 (OMP-1):
    a point z belongs to the word with the largest |z·c|, and its factor is s = z·c. In each iteration, a word becomes
    Σ s z over its points, scaled to length 1. The initial words have the directions of points drawn at random. A word
    without points does not change. Example: the points are (3, 0), (−1, 0) and (0, 2). If the words start from the last
    two points, they become (−1, 0) and (0, 1).

    Parameters
    ----------
    points, count, rng, iterations
        As in `codebook`.

    Returns
    -------
    Tensor
        The centres (count, D).
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
