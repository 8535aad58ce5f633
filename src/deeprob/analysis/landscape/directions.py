"""Directions in weight space: random, scaled per unit, or from the weights of one model to another model."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from deeprob import randomness

Point = Mapping[str, Tensor]
"""A model's parameters by name, or a direction in which the parameters move."""


def random_direction(like: Point, stream: Tensor, number: int) -> dict[str, Tensor]:
    """Return a direction of random numbers from the standard normal distribution.

    The numbers are the same on every device. They are drawn for weight matrices only. For biases and the parameters of
    norm layers, the direction is 0 (as in Li et al., "Visualizing the loss landscape of neural nets", 2018).

    Parameters
    ----------
    like
        The parameters of a model. The direction has the same names, shapes and dtypes.
    stream, number
        A key of `deeprob.randomness`, and the number of the direction in this stream.
    """
    seed = int(randomness.fold(stream, number)) & 0x7FFF_FFFF_FFFF_FFFF
    rng = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=rng, dtype=torch.float64).to(tensor)
        if tensor.dim() >= 2
        else torch.zeros_like(tensor)
        for name, tensor in like.items()
    }


def filter_normalised(direction: Point, point: Point) -> dict[str, Tensor]:
    """Scale each row of the direction's matrices to the norm of the same row of `point` (Li et al., 2018).

    Example: if a row of the direction is [3, 4] and the same row of the point is [0, 10], the scaled row is [6, 8].
    Rows of zeros stay zero.

    The reason: a row holds the incoming weights of one unit. If they are multiplied by a positive number and the unit's
    outgoing weights are divided by this number, a ReLU network still computes the same function. So the norm of a row
    says little by itself, and steps are measured relative to it.
    """
    scaled = {}
    for name, tensor in direction.items():
        if tensor.dim() >= 2:
            norm = torch.linalg.vector_norm(tensor, dim=1, keepdim=True)
            wanted = torch.linalg.vector_norm(point[name], dim=1, keepdim=True)
            scaled[name] = torch.where(norm > 0, tensor * wanted / norm, 0.0)
        else:
            scaled[name] = tensor.clone()
    return scaled


def norm_of(point: Point) -> float:
    """Return the Euclidean norm of all numbers in a point or a direction."""
    return math.sqrt(inner(point, point))


def scaled_to(direction: Point, norm: float) -> dict[str, Tensor]:
    """Scale a direction to the given norm; a direction of zeros stays zero."""
    length = norm_of(direction)
    return {name: tensor * (norm / length if length else 0.0) for name, tensor in direction.items()}


def scaled(direction: Point, factor: float) -> dict[str, Tensor]:
    """Return `factor` times a direction."""
    return {name: factor * tensor for name, tensor in direction.items()}


def difference(end: Point, start: Point) -> dict[str, Tensor]:
    """Return the direction from `start` to `end`: `end` − `start`."""
    return {name: tensor - start[name] for name, tensor in end.items()}


def inner(one: Point, other: Point) -> float:
    """Return the inner product of two directions."""
    return sum((tensor.double() * other[name].double()).sum().item() for name, tensor in one.items())
