"""A bowl whose steep and flat directions are not parallel to the coordinate axes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import number, register

CONDITION = 100.0


@register("surface", "ravine")
@dataclass(kw_only=True, slots=True)
class RavineConfig(SurfaceConfig):
    """f = ½(u² + κv²) with κ = `condition`. The axis u runs along the floor of the ravine, and v across the floor.

    u = x cos θ + y sin θ and v = y cos θ − x sin θ, with θ = `angle`. In a bowl, separate learning rates for x and y
    can compensate for the different curvatures. In a ravine they cannot, because f is steep along both x and y (Sutton,
    "Two problems with backpropagation", 1986).

    Attributes
    ----------
    condition
        The ratio κ of the curvature across the floor to the curvature along the floor.
    angle
        The angle θ between the floor and the x axis, in degrees.
    """

    start: ClassVar[Point] = (-3.2, -1.4)
    limits: ClassVar[Limits] = (-4.0, 1.6, -3.2, 1.6)
    steps: ClassVar[int] = 200
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.018,
        "sgd momentum=0.9": 0.005,
        "sgd momentum=0.9 nesterov=true": 0.005,
        "adagrad": 1.0,
        "rmsprop": 0.05,
        "adam": 0.2,
        "lbfgs max_iter=1": 1.0,
    }

    condition: float = number(CONDITION, minimum=1, maximum=1e6)
    angle: float = number(40.0, minimum=-90, maximum=90)

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return ((x * cos + y * sin).square() + self.condition * (y * cos - x * sin).square()) / 2

    def minima(self) -> list[Point]:
        """Return the minimum, where f = 0."""
        return [(0.0, 0.0)]

    def steepness(self) -> float:
        """Return κ divided by its default value."""
        return self.condition / CONDITION
