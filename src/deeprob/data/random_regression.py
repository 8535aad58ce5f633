"""Random inputs with random targets, as in the lecture's example of a network in 20 lines of code."""

from dataclasses import dataclass

import torch

from deeprob import randomness
from deeprob.config import number, register
from deeprob.data.base import DatasetConfig
from deeprob.data.examples import Examples, Splits


@register("dataset", "random_regression")
@dataclass(kw_only=True, slots=True)
class RandomRegressionConfig(DatasetConfig):
    """Random inputs with random targets, all standard normal: a network can only memorize them.

    Attributes
    ----------
    examples
        The number of training examples. Example: ``dataset=random_regression loss=squared_error
        dataset.examples=128``.
    test_examples
        The number of test examples. Example: ``dataset=random_regression loss=squared_error
        dataset.test_examples=128``.
    inputs
        The number of inputs of an example. Example: ``dataset=random_regression loss=squared_error
        dataset.inputs=2000``.
    outputs
        The number of targets of an example. Example: ``dataset=random_regression loss=squared_error
        dataset.outputs=20``.
    """

    examples: int = number(64, minimum=2)
    test_examples: int = number(64, minimum=1)
    inputs: int = number(1000, minimum=1)
    outputs: int = number(10, minimum=1)

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers instead of classes."""
        return True

    def load(self) -> Splits:
        """Generate the training split and the test split."""
        return self.finish(self._draw("train", self.examples), self._draw("test", self.test_examples), ())

    def _draw(self, split: str, count: int) -> Examples:
        rng = randomness.generator(self.seed, f"random_regression/{split}")
        inputs = torch.randn(count, self.inputs, generator=rng, dtype=torch.float64)
        return Examples(inputs, torch.randn(count, self.outputs, generator=rng, dtype=torch.float64))
