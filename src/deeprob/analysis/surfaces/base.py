"""The base class of all surfaces: a formula, its minima, and good settings for optimizers."""

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

    `deeprob.parts.protocols` says what a surface has to keep.

    Attributes
    ----------
    start
        The default start of every optimizer.
    limits
        The part of the plane that is shown.
    steps
        The default number of updates: enough to see how the optimizers differ.
    lrs
        A good learning rate for each optimizer, if the surface has its default parameters. A key describes an optimizer
        as text, such as ``sgd momentum=0.9``.
    spacing
        The exponent that sets the heights of the contour lines. Contour k of n is at (k/n)^spacing of the range of f.
        With 2, the contours of a quadratic are equally spaced. Larger values give more contours near the lowest values.
    """

    start: ClassVar[Point]
    limits: ClassVar[Limits]
    steps: ClassVar[int]
    lrs: ClassVar[Mapping[str, float]]
    spacing: ClassVar[float] = 2.0

    def value(self, points: Tensor) -> Tensor:
        """Return the values (…) of f at points (…, 2)."""
        raise AssertionError("a surface defines value()")

    def minima(self) -> list[Point]:
        """Return the global minima."""
        raise AssertionError("a surface defines minima()")

    def lowest(self) -> float:
        """Return f at the global minima."""
        return self.value(torch.tensor(self.minima()[0], dtype=torch.float64)).item()

    def steepness(self) -> float:
        """Return (largest curvature of f) / (largest curvature of f with default parameters)."""
        return 1.0

    def race(self) -> list[str]:
        """Return the lecture's optimizers as text, each with a good learning rate, such as ``adam lr=0.15``.

        The learning rates of SGD are divided by `steepness`. The reason: the largest stable learning rate of gradient
        descent is proportional to 1 / (largest curvature).
        """
        steepness = {"sgd": self.steepness()}
        return [f"{words} lr={lr / steepness.get(words.split()[0], 1):g}" for words, lr in self.lrs.items()]


def all_surfaces() -> dict[str, SurfaceConfig]:
    """Return all surfaces by name, each with its default parameters."""
    return {name: cls() for name, cls in options("surface").items() if hasattr(cls, "start")}
