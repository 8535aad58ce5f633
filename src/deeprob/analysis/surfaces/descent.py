"""The path of an optimizer down a surface, and what it cost."""

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
    """A path of n updates; row 0 of each array is the start.

    Attributes
    ----------
    racer
        Whose path it is.
    points
        (n + 1, 2) points, all finite.
    losses
        (n + 1,) values of f there, all finite.
    evaluations
        (n + 1,) evaluations of f and its gradient that it took to get there.
    seconds
        (n + 1,) seconds that it took.
    diverged
        Whether the next update would have left the finite numbers.
    """

    racer: Racer
    points: Floats
    losses: Floats
    evaluations: npt.NDArray[np.int64]
    seconds: Floats
    diverged: bool

    @property
    def updates(self) -> int:
        """How many updates there were."""
        return len(self.points) - 1

    @property
    def step_lengths(self) -> Floats:
        """The length (n,) of each update."""
        lengths: Floats = np.hypot(*np.diff(self.points, axis=0).T)  # never overflows
        return lengths

    def distance(self, goals: list[Point]) -> float:
        """Return how far its end is from the nearest of some points."""
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
    """Let an optimizer go down a surface, in float64.

    Parameters
    ----------
    surface, racer, start
        The function, the optimizer and where it begins.
    steps
        Updates at most; L-BFGS may find earlier that there is nothing left to do.
    evaluations
        No update begins after so many evaluations; None: as many as `steps`.
    noise
        The standard deviation of what is added to each coordinate of each gradient.
    seed
        Of the noise, which is the same for all optimizers at the same evaluation.
    """
    most = steps if evaluations is None else evaluations
    point = nn.Parameter(torch.tensor([start], dtype=torch.float64))  # a matrix, so that weight_decay acts on it
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
        done = getattr(optimizer, "finished", False)  # of L-BFGS
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
