"""K-means: a few centres that stand for many points."""

import torch
from torch import Tensor

_CHUNK = 2**24  # distances in memory at once


def kmeans(points: Tensor, count: int, rng: torch.Generator, iterations: int = 100) -> Tensor:
    """Return centres such that each point is near its nearest centre.

    Lloyd's algorithm, "Least squares quantization in PCM", 1982: each centre moves to the mean of the points nearest to
    it, until no point changes its centre. The centres start from points drawn far from one another (Arthur &
    Vassilvitskii, "k-means++", 2007). A centre that loses all its points stays where it is. Example: the points 0, 1,
    10, 11 have the two centres ½ and 10½.

    Parameters
    ----------
    points
        (N, D) floats.
    count
        Number of centres; if there are fewer distinct points, some centres are equal.
    rng
        Draws the start, on the CPU.
    iterations
        Maximum number of moves.

    Returns
    -------
    Tensor
        (count, D), in the order in which their starting points were drawn.
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
    """Return (N,) int64, the number of the centre (K, D) nearest to each point (N, D), the first of equals.

    ‖p − c‖² = ‖p‖² − 2·p·c + ‖c‖². The first term is the same for all centres, so it is left out.
    """
    half_squares = centres.square().sum(1) / 2
    chunks = torch.split(points, max(1, _CHUNK // len(centres)))
    return torch.cat([(half_squares - chunk @ centres.T).argmin(1) for chunk in chunks])


def _start(points: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Draw points (count, D), with chances proportional to the squared distance from the nearest point drawn before."""
    drawn = int(torch.randint(len(points), (), generator=rng))
    centres = [points[drawn]]
    squares = (points - centres[0]).square().sum(1)
    for _ in range(count - 1):
        reach = squares.cumsum(0, dtype=torch.float64)
        target = (1 - torch.rand((), generator=rng, dtype=torch.float64)).to(points.device) * reach[-1]
        centres.append(points[int(torch.searchsorted(reach, target).clamp(max=len(points) - 1))])
        squares = torch.minimum(squares, (points - centres[-1]).square().sum(1))
    return torch.stack(centres)
