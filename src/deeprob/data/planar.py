"""The base class of datasets of generated points in the plane."""

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
    """Fields of every dataset of generated points in the plane.

    Attributes
    ----------
    name
        The name of the dataset. It is part of the name of each random draw.
    points_per_class
        The number of training points of each class.
    test_points_per_class
        The number of test points of each class.
    distractors
        The number of additional inputs. They are standard normal noise, which says nothing about the class.
    """

    batch_size_hint: ClassVar[int] = 32
    name: ClassVar[str]

    points_per_class: int = number(1000, minimum=2)
    test_points_per_class: int = number(1000, minimum=1)
    distractors: int = number(0, minimum=0)

    @abstractmethod
    def points(self, points_per_class: int, rng: torch.Generator) -> Examples:
        """Draw n points for each of K classes; return float32 points (K·n, 2) and their classes (K·n,)."""

    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the K classes."""

    def load(self) -> Splits:
        """Generate the training split and the test split."""
        train = self._draw("train", self.points_per_class)
        return self.finish(train, self._draw("test", self.test_points_per_class), self.class_names())

    def _draw(self, split: str, points_per_class: int) -> Examples:
        examples = self.points(points_per_class, randomness.generator(self.seed, f"{self.name}/{split}"))
        if not self.distractors:
            return examples
        rng = randomness.generator(self.seed, f"{self.name}/{split}/distractors")
        noise = torch.randn(len(examples), self.distractors, generator=rng)
        return Examples(torch.cat([examples.inputs, noise], dim=1), examples.targets)
