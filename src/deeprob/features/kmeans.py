"""K-means: a few centres that stand for many points."""

import torch
from torch import Tensor

_CHUNK = 2**24  # distances in memory at once


def kmeans(points: Tensor, count: int, rng: torch.Generator, iterations: int = 100) -> Tensor:
    """Return centres such that points are near the nearest of them.

    Lloyd's algorithm, "Least squares quantization in PCM", 1982: a centre moves to the mean of the points nearest to
    it, until none changes hands. It starts from points drawn far from one another (Arthur & Vassilvitskii, "k-means++",
    2007). A centre that has lost all its points stays where it is. Small: 0, 1, 10, 11 and two centres: ½ and 10½.

    Parameters
    ----------
    points
        (N, D) floats.
    count
        How many centres; where there are fewer distinct points, some centres are alike.
    rng
        Draws the start, on the CPU.
    iterations
        At most so many moves.

    Returns
    -------
    Tensor
        (count, D), in the order in which they were drawn.
    """
    centres = _start(points, count, rng)
    owners = torch.full((len(points),), -1, device=points.device)
    for _ in range(iterations):
        before, owners = owners, nearest(points, centres)
        if torch.equal(before, owners):
            break
        sizes = torch.bincount(owners, minlength=count)
        sums = torch.zeros(centres.shape, dtype=torch.float64, device=points.device)
        sums.index_add_(0, owners, points.double())
        means = (sums / sizes.clamp(min=1)[:, None]).to(points.dtype)
        centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """Return the number of the nearest centre (K, D) of each point (N, D), the first of equals: (N,) int64.

    ‖p − c‖² = ‖p‖² − 2·p·c + ‖c‖², of which the first term is the same for all centres.
    """
    half_squares = centres.square().sum(1) / 2
    chunks = torch.split(points, max(1, _CHUNK // len(centres)))
    return torch.cat([(half_squares - chunk @ centres.T).argmin(1) for chunk in chunks])


def _start(points: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Draw points (count, D), each with a chance that grows with the square of its distance from those before."""
    drawn = int(torch.randint(len(points), (), generator=rng))
    centres = [points[drawn]]
    squares = (points - centres[0]).square().sum(1)
    for _ in range(count - 1):
        reach = squares.cumsum(0, dtype=torch.float64)
        target = (1 - torch.rand((), generator=rng, dtype=torch.float64)).to(points.device) * reach[-1]
        centres.append(points[int(torch.searchsorted(reach, target).clamp(max=len(points) - 1))])
        squares = torch.minimum(squares, (points - centres[-1]).square().sum(1))
    return torch.stack(centres)
