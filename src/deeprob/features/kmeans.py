"""K-means: find a few centres that represent many points."""

import torch
from torch import Tensor

_CHUNK = 2**24  # number of distances in memory at once


def kmeans(points: Tensor, count: int, rng: torch.Generator, iterations: int = 100) -> Tensor:
    """Find centres such that the distance from each point to its nearest centre is small.

    The initial centres are random points, and are likely to be far from each other. Then two steps are repeated:

    1. Each point is assigned to the nearest centre.
    2. Each centre moves to the mean of the points that are assigned to it. A centre without points does not move.

    The algorithm ends when no assignment changes. Example: the points 0, 1, 10, 11 have the two centres ½ and 10½.
    Sources: Lloyd, "Least squares quantization in PCM", 1982; Arthur & Vassilvitskii, "k-means++", 2007.

    Parameters
    ----------
    points
        (N, D) floats.
    count
        Number of centres. If this is more than the number of different points, some centres are equal.
    rng
        The random generator that draws the initial centres, on the CPU.
    iterations
        The maximum number of iterations.

    Returns
    -------
    Tensor
        The centres (count, D), in the order in which the initial centres were drawn.
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
    """Find the nearest of the `centres` (K, D) for each of the points (N, D); return its position (N,) as int64.

    If several centres are equally near, the first one counts.
    """
    # ‖p − c‖² = ‖p‖² − 2·p·c + ‖c‖²; the first term is the same for all centres, so it is left out
    half_squares = centres.square().sum(1) / 2
    chunks = torch.split(points, max(1, _CHUNK // len(centres)))
    return torch.cat([(half_squares - chunk @ centres.T).argmin(1) for chunk in chunks])


def _start(points: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Draw the initial centres (count, D) from the points.

    The first centre is drawn uniformly. For each further centre, a point is drawn with a probability proportional to
    the squared distance between the point and the nearest earlier centre.
    """
    drawn = int(torch.randint(len(points), (), generator=rng))
    centres = [points[drawn]]
    squares = (points - centres[0]).square().sum(1)
    for _ in range(count - 1):
        reach = squares.cumsum(0, dtype=torch.float64)
        target = (1 - torch.rand((), generator=rng, dtype=torch.float64)).to(points.device) * reach[-1]
        centres.append(points[int(torch.searchsorted(reach, target).clamp(max=len(points) - 1))])
        squares = torch.minimum(squares, (points - centres[-1]).square().sum(1))
    return torch.stack(centres)
