"""Gaussian classes: clouds around random centres, in any number of dimensions."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from deeprob import randomness
from deeprob.config import number, register
from deeprob.data.base import DatasetConfig
from deeprob.data.examples import Examples, Splits


@register("dataset", "gaussians")
@dataclass(kw_only=True, slots=True)
class GaussiansConfig(DatasetConfig):
    """Clouds of normally distributed points around random centres, one cloud for each class.

    The distance between two centres is about separation·√(2·inputs). So with more inputs, the classes are easier to
    separate.

    Attributes
    ----------
    classes
        The number of clouds, one for each class.
    inputs
        The number of inputs of an example, which is the dimension of the clouds.
    separation
        The standard deviation of the coordinates of the centres. A larger value moves the clouds further apart.
    points_per_class
        The number of training points of each class.
    test_points_per_class
        The number of test points of each class.
    """

    batch_size_hint: ClassVar[int] = 32

    classes: int = number(10, minimum=2, maximum=10_000)
    inputs: int = number(10, minimum=1, maximum=1_000_000)
    separation: float = number(1.0, minimum=0, maximum=1e6)
    points_per_class: int = number(100, minimum=2)
    test_points_per_class: int = number(100, minimum=1)

    def load(self) -> Splits:
        """Generate the training split and the test split around the same centres."""
        rng = randomness.generator(self.seed, "gaussians/centres")
        centres = self.separation * torch.randn(self.classes, self.inputs, generator=rng)
        train, test = (
            clouds(centres, count, randomness.generator(self.seed, f"gaussians/{split}"))
            for split, count in (("train", self.points_per_class), ("test", self.test_points_per_class))
        )
        return self.finish(train, test, tuple(f"cloud {place}" for place in range(self.classes)))


def clouds(centres: torch.Tensor, points_per_class: int, rng: torch.Generator) -> Examples:
    """Draw n points per class from a standard normal distribution around each of the K centres (K, D).

    Returns (K·n, D) float32 inputs and (K·n,) targets, ordered by class.
    """
    targets = torch.arange(len(centres)).repeat_interleave(points_per_class)
    return Examples(centres[targets] + torch.randn(len(targets), centres.shape[1], generator=rng), targets)
