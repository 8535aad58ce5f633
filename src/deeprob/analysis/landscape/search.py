"""A search of the loss landscape around a model for a slice of each kind.

A slice is L on a line through the model's weights. `deeprob.analysis.landscape.kinds` defines the kinds of slices.
Nearly all slices in random directions are convex-ish, and the other kinds are rare. If random directions do not show a
kind, gradient ascent changes a direction until the slice has this kind.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from deeprob import randomness
from deeprob.analysis.landscape.directions import Point, filter_normalised, random_direction, scaled
from deeprob.analysis.landscape.kinds import Shape, shape_of
from deeprob.analysis.landscape.landscape import Landscape

Numbers = npt.NDArray[np.float64]

WAVES = {"convex-ish": 0.5, "non-convex": 1.5, "local minima": 3.0, "wild": 5.0}
"""The frequency ω for each kind. A slice with the values −cos(ωπx), x from −1 to 1, has this kind."""

DIRECTIONS, STEPS, EXAMPLES = 64, 250, 128
"""Default values: the number of random directions, of ascent steps per kind, and of training examples."""

RATE, SAMPLES, CHECK = 0.05, 41, 10
"""Settings of the gradient ascent: its learning rate, the points per slice, and the steps between two checks."""


@dataclass(frozen=True)
class Slice:
    """L on a line through a run's weights.

    Attributes
    ----------
    values
        (P,) losses at positions x from −1 to 1. The run's weights are at x = 0.
    shape
        The numbers that define the kind of the slice.
    turned
        Whether gradient ascent has changed the direction of the line. If not, the direction is random.
    """

    values: Numbers
    shape: Shape
    turned: bool


@dataclass(frozen=True)
class Search:
    """The result of a search for a slice of each kind.

    Attributes
    ----------
    counts
        The number of random directions whose slice has a given kind. The key "" counts the slices without a kind.
    found
        The clearest slice of each kind (see `keep`). Kinds that were not found are missing.
    examples
        The number of examples over which L is averaged.
    """

    counts: dict[str, int]
    found: dict[str, Slice]
    examples: int


def search_kinds(
    landscape: Landscape,
    *,
    directions: int = DIRECTIONS,
    steps: int = STEPS,
    points: int = 201,
    radius: float = 1.0,
    seed: int = 0,
) -> Search:
    """Search lines through a model's own weights for slices of every kind.

    First, the slices in random filter-normalised directions are computed. For each kind that did not occur, gradient
    ascent then starts from a new random direction. It maximizes the correlation between the slice and a cosine that has
    this kind (see `WAVES`).

    Parameters
    ----------
    landscape
        The landscape, in float64.
    directions, steps
        The number of random directions, and the largest number of ascent steps for each missing kind.
    points, radius
        The number of points in a slice, and its half-length: a slice reaches from −`radius` to `radius` times the
        filter-normalised direction.
    seed
        The seed of the random directions.
    """
    here = landscape.here
    stream = randomness.key(seed, "landscape/kinds")
    counts = dict.fromkeys((*WAVES, ""), 0)
    found: dict[str, Slice] = {}
    for number in range(directions):
        direction = scaled(filter_normalised(random_direction(here, stream, number), here), radius)
        if (seen := slice_along(landscape, direction, points, turned=False)) is not None:
            counts[seen.shape.kind] += 1
            keep(found, seen)
    rough = landscape.to(torch.float32)
    for number, kind in enumerate([kind for kind in WAVES if kind not in found]):
        begin = scaled(filter_normalised(random_direction(here, stream, directions + number), here), radius)
        for direction in turned(rough, begin, WAVES[kind], steps):
            seen = slice_along(landscape, direction, points, turned=True)
            if seen is not None and seen.shape.kind == kind:
                keep(found, seen)
                break
    return Search(counts, {kind: found[kind] for kind in WAVES if kind in found}, len(landscape.examples))


def slice_along(landscape: Landscape, direction: Point, points: int, *, turned: bool) -> Slice | None:
    """Return the slice from −1 to 1 times a direction; None if the slice is flat or has infinite or NaN values."""
    steps = torch.linspace(-1, 1, points, dtype=torch.float64)[:, None]
    here = landscape.here
    exact = {name: tensor.to(here[name]) for name, tensor in direction.items()}
    values = landscape.losses(here, [exact], steps).numpy()
    shape = shape_of(values)
    return None if shape is None else Slice(values, shape, turned)


def keep(found: dict[str, Slice], seen: Slice) -> None:
    """Put a slice into `found` if it has a kind and is the clearest slice of this kind so far.

    The clearest convex-ish slice rises most from its minimum to its lower end, relative to its range. The clearest
    non-convex slice has the largest height above a chord. The clearest slice of any other kind has the largest travel.
    """

    def clarity(one: Slice) -> float:
        ends = min(one.values[0], one.values[-1]) - one.values.min()  # a bowl has two high ends
        return {
            "convex-ish": float(ends / np.ptp(one.values)),
            "non-convex": one.shape.above,
        }.get(one.shape.kind, one.shape.travel)

    kind = seen.shape.kind
    if kind and (kind not in found or clarity(seen) > clarity(found[kind])):
        found[kind] = seen


def turned(landscape: Landscape, direction: Point, waves: float, steps: int) -> Iterator[dict[str, Tensor]]:
    """Change a direction so that its slice becomes similar to −cos(ωπx), with ω = `waves`.

    Yield the direction every `CHECK` steps. Adam maximizes the correlation between the slice and this cosine. The mean
    and the range of the slice do not affect the correlation.
    """
    here, examples = landscape.here, landscape.examples
    leaves = {name: tensor.to(here[name], copy=True).requires_grad_() for name, tensor in direction.items()}
    optimizer = torch.optim.Adam(leaves.values(), lr=RATE)
    x = torch.linspace(-1, 1, SAMPLES).to(examples.inputs)
    wave = standard(-torch.cos(waves * math.pi * x))

    def loss(step: Tensor) -> Tensor:
        point = {name: here[name] + step * leaf for name, leaf in leaves.items()}
        scores = functional_call(landscape.model, point, (examples.inputs,))
        return landscape.objective(scores, examples.targets, point).loss

    for number in range(1, steps + 1):
        optimizer.zero_grad()
        with torch.enable_grad():
            likeness = (standard(vmap(loss)(x)) * wave).mean()
            torch.autograd.backward(-likeness)
        optimizer.step()
        if number % CHECK == 0:
            yield {name: leaf.detach() for name, leaf in leaves.items()}


def standard(values: Tensor) -> Tensor:
    """Shift and scale values (P,) to mean 0 and standard deviation 1."""
    centred = values - values.mean()
    return centred / (centred.square().mean().sqrt() + torch.finfo(values.dtype).tiny)


def kind_measures(found: Mapping[str, Slice]) -> dict[str, float]:
    """Return the measured numbers of the found slices, by column names such as ``wild_minima``.

    If a kind was not found, its numbers get values that no slice of this kind has: ``convex_ish_above`` is 1, and the
    other numbers are 0.
    """

    def number(kind: str, measure: str, missing: float) -> float:
        return float(getattr(found[kind].shape, measure)) if kind in found else missing

    return {
        "convex_ish_above": number("convex-ish", "above", 1.0),
        "non_convex_above": number("non-convex", "above", 0.0),
        "local_minima": number("local minima", "minima", 0.0),
        "wild_minima": number("wild", "minima", 0.0),
        "wild_travel": number("wild", "travel", 0.0),
    }
