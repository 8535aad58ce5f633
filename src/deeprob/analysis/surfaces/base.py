"""What every surface has: a formula, where its minima are, and how it is raced on."""

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
    """A function f of the plane, smooth enough to descend; its parameters are fields.

    Attributes
    ----------
    start
        Where every optimizer starts by default.
    limits
        The part of the plane that shows what the surface is about.
    steps
        Updates that show how the optimizers differ.
    lrs
        An optimizer in words (see `deeprob.analysis.surfaces.racers`), and the learning rate that suits it while
        parameters are at their defaults.
    spacing
        Contours lie at heights (k/n)^spacing of the range of f: 2 spaces those of a quadratic evenly, more brings out
        the floor of a deep valley.
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
        """Return the steepest curvature that its parameters make, as a multiple of that of their defaults."""
        return 1.0

    def race(self) -> list[str]:
        """Return the optimizers of the lecture, each with the learning rate that suits it, in words.

        Gradient descent is stable up to a learning rate that falls as the steepest curvature grows.
        """
        steepness = {"sgd": self.steepness()}
        return [f"{words} lr={lr / steepness.get(words.split()[0], 1):g}" for words, lr in self.lrs.items()]


def all_surfaces() -> dict[str, SurfaceConfig]:
    """Return every surface by its name, with its defaults."""
    return {name: cls() for name, cls in options("surface").items() if hasattr(cls, "start")}
