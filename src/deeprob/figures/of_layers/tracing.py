"""Boundaries as lines: traced on a grid, then moved to the places where the scores tie."""

from collections.abc import Callable

import torch
from torch import Tensor

from deeprob.analysis.plane import Limits, boundary_fields, grid, margins, zero_lines

HALVINGS = 12
"""How often bisection halves the distance between two grid points to find the boundary between them."""

NEAR = 1e-3
"""A boundary point this near to a grid point stays there. The unit is the distance between two grid points."""


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
        Lines (m, 2) of float64. Each point lies between two neighbours of the grid, where the two highest scores tie.
        With more than two classes each line occurs twice, once for either class.
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
    """Return boundary points moved along the edges of the grid to the places where their classes' margins are 0.

    Linear interpolation between corners of the grid is wrong where scores bend, and a later layer would magnify that.

    Parameters
    ----------
    scores
        A function from points (N, 2) to scores (N, C).
    points, winners
        Points (M, 2) on edges of the grid, and the class (M, 1) whose margin changes its sign there.
    corner, step
        The grid's first point (2,), and the distances (2,) between its columns and between its rows.

    Returns
    -------
    Tensor
        (M, 2) of float64.
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
