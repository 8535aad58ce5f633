"""The scenes of a film in which a network bends the plane, layer by layer.

There is one scene per stage, rotated or mirrored to fit the scene before. More scenes lie between the stages.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deeprob.figures.of_layers.stages import Stage, joined, stage_title

SIGNS = [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)]


@dataclass(frozen=True)
class Scene:
    """The contents of one frame of a film.

    Attributes
    ----------
    title
        The name of the stage, or the names of both stages if the scene lies between two stages.
    labels
        The labels of the two axes. They are empty between stages.
    points
        The coordinates (n, 2) of all training points.
    upright, level
        The coordinates (n, 2) of two kinds of grid lines: on upright lines, x₁ is constant; on level lines, x₂ is
        constant. NaN separates lines.
    boundary
        The coordinates (n, 2) of the boundary. NaN separates lines.
    """

    title: str
    labels: tuple[str, str]
    points: np.ndarray
    upright: np.ndarray
    level: np.ndarray
    boundary: np.ndarray


def scenes_of(stages: Sequence[Stage]) -> list[Scene]:
    """Return one scene per stage.

    Each scene fills [−1, 1]², and is rotated or mirrored to fit the scene before.
    """
    scenes: list[Scene] = []
    for stage in stages:
        middle, deviation = stage.points.mean(0), stage.points.std(0, correction=0)
        scale = torch.where(deviation > 1e-9 * deviation.max(), 1 / deviation, 0.0)
        turn = torch.eye(2, dtype=scale.dtype)
        if scenes:
            before = torch.from_numpy(scenes[-1].points)
            turn = alignment((stage.points - middle) * scale, before, stage.projection.by_unit)
        seen = (stage.points * scale) @ turn
        low, high = seen.amin(0), seen.amax(0)
        room = torch.where(high - low > 1e-9, (high - low) / 2, 1.0)
        upright, level = stage.grid.chunk(2)
        pieces = (stage.points, joined(upright), joined(level), joined(stage.boundary))
        parts = [(((piece * scale) @ turn - (low + high) / 2) / room).numpy() for piece in pieces]
        scenes.append(Scene(stage_title(stage.name), axis_labels(stage, turn), *parts))
    return scenes


def alignment(points: Tensor, target: Tensor, by_unit: bool) -> Tensor:
    """Return the rotation or reflection R (2, 2) that moves `points` as close to `target` as possible.

    The mean of `points` (N, 2) must be 0. First, the mean of `target` (N, 2) is subtracted from `target`. Then the
    orthogonal Procrustes problem is solved: if UΣVᵀ is the singular value decomposition of pointsᵀ · target, the
    solution is R = UVᵀ. If each coordinate is a unit (`by_unit`), R changes only the order and the signs of
    coordinates, so that each axis still shows one unit.
    """
    match = points.T @ (target - target.mean(0))
    if not by_unit:
        left, _, right = torch.linalg.svd(match)
        turn: Tensor = left @ right
        return turn
    straight = torch.eye(2, dtype=points.dtype)
    signed = [rows * torch.tensor(signs) for rows in (straight, straight.flip(0)) for signs in SIGNS]
    return max(signed, key=lambda turn: (turn * match).sum().item())


def axis_labels(stage: Stage, turn: Tensor) -> tuple[str, str]:
    """Return the axis labels of a stage after the rotation or reflection `turn` (2, 2)."""
    if not stage.projection.by_unit:
        return "plane of PC 1 and PC 2", ""
    places = turn.abs().argmax(0)
    first, second = (
        ("−" if turn[place, column] < 0 else "") + stage.projection.labels[place]
        for column, place in enumerate(places.tolist())
    )
    return first, second


def played(scenes: Sequence[Scene], frames: int, hold: float, seconds: float) -> Iterator[tuple[Scene, float]]:
    """Yield all scenes of a film and their durations in seconds.

    The scene of a stage lasts `hold` seconds. Between two stages, there are `frames` scenes, and each lasts `seconds`.
    Each point moves on a straight line from one stage to the next. At time t in [0, 1], the point has covered the share
    t²(3 − 2t) of the line. So the point starts and stops slowly.
    """
    yield scenes[0], hold
    for before, after in itertools.pairwise(scenes):
        for step in range(1, frames + 1):
            time = step / (frames + 1)
            yield between(before, after, time**2 * (3 - 2 * time)), seconds
        yield after, hold


def between(before: Scene, after: Scene, share: float) -> Scene:
    """Return the scene between two scenes. `share` in [0, 1] is the share of the way from `before` to `after`."""
    parts = [
        (1 - share) * getattr(before, part) + share * getattr(after, part)
        for part in ("points", "upright", "level", "boundary")
    ]
    return Scene(f"{before.title} → {after.title}", ("", ""), *parts)
