"""A codebook: thousands of centres that stand for hundreds of thousands of points."""

import torch
from torch import Tensor

from deeprob.features.kmeans import nearest
from deeprob.tracking.console import Bar


def codebook(points: Tensor, count: int, rng: torch.Generator, iterations: int) -> Tensor:
    """Return centres of many points, by Lloyd's algorithm from points drawn at random.

    As `deeprob.features.kmeans.kmeans` but for the start, which among so many has no need to be chosen with care, and
    for the number of moves, of which the first few bring nearly all that there is to win. A centre that has lost all
    its points stays where it is.

    Parameters
    ----------
    points
        (N, D) floats, N at least `count`.
    count
        How many centres.
    rng
        Draws the start, on the CPU.
    iterations
        How many moves.

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
                sums.index_add_(0, owners, part.double())  # in double, so that their order leaves no trace
                bar.advance(len(part))
            means = (sums / sizes.clamp(min=1)[:, None]).to(points.dtype)
            centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres
