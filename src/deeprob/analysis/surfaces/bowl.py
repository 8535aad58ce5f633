"""A bowl that is steep in one direction and flat in the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import number, register

CONDITION = 40.0


@register("surface", "bowl")
@dataclass(kw_only=True, slots=True)
class BowlConfig(SurfaceConfig):
    """f = ½(x² + κy²) with κ = `condition`, the ratio of the largest to the smallest curvature.

    With the learning rate α, each update of gradient descent multiplies x by 1 − α and y by 1 − ακ. Gradient descent
    converges only if α < 2/κ. If α > 1/κ, every update crosses the floor y = 0 (Goh, "Why momentum really works",
    2017).

    Attributes
    ----------
    condition
        The ratio κ of the largest to the smallest curvature.
    """

    start: ClassVar[Point] = (-4.0, 1.0)
    limits: ClassVar[Limits] = (-4.6, 1.4, -1.6, 1.6)
    steps: ClassVar[int] = 150
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.045,
        "sgd momentum=0.9": 0.02,
        "sgd momentum=0.9 nesterov=true": 0.02,
        "adagrad": 0.5,
        "rmsprop": 0.05,
        "adam": 0.15,
        "lbfgs max_iter=1": 1.0,
    }

    condition: float = number(CONDITION, minimum=1, maximum=1e6)

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        return (x.square() + self.condition * y.square()) / 2

    def minima(self) -> list[Point]:
        """Return the minimum, where f = 0."""
        return [(0.0, 0.0)]

    def steepness(self) -> float:
        """Return κ divided by its default value."""
        return self.condition / CONDITION
