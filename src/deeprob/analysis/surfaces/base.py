"""The base of all surfaces: a formula, its minima, and the settings of a race of optimizers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.config import options

Point = tuple[float, float]
Limits = tuple[float, float, float, float]
"""A part of the plane: left, right, bottom, top."""


@dataclass(kw_only=True, slots=True)
class SurfaceConfig:
    """A differentiable function f on the plane. The parameters of f are the fields of the class.

    Attributes
    ----------
    start
        The default start of every optimizer.
    limits
        The part of the plane that is shown.
    steps
        The number of updates after which the optimizers differ clearly.
    lrs
        A good learning rate for each optimizer, at the default parameters of the surface. The keys are optimizers in
        words (see `deeprob.analysis.surfaces.racers`).
    spacing
        The exponent of the contours' heights: contour k of n is at the share (k/n)^spacing of the range of f. With 2,
        the contours of a quadratic have equal distances. Larger values give more contours near the floor of a valley.
    """

    start: ClassVar[Point]
    limits: ClassVar[Limits]
    steps: ClassVar[int]
    lrs: ClassVar[Mapping[str, float]]
    spacing: ClassVar[float] = 2.0

    def value(self, points: Tensor) -> Tensor:
        """Return f of points (…, 2) as a tensor (…)."""
        raise AssertionError("a surface defines value()")

    def minima(self) -> list[Point]:
        """Return the global minima."""
        raise AssertionError("a surface defines minima()")

    def lowest(self) -> float:
        """Return f at the global minima."""
        return self.value(torch.tensor(self.minima()[0], dtype=torch.float64)).item()

    def steepness(self) -> float:
        """Return the largest curvature with these parameters divided by the largest curvature with the defaults."""
        return 1.0

    def race(self) -> list[str]:
        """Return the optimizers of the lecture in words, each with a good learning rate.

        The learning rates of SGD are divided by `steepness`, because gradient descent is stable only up to a learning
        rate in proportion to 1 / (largest curvature).
        """
        steepness = {"sgd": self.steepness()}
        return [f"{words} lr={lr / steepness.get(words.split()[0], 1):g}" for words, lr in self.lrs.items()]


def all_surfaces() -> dict[str, SurfaceConfig]:
    """Return every surface by name, with default parameters."""
    return {name: cls() for name, cls in options("surface").items() if hasattr(cls, "start")}
