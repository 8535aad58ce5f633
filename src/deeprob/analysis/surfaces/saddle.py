"""A saddle: a point with gradient 0 from which f falls in some directions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import number, register


@register("surface", "saddle")
@dataclass(kw_only=True, slots=True)
class SaddleConfig(SurfaceConfig):
    """f = ½x² + κ(¼y⁴ − ½y²) with κ = `flatness`. The saddle is at the origin.

    The minima are at (0, ±1), where f = −κ/4. The start is at a distance of 0.001 from the ridge y = 0. Near the ridge,
    each update of gradient descent with learning rate α multiplies y by about 1 + ακ (Dauphin et al., "Identifying and
    attacking the saddle point problem in high-dimensional non-convex optimization", 2014).

    Attributes
    ----------
    flatness
        The factor κ of the terms in y. The smaller κ is, the more slowly f falls on both sides of the ridge.
    """

    start: ClassVar[Point] = (-1.5, 1e-3)
    limits: ClassVar[Limits] = (-1.8, 1.0, -0.7, 1.4)
    steps: ClassVar[int] = 150
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.2,
        "sgd momentum=0.9": 0.2,
        "sgd momentum=0.9 nesterov=true": 0.2,
        "adagrad": 0.3,
        "rmsprop": 0.01,
        "adam": 0.05,
        "lbfgs max_iter=1": 1.0,
    }

    flatness: float = number(0.1, above=0, maximum=100)

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        return x.square() / 2 + self.flatness * (y.pow(4) / 4 - y.square() / 2)

    def minima(self) -> list[Point]:
        """Return both minima, where f = −κ/4."""
        return [(0.0, 1.0), (0.0, -1.0)]
