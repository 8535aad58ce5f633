"""Boundaries between the classes of a model with two inputs: their lines in the plane, and their length."""

from collections.abc import Callable

import contourpy
import numpy as np
import torch
from torch import Tensor

Limits = tuple[float, float, float, float]
"""A part of the plane: left, right, bottom, top."""


def limits_of(points: Tensor, margin: float = 0.1) -> Limits:
    """Return the part of the plane that contains points (N, 2), with a margin around them.

    In each direction, the margin is `margin` times the extent of the points. If a coordinate c is the same for all
    points, the margin is max(1, 0.001·|c|).
    """
    low, high = points.amin(0).double(), points.amax(0).double()
    frame = torch.where(high > low, margin * (high - low), (1e-3 * high.abs()).clamp(min=1.0))
    (left, bottom), (right, top) = (low - frame).tolist(), (high + frame).tolist()
    return left, right, bottom, top


def grid(limits: Limits, resolution: int) -> Tensor:
    """Return a grid of points (resolution², 2) in a part of the plane, in float64. The lowest row is first."""
    left, right, bottom, top = limits
    x, y = (torch.linspace(*ends, resolution, dtype=torch.float64) for ends in ((left, right), (bottom, top)))
    return torch.stack([x.repeat(resolution), y.repeat_interleave(resolution)], dim=1)


def margins(scores: Tensor) -> Tensor:
    """Return the margins (N, C): the score of each class minus the highest score of the other classes.

    Only the margin of the predicted class is positive. On the boundary of a class, its margin is 0.
    """
    two, places = scores.topk(2, dim=1)
    best_other = two[:, :1].expand_as(scores).scatter(1, places[:, :1], two[:, 1:])
    return scores - best_other


def boundary_fields(scores: Tensor) -> Tensor:
    """Return the values on a grid of functions that are 0 on the boundaries between classes.

    Parameters
    ----------
    scores
        (R², C) scores on a `grid`.

    Returns
    -------
    Tensor
        (K, R, R) margins. With two classes, these are the margins of the first class, and K = 1. With more classes,
        these are the margins of all classes, and K = C. Then each boundary occurs twice: once for the class on
        each side.
    """
    resolution = round(len(scores) ** 0.5)
    fields = margins(scores).T.reshape(-1, resolution, resolution)
    return fields if len(fields) > 2 else fields[:1]


def zero_lines(field: Tensor, limits: Limits) -> list[Tensor]:
    """Return the lines on which a function is 0, from its values `field` (R, R) on a grid.

    Each line is a float64 tensor of points (m, 2).
    """
    left, right, bottom, top = limits
    x, y = (np.linspace(*ends, len(field)) for ends in ((left, right), (bottom, top)))
    values = field.double().cpu().numpy()
    return [torch.from_numpy(line) for line in contourpy.contour_generator(x, y, values).lines(0.0)]


def boundary_length(scores: Callable[[Tensor], Tensor], limits: Limits, resolution: int = 200) -> float:
    """Return the total length of the boundaries between classes in a part of the plane, in units of the inputs."""
    fields = boundary_fields(scores(grid(limits, resolution)))
    lines = [line for field in fields for line in zero_lines(field, limits)]
    length: float = sum(line.diff(dim=0).norm(dim=1).sum().item() for line in lines)
    return length / min(len(fields), 2)
