"""Directions in which a model's weights may be moved: at random, scaled unit by unit, or from one model to another."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from deeprob import randomness

Point = Mapping[str, Tensor]
"""A model's parameters by name, or a direction in which they are moved."""


def random_direction(like: Point, stream: Tensor, number: int) -> dict[str, Tensor]:
    """Return the `number`-th standard normal direction of a stream, the same on every device.

    Weight matrices move alone: biases and norm parameters keep their values (as in Li et al., "Visualizing the loss
    landscape of neural nets", 2018).

    Parameters
    ----------
    like
        Parameters whose names, shapes and types the direction has.
    stream, number
        A key of `deeprob.randomness`, and which direction of it.
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
    """Return a direction each row of whose weight matrices has the norm of the point's row (Li et al., 2018).

    A row is what one unit reads, the "filter" of a network without convolutions. With ReLU a row may be scaled up and
    the weights that read the unit down without any change of the function; relative to the row's norm a step is the
    same in both. Of [3, 4] and a point's row [0, 10] it makes [6, 8]. Rows of zeros stay where they are.
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
    """Return the norm of all numbers of a point or a direction together."""
    return math.sqrt(inner(point, point))


def scaled_to(direction: Point, norm: float) -> dict[str, Tensor]:
    """Return a direction of a norm; one of zeros stays."""
    length = norm_of(direction)
    return {name: tensor * (norm / length if length else 0.0) for name, tensor in direction.items()}


def scaled(direction: Point, factor: float) -> dict[str, Tensor]:
    """Return a direction so many times as long."""
    return {name: factor * tensor for name, tensor in direction.items()}


def difference(end: Point, start: Point) -> dict[str, Tensor]:
    """Return the direction that leads in one step from a point to another."""
    return {name: tensor - start[name] for name, tensor in end.items()}


def inner(one: Point, other: Point) -> float:
    """Return the inner product of two directions."""
    return sum((tensor.double() * other[name].double()).sum().item() for name, tensor in one.items())
