"""Two V-shaped stripes of points. The class of a point depends on the sign of x₂ − |x₁|."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.data.examples import Examples
from deeprob.data.planar import PlanarConfig


@register("dataset", "chevrons")
@dataclass(kw_only=True, slots=True)
class ChevronsConfig(PlanarConfig):
    """Two V-shaped stripes, one above and one below the line x₂ = |x₁|.

    Attributes
    ----------
    gap
        The vertical distance between the two stripes.
    thickness
        The vertical thickness of each stripe.
    """

    name: ClassVar[str] = "chevrons"

    gap: float = number(0.1, minimum=0, maximum=1000)
    thickness: float = number(0.1, minimum=0, maximum=1000)

    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw the points of both stripes."""
        return chevrons(points_per_class, self.gap, self.thickness, rng)

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the two classes."""
        return ("above", "below")


def chevrons(points_per_class: int, gap: float, thickness: float, rng: torch.Generator) -> Examples:
    """Draw points (x, |x| ± (gap/2 + thickness·u)) with x uniform in [−1, 1] and u uniform in [0, 1].

    The sign is + for class 0, and − for class 1. Returns (2n, 2) float32 inputs and (2n,) targets for n points per
    class, ordered by class.
    """
    target = torch.arange(2).repeat_interleave(points_per_class)
    x = 2 * torch.rand(len(target), generator=rng) - 1
    away = gap / 2 + thickness * torch.rand(len(target), generator=rng)
    return Examples(torch.stack([x, x.abs() + away * (1 - 2 * target)], dim=1), target)
