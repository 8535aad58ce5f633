"""The base classes of models: the config that builds a model, and the model with its forward pass and stages."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """Base class of model configs; each model adds its own fields."""

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Model":
        """Return a model with `inputs` input numbers and `outputs` scores; `rng` draws its weights.

        Layers may also draw weights from torch's own CPU generator: the caller seeds it from the run's seed.
        """
        raise AssertionError("a model defines build()")

    @property
    def compares_examples(self) -> bool:
        """Whether training normalizes by the variance over a batch; a batch of one example has no variance."""
        return False

    def noise_sources(self) -> list[str]:
        """Return the overrides that switch off the model's noise in training, one per source."""
        return []


class Model(nn.Module, ABC):
    """A function from inputs to class scores."""

    noisy = False  # whether training draws random numbers from the key

    @abstractmethod
    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …).

        `key` names the random numbers of one training step (see `deeprob.randomness`); without it nothing is random.
        """

    @abstractmethod
    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the output (B, H) of each step of the forward pass without noise.

        ``linear 1`` is Wx + b of the first layer, ``relu 1`` its activations, and so on; ``scores`` come last.
        """

    @property
    @abstractmethod
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b, in order from input to output."""


def dense(inputs: int, outputs: int, deviation: float, rng: torch.Generator, bias: bool = True) -> nn.Linear:
    """Return a layer Wx + b; W (outputs, inputs) is drawn from a normal distribution, b is 0 or left out."""
    kind = FewOutputs if inputs >= FewOutputs.INPUTS and outputs <= FewOutputs.OUTPUTS else nn.Linear
    layer = kind(inputs, outputs, bias, device="meta").to_empty(device="cpu")  # torch would draw its own weights
    with torch.no_grad():
        layer.weight.normal_(0.0, deviation, generator=rng)
        if bias:
            layer.bias.zero_()
    return layer


class FewOutputs(nn.Linear):
    """Wx + b, computed as (W·xᵀ + b)ᵀ; on a CPU this is a fifth to a third faster for many inputs and few outputs."""

    INPUTS, OUTPUTS = 1024, 32

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, C) of inputs (B, D)."""
        bias: Tensor | None = self.bias
        product = self.weight @ inputs.T if bias is None else torch.addmm(bias[:, None], self.weight, inputs.T)
        return product.T
