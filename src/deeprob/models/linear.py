"""The linear classifier: one template per class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deeprob.config import register
from deeprob.models.backpropagation import Formula
from deeprob.models.base import Model, ModelConfig
from deeprob.models.dense import DenseFormula, dense


@register("model", "linear")
@dataclass(kw_only=True, slots=True)
class LinearConfig(ModelConfig):
    """A linear classifier: f(x) = Wx + b.

    Attributes
    ----------
    bias
        Whether a bias is added to each score.
    """

    has_formulas: ClassVar[bool] = True

    bias: bool = True

    @property
    def linear(self) -> bool:
        """True: there is no hidden layer."""
        return True

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Linear":
        """Return the classifier with small random weights."""
        return Linear(inputs, outputs, rng, self.bias)


class Linear(Model):
    """Class scores Wx + b with W (C, D) and b (C,).

    Initial weights have standard deviation 1/D. So the initial scores are near 0, and the initial softmax loss is near
    ln C.
    """

    def __init__(self, inputs: int, outputs: int, rng: torch.Generator, bias: bool = True) -> None:
        super().__init__()
        self.layer = dense(inputs, outputs, 1 / inputs, rng, bias)

    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …) with D numbers per example."""
        scores: Tensor = self.layer(inputs.flatten(1))
        return scores

    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the scores, the only stage."""
        yield "scores", self(inputs)

    @property
    def linear_layers(self) -> Sequence[nn.Linear]:
        """A list with the only layer."""
        return [self.layer]

    def formulas(self) -> Sequence[Formula]:
        """Return the formula of the only layer."""
        return [DenseFormula("layer", self.layer)]
