"""The base classes of models: the config that builds a model, and the model with its forward pass and stages."""

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

    Attributes
    ----------
    has_formulas
        Whether the model states its derivative as formulas (see `Model.formulas`). If not, autograd differentiates it.
    """

    has_formulas: ClassVar[bool] = False

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Model":
        """Return a model with `inputs` input numbers and `outputs` scores; `rng` draws its weights.

        Layers may also draw weights from torch's own CPU generator. The caller seeds this generator from the run's
        seed.
        """
        raise AssertionError("a model defines build()")

    @property
    def compares_examples(self) -> bool:
        """Whether training normalizes over the examples of a batch. Then batches need two examples or more."""
        return False

    def noise_sources(self) -> list[str]:
        """Return the config overrides that switch off randomness in training. Example: ``["model.dropout=0"]``."""
        return []


class Model(nn.Module, ABC):
    """A function from inputs to class scores."""

    noisy = False  # whether training uses random numbers; the argument `key` of `forward` decides them

    @abstractmethod
    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …).

        `key` selects the random numbers of one training step (see `deeprob.randomness`). Without `key`, nothing is
        random.
        """

    @abstractmethod
    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the output (B, H) of each step of the forward pass, without dropout.

        ``linear 1`` is Wx + b of the first layer. ``relu 1`` is the result of the activation of that layer, and so on.
        The last step is ``scores``.
        """

    @property
    @abstractmethod
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b, in order from input to output."""

    def formulas(self) -> Sequence[Formula] | None:
        """Return the steps of the forward pass with the formulas of their derivatives (see `Backpropagation`).

        None, the default: the model has no such formulas, and autograd computes its gradient.
        """
        return None
