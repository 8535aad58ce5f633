"""Exclusive or: points in four squares of the plane; diagonally opposite squares have the same class."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob.config import number, register
from deeprob.data.examples import Examples
from deeprob.data.planar import PlanarConfig


@register("dataset", "xor")
@dataclass(kw_only=True, slots=True)
class XorConfig(PlanarConfig):
    """Exclusive or: the class of a point depends on whether its two coordinates have the same sign.

    Attributes
    ----------
    noise
        The standard deviation of the noise in each coordinate. The class is determined before noise is added.
    """

    name: ClassVar[str] = "xor"

    noise: float = number(0.0, minimum=0, maximum=1000)

    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw the points of all four squares."""
        return xor(points_per_class, self.noise, rng)

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the two classes."""
        return ("same sign", "other sign")


def xor(points_per_class: int, noise: float, rng: torch.Generator) -> Examples:
    """Draw points uniformly from the square [−1, 1]².

    The class is 0 if both coordinates have the same sign, and 1 if the signs differ. Then, normal noise with standard
    deviation `noise` is added to each coordinate. Returns (2n, 2) float32 inputs and (2n,) targets for n points per
    class, ordered by class.
    """
    target = torch.arange(2).repeat_interleave(points_per_class)
    size = torch.rand(len(target), 2, generator=rng)
    first = torch.randint(2, (len(target),), generator=rng) * 2 - 1
    signs = torch.stack([first, first * (1 - 2 * target)], dim=1)
    return Examples(signs * size + noise * torch.randn(size.shape, generator=rng), target)
