"""Learn a codebook, which is a list of typical points, from hundreds of thousands of points."""

import torch
from torch import Tensor

from deeprob.features.hog import length
from deeprob.features.kmeans import nearest
from deeprob.tracking.console import Bar


def codebook(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Find centres of many points with Lloyd's algorithm. The initial centres are random points.

    This differs from `deeprob.features.kmeans.kmeans` in two ways. The initial centres may be close to each other,
    because there are many centres. The number of iterations is fixed, because the first few iterations bring nearly all
    of the improvement. A centre without points does not move.

    Parameters
    ----------
    points
        (N, D) floats, N at least `count`.
    count
        Number of centres.
    rng
        The random generator that draws the initial centres, on the CPU.
    iterations
        The number of iterations.

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
                sums.index_add_(0, owners, part.double())  # in double precision, so that the order does not matter
                bar.advance(len(part))
            means = (sums / sizes.clamp(min=1)[:, None]).to(points.dtype)
            centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres


def directions(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Find vectors of length 1, called words, such that each point is nearly a multiple of one word.

    Each iteration has two steps:

    1. Each point z is assigned to the word c with the largest |z·c|. Its factor is s = z·c, which may be negative.
    2. Each word becomes the sum of s·z over the points that are assigned to it, scaled to length 1. A word without
       points does not change.

    The initial words are points drawn at random, scaled to length 1. Example: if the points are (3, 0), (−1, 0) and
    (0, 2), and the last two are drawn, the words are (−1, 0) and (0, 1). The point (3, 0) then has the factor s = −3.

    Source: Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", 2011,
    where the method is called OMP-1.

    Parameters
    ----------
    points, count, rng, iterations
        As in `codebook`.

    Returns
    -------
    Tensor
        The words (count, D).
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
