"""Boundaries between classes as lines. They are found on a grid, and then moved to points of equal scores."""

from collections.abc import Callable

import torch
from torch import Tensor

from deeprob.analysis.plane import Limits, boundary_fields, grid, margins, zero_lines

HALVINGS = 12
"""The number of times that bisection halves the interval between two grid points to find the boundary in it."""

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
        neighbouring grid points. If there are more than two classes, each line occurs twice, once for each of its two
        classes.
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

    The given points come from linear interpolation between grid points. It has an error where scores bend, and later
    layers would magnify this error. Each point moves along the edge of the grid on which it lies, to the place where
    the margin of its class is 0.

    Parameters
    ----------
    scores
        A function from points (N, 2) to scores (N, C).
    points, winners
        The points (M, 2) on edges of the grid, and the class (M, 1) of each point. The margin of this class changes its
        sign at the point.
    corner, step
        The grid's first point (2,), and the distances (2,) between its columns and between its rows.

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
