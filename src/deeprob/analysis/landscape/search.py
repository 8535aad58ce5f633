"""A search of the loss landscape around a model for a slice of each kind.

Lines in random directions nearly all look convex-ish. The other kinds are there too, but rare: so a direction is
turned, by gradient ascent, until the slice along it has the shape that is looked for.
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
"""For each kind the ω of a slice −cos(ωπx), x from −1 to 1, that is of it."""

DIRECTIONS, STEPS, EXAMPLES = 64, 250, 128
"""How many random directions, steps of turning for each kind, and training examples, if nothing else is said."""

RATE, SAMPLES, CHECK = 0.05, 41, 10
"""The rate at which a direction is turned, the points of its slice meanwhile, and steps between looks at all of it."""


@dataclass(frozen=True)
class Slice:
    """L on a line through a run's weights.

    Attributes
    ----------
    values
        (P,) losses from x = −1 to 1; the run is at 0.
    shape
        What they look like.
    turned
        Whether the direction was turned until the slice was of its kind, or is as it was drawn.
    """

    values: Numbers
    shape: Shape
    turned: bool


@dataclass(frozen=True)
class Search:
    """A search for a slice of each kind.

    Attributes
    ----------
    counts
        How many of the random directions gave a slice of which kind; "" of none.
    found
        The clearest slice of each kind that there was.
    examples
        How many L was a mean over.
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
    """Search the lines through a model's own weights for slices of every kind.

    First directions are drawn at random, filter-normalised. For each kind that none of them shows, one is then turned:
    gradient ascent on the correlation between its slice and a wave of that kind (`WAVES`).

    Parameters
    ----------
    landscape
        In float64.
    directions, steps
        Directions drawn, and steps of ascent at most for each kind that they did not show.
    points, radius
        Of the slices: `points` from −radius to radius times the direction.
    seed
        Draws the directions.
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
    """Return the slice from −1 to 1 times a direction; None if it has no shape."""
    steps = torch.linspace(-1, 1, points, dtype=torch.float64)[:, None]
    here = landscape.here
    exact = {name: tensor.to(here[name]) for name, tensor in direction.items()}
    values = landscape.losses(here, [exact], steps).numpy()
    shape = shape_of(values)
    return None if shape is None else Slice(values, shape, turned)


def keep(found: dict[str, Slice], seen: Slice) -> None:
    """Remember a slice if it is the clearest of its kind: the most convex, the furthest above a chord, the longest."""

    def clarity(one: Slice) -> float:
        ends = min(one.values[0], one.values[-1]) - one.values.min()  # of a bowl both are high
        return {
            "convex-ish": float(ends / np.ptp(one.values)),
            "non-convex": one.shape.above,
        }.get(one.shape.kind, one.shape.travel)

    kind = seen.shape.kind
    if kind and (kind not in found or clarity(seen) > clarity(found[kind])):
        found[kind] = seen


def turned(landscape: Landscape, direction: Point, waves: float, steps: int) -> Iterator[dict[str, Tensor]]:
    """Yield a direction now and then as it is turned so that its slice comes to look like −cos(ωπx).

    What is made large by Adam is the correlation of slice and wave, so that height and range are free.
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
    """Return values (P,) with mean 0 and deviation 1."""
    centred = values - values.mean()
    return centred / (centred.square().mean().sqrt() + torch.finfo(values.dtype).tiny)


def kind_measures(found: Mapping[str, Slice]) -> dict[str, float]:
    """Return the numbers on which the kinds of found slices are defined, by names for a table.

    A kind that was not found has numbers that no slice of it has: above a chord by its whole range, or 0.
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
