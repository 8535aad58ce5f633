"""Rosenbrock's function: a curved valley."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import register


@register("surface", "rosenbrock")
@dataclass(kw_only=True, slots=True)
class RosenbrockConfig(SurfaceConfig):
    """f = (1 − x)² + 100(y − x²)². The floor of the valley is the parabola y = x², and f is nearly flat along it.

    The minimum is at (1, 1), where f = 0. The function and the start are from Rosenbrock, "An automatic method for
    finding the greatest or least value of a function", 1960.
    """

    start: ClassVar[Point] = (-1.2, 1.0)
    limits: ClassVar[Limits] = (-1.6, 1.6, -0.6, 2.0)
    steps: ClassVar[int] = 1000
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.002,
        "sgd momentum=0.9": 0.001,
        "sgd momentum=0.9 nesterov=true": 0.001,
        "adagrad": 0.5,
        "rmsprop": 0.005,
        "adam": 0.1,
        "lbfgs max_iter=1": 1.0,
    }
    spacing: ClassVar[float] = 5.0

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        return (1 - x).square() + 100 * (y - x.square()).square()

    def minima(self) -> list[Point]:
        """Return the minimum, where f = 0."""
        return [(1.0, 1.0)]
