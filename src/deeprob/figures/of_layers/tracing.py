"""Find the boundaries between classes as lines: first on a grid, then exactly, at points of equal scores."""

from collections.abc import Callable

import torch
from torch import Tensor

from deeprob.analysis.plane import Limits, boundary_fields, grid, margins, zero_lines

HALVINGS = 12
"""The number of bisections: each halves the interval between two grid points that contains the boundary."""

NEAR = 1e-3
"""A boundary point is not moved if its distance to a grid point is at most this.

The unit is the distance between two grid points.
"""


def trace(scores: Callable[[Tensor], Tensor], limits: Limits, resolution: int) -> list[Tensor]:
    """Return the boundaries between classes in a part of the plane.

    Parameters
    ----------
    scores
        A function from points (N, 2) to scores (N, C).
    limits, resolution
        The part of the plane, and the number of grid points in each direction.

    Returns
    -------
    list[Tensor]
        Lines (m, 2) of float64. At each point of a line, the two highest scores are equal. The point lies between two
        neighbouring grid points. If there are more than two classes, each line occurs twice: once for the class on each
        side.
    """
    left, right, bottom, top = limits
    lines, winners = [], []
    for winner, field in enumerate(boundary_fields(scores(grid(limits, resolution)))):
        for line in zero_lines(field, limits):
            lines.append(line)
            winners.append(torch.full((len(line), 1), winner))
    if not lines:
        return []
    corner = torch.tensor([left, bottom], dtype=torch.float64)
    step = (torch.tensor([right, top], dtype=torch.float64) - corner) / (resolution - 1)
    sharp = sharpened(scores, torch.cat(lines), torch.cat(winners), corner, step)
    return list(torch.split(sharp, [len(line) for line in lines]))


def sharpened(
    scores: Callable[[Tensor], Tensor], points: Tensor, winners: Tensor, corner: Tensor, step: Tensor
) -> Tensor:
    """Move boundary points to the exact boundary, and return them.

    The given points come from linear interpolation between two neighbouring grid points. Where scores are not linear,
    the points have an error, and later layers would magnify the error. Each point moves on the line between its two
    grid points, to the place where two classes have the same score.

    Parameters
    ----------
    scores
        A function from points (N, 2) to scores (N, C).
    points, winners
        The points (M, 2), and a class (M, 1) per point. On one side of the point, this class has the highest score.
    corner, step
        The first point (2,) of the grid, and the distances (2,) between columns and between rows of the grid.

    Returns
    -------
    Tensor
        The moved points (M, 2) of float64.
    """

    def positive(places: Tensor) -> Tensor:
        return margins(scores(places).cpu()).gather(1, winners) > 0

    cells = (points - corner) / step
    start, end = corner + (cells + NEAR).floor() * step, corner + (cells - NEAR).ceil() * step
    side = positive(start)
    crossed = side != positive(end)
    for _ in range(HALVINGS):
        middle = (start + end) / 2
        same = positive(middle) == side
        start, end = torch.where(same, middle, start), torch.where(same, end, middle)
    return torch.where(crossed, (start + end) / 2, points)
