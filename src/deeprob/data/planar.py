"""What generated points of the plane share: training and test points drawn on their own, a class at a time."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob import randomness
from deeprob.config import number
from deeprob.data.base import DatasetConfig
from deeprob.data.examples import Examples, Splits


@dataclass(kw_only=True, slots=True)
class PlanarConfig(DatasetConfig):
    """Fields of every generated dataset of the plane.

    Attributes
    ----------
    name
        What the draws are called.
    """

    batch_size_hint: ClassVar[int] = 32
    name: ClassVar[str]

    points_per_class: int = number(1000, minimum=2)
    test_points_per_class: int = number(1000, minimum=1)

    @abstractmethod
    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw (K·n, 2) float32 points and their (K·n,) classes."""

    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Return the K classes' names."""

    def load(self) -> Splits:
        """Generate both splits."""
        train = self.points(self.points_per_class, randomness.generator(self.seed, f"{self.name}/train"))
        test = self.points(self.test_points_per_class, randomness.generator(self.seed, f"{self.name}/test"))
        return self.finish(train, test, self.class_names())
