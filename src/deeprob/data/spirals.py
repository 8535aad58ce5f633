"""Interleaved spiral arms in the plane, the toy problem of the CS231n notes and of the ConvNetJS demo."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.data.examples import Examples
from deeprob.data.planar import PlanarConfig


@register("dataset", "spirals")
@dataclass(kw_only=True, slots=True)
class SpiralsConfig(PlanarConfig):
    """A spiral with one arm for each class.

    Attributes
    ----------
    classes
        The number of arms, one for each class.
    turns
        The number of turns of each arm; 0.5 is half a turn.
    noise
        The standard deviation of a point's angle, in radians.
    """

    name: ClassVar[str] = "spirals"

    classes: int = number(3, minimum=2)
    turns: float = number(0.64, minimum=0, maximum=1000)
    noise: float = number(0.2, minimum=0, maximum=1000)

    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw the points of all arms."""
        return spirals(self.classes, points_per_class, self.turns, self.noise, rng)

    def class_names(self) -> tuple[str, ...]:
        """Return ``arm 0``, ``arm 1``, …."""
        return tuple(f"arm {arm}" for arm in range(self.classes))


def spirals(classes: int, points_per_class: int, turns: float, noise: float, rng: torch.Generator) -> Examples:
    """Draw points along spiral arms that start at the origin and end on the unit circle.

    There are K arms with n points each. Point i of arm k has the radius r = (i + u)/n with u uniform in [0, 1), and the
    angle 2π(k/K + turns·r) + noise·ε with ε standard normal. The CS231n notes use K = 3, n = 100, turns = 4/2π ≈ 0.64
    and noise = 0.2.

    Returns (K·n, 2) float32 inputs and (K·n,) targets, ordered by arm.
    """
    arm = torch.arange(classes).repeat_interleave(points_per_class)
    place = torch.arange(points_per_class).repeat(classes)
    radius = (place + torch.rand(len(arm), generator=rng)) / points_per_class
    angle = 2 * math.pi * (arm / classes + turns * radius) + noise * torch.randn(len(arm), generator=rng)
    return Examples(torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1), arm)
