"""Two interleaved half circles."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.data.examples import Examples
from deeprob.data.planar import PlanarConfig


@register("dataset", "moons")
@dataclass(kw_only=True, slots=True)
class MoonsConfig(PlanarConfig):
    """Two interleaved half circles, one for each class.

    Attributes
    ----------
    noise
        The standard deviation of the noise in each coordinate. The half circles have radius 1.
    """

    name: ClassVar[str] = "moons"

    noise: float = number(0.1, minimum=0, maximum=1000)

    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw the points of both half circles."""
        return moons(points_per_class, self.noise, rng)

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the two classes."""
        return ("upper", "lower")


def moons(points_per_class: int, noise: float, rng: torch.Generator) -> Examples:
    """Draw points (cos θ, sin θ) of class 0 and (1 − cos θ, ½ − sin θ) of class 1 with θ uniform in [0, π].

    Normal noise with standard deviation `noise` is added to each coordinate. Returns (2n, 2) float32 inputs and (2n,)
    targets for n points per class, ordered by class.
    """
    moon = torch.arange(2).repeat_interleave(points_per_class)
    angle = math.pi * torch.rand(len(moon), generator=rng)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    inputs = torch.where(moon[:, None] == 0, upper, lower)
    return Examples(inputs + noise * torch.randn(inputs.shape, generator=rng), moon)
