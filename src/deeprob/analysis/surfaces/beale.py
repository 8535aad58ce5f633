"""Beale's function: a flat valley between steep walls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig
from deeprob.config import register


@register("surface", "beale")
@dataclass(kw_only=True, slots=True)
class BealeConfig(SurfaceConfig):
    """f = (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)².

    The minimum is at (3, ½), where f = 0 (Beale, "On an iterative method for finding a local minimum", 1958). The start
    is from Moré, Garbow & Hillstrom ("Testing unconstrained optimization software", 1981).
    """

    start: ClassVar[Point] = (1.0, 1.0)
    limits: ClassVar[Limits] = (-0.3, 4.0, -1.2, 1.5)
    steps: ClassVar[int] = 300
    lrs: ClassVar[Mapping[str, float]] = {
        "sgd": 0.02,
        "sgd momentum=0.9": 0.005,
        "sgd momentum=0.9 nesterov=true": 0.005,
        "adagrad": 0.5,
        "rmsprop": 0.02,
        "adam": 0.1,
        "lbfgs max_iter=1": 1.0,
    }
    spacing: ClassVar[float] = 5.0

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        x, y = points.unbind(-1)
        terms = [offset - x + x * y.pow(power) for power, offset in ((1, 1.5), (2, 2.25), (3, 2.625))]
        return torch.stack(terms).square().sum(0)

    def minima(self) -> list[Point]:
        """Return the minimum, where f = 0."""
        return [(3.0, 0.5)]
