"""The base classes of models and of their configs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deeprob.models.backpropagation import Formula


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """Base class of model configs; each model adds its own fields.

    `deeprob.parts.protocols` says what a model has to keep.

    Attributes
    ----------
    has_formulas
        Whether the model has formulas for its gradient (see `Model.formulas`). If not, autograd computes the gradient.
    """

    has_formulas: ClassVar[bool] = False

    @property
    def linear(self) -> bool:
        """Whether the model has no hidden layer."""
        return False

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Model":
        """Return a model with `inputs` input numbers and `outputs` scores. The weights are drawn from `rng`.

        Layers may also draw weights from torch's global CPU generator. The caller has set the seed of this generator.
        """
        raise AssertionError("a model defines build()")

    @property
    def compares_examples(self) -> bool:
        """Whether training normalizes over the examples of a batch. If so, a batch needs at least two examples."""
        return False

    def noise_sources(self) -> list[str]:
        """Return the config overrides that switch off randomness in training. Example: ``["model.dropout=0"]``."""
        return []


class Model(nn.Module, ABC):
    """A function from inputs to class scores."""

    noisy = False  # whether training uses random numbers, which the argument `key` of `forward` selects

    @abstractmethod
    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …).

        `key` selects the random numbers of one update (see `deeprob.randomness`). If `key` is None, dropout is off.
        """

    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the output (B, H) of each step of the forward pass, without dropout.

        Example: ``linear 1`` is Wx + b of the first layer, and ``relu 1`` is max(0, Wx + b). The last step is
        ``scores``. If a model does not define this method, it is the only step.
        """
        yield "scores", self(inputs)

    @property
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b, in order from input to output, if the model is a chain of such layers and activations.

        If a model does not define this property, it is empty: figures of layers do not show the model.
        """
        return []

    def formulas(self) -> Sequence[Formula] | None:
        """Return the steps of the forward pass with the formulas of their derivatives (see `Backpropagation`).

        Return None if the model has no such formulas. Then autograd computes the gradient.
        """
        return None
