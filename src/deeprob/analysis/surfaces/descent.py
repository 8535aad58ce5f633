"""The path of an optimizer on a surface, and its cost."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deeprob import randomness
from deeprob.analysis.surfaces.base import Point, SurfaceConfig
from deeprob.analysis.surfaces.racers import Racer

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Descent:
    """The path of an optimizer with n updates. Row 0 of each array is the start.

    Attributes
    ----------
    racer
        The optimizer.
    points
        (n + 1, 2) points, all finite.
    losses
        (n + 1,) values of f at the points, all finite.
    evaluations
        (n + 1,) The number of evaluations of f and its gradient until each point was reached.
    seconds
        (n + 1,) The time until each point was reached, in seconds.
    diverged
        Whether one more update led to an infinite or NaN point or value of f. This update is not part of the path.
    """

    racer: Racer
    points: Floats
    losses: Floats
    evaluations: npt.NDArray[np.int64]
    seconds: Floats
    diverged: bool

    @property
    def updates(self) -> int:
        """The number of updates."""
        return len(self.points) - 1

    @property
    def step_lengths(self) -> Floats:
        """The lengths (n,) of the updates."""
        lengths: Floats = np.hypot(*np.diff(self.points, axis=0).T)  # unlike √(x² + y²), never overflows
        return lengths

    def distance(self, goals: list[Point]) -> float:
        """Return the distance from the end of the path to the nearest of the points `goals`."""
        return float(min(np.hypot(*(self.points[-1] - goal)) for goal in goals))


class Race(NamedTuple):
    """Several optimizers on one surface, from the same start."""

    surface: SurfaceConfig
    start: Point
    descents: list[Descent]


def descend(
    surface: SurfaceConfig,
    racer: Racer,
    start: Point,
    *,
    steps: int,
    evaluations: int | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Descent:
    """Run an optimizer on a surface, in float64.

    Parameters
    ----------
    surface, racer, start
        The function, the optimizer and the starting point.
    steps
        The largest number of updates. L-BFGS may finish earlier.
    evaluations
        The largest number of evaluations of f; None for the same number as `steps`. The last update may exceed it.
    noise
        The standard deviation of the normal noise that is added to each coordinate of each gradient.
    seed
        The seed of the noise. With the same seed, evaluation k has the same noise for all optimizers.
    """
    most = steps if evaluations is None else evaluations
    point = nn.Parameter(torch.tensor([start], dtype=torch.float64))  # a matrix: weight_decay acts on matrices only
    optimizer = racer.optimizer.build([point])
    generator = randomness.generator(seed, "noise")
    calls = 0

    def closure() -> float:
        nonlocal calls
        calls += 1
        loss = surface.value(point).sum()
        (point.grad,) = torch.autograd.grad(loss, point)
        if noise:
            point.grad += noise * torch.randn(point.shape, generator=generator, dtype=point.dtype)
        return loss.item()

    points, counts, times = [point.detach().clone()], [0], [0.0]
    while len(points) <= steps and calls < most:
        before = time.perf_counter()
        optimizer.step(closure)
        times.append(times[-1] + time.perf_counter() - before)
        points.append(point.detach().clone())
        counts.append(calls)
        done = getattr(optimizer, "finished", False)  # only L-BFGS has this attribute
        if done or not points[-1].isfinite().all():
            break
    path = torch.cat(points)
    losses = surface.value(path)
    finite = (path.isfinite().all(1) & losses.isfinite()).int().cumprod(0).sum().item()
    kept = slice(0, int(finite))
    return Descent(
        racer,
        path[kept].numpy(),
        losses[kept].numpy(),
        np.array(counts[kept]),
        np.array(times[kept]),
        finite < len(path),
    )
