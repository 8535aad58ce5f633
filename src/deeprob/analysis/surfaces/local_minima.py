"""A small local minimum on the way to the global one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import register


@register("surface", "local_minima")
@dataclass(kw_only=True, slots=True)
class LocalMinimaConfig(SurfaceConfig):
    """f = ¼x⁴ − ⅕x³ − 6/5·x² − ⅘x + y²: two minima with a barrier between them.

    The derivative is ∂f/∂x = (x + 1)(x + ⅖)(x − 2). The local minimum is at (−1, 0), where f = 0.05. The global minimum
    is at (2, 0), where f = −4. The barrier between them is at (−⅖, 0) and is 0.0972 higher than the local minimum.
    """

    start: ClassVar[Point] = (-2.2, 0.8)
    limits: ClassVar[Limits] = (-2.5, 3.0, -1.3, 1.3)
    steps: ClassVar[int] = 150
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.05,
        "sgd momentum=0.9": 0.05,
        "sgd momentum=0.9 nesterov=true": 0.05,
        "adagrad": 0.3,
        "rmsprop": 0.03,
        "adam": 0.15,
        "lbfgs max_iter=1": 1.0,
    }

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        return x.pow(4) / 4 - x.pow(3) / 5 - 1.2 * x.square() - 0.8 * x + y.square()

    def minima(self) -> list[Point]:
        """Return the global minimum, where f = −4."""
        return [(2.0, 0.0)]
