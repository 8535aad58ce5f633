"""Concentric rings: a line separates them in polar coordinates, but not in Cartesian ones."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.data.examples import Examples
from deeprob.data.planar import PlanarConfig


@register("dataset", "circles")
@dataclass(kw_only=True, slots=True)
class CirclesConfig(PlanarConfig):
    """Concentric rings, one for each of K classes, with the radii 1/K, 2/K, …, 1.

    Attributes
    ----------
    classes
        The number of rings, one for each class.
    noise
        The standard deviation of a point's radius. The outermost ring has radius 1.
    """

    name: ClassVar[str] = "circles"

    classes: int = number(2, minimum=2)
    noise: float = number(0.05, minimum=0, maximum=1000)

    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw the points of all rings."""
        return circles(self.classes, points_per_class, self.noise, rng)

    def class_names(self) -> tuple[str, ...]:
        """Return ``ring 0``, ``ring 1``, …, from the innermost ring to the outermost."""
        return tuple(f"ring {ring}" for ring in range(self.classes))


def circles(classes: int, points_per_class: int, noise: float, rng: torch.Generator) -> Examples:
    """Draw points on K rings at uniformly distributed angles.

    On ring k, the radius is (k + 1)/K + noise·ε with ε standard normal. Returns (K·n, 2) float32 inputs and (K·n,)
    targets for n points per class, ordered by ring.
    """
    ring = torch.arange(classes).repeat_interleave(points_per_class)
    angle = 2 * math.pi * torch.rand(len(ring), generator=rng)
    radius = (ring + 1) / classes + noise * torch.randn(len(ring), generator=rng)
    return Examples(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), ring)
