"""What every model has: a config that builds it, a forward pass that may be given noise, and its stages."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """A model's fields are its own."""

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Model":
        """Return a model from `inputs` numbers to `outputs` scores, its weights drawn from `rng`.

        Layers may draw their own weights: torch's generator is seeded by the run's seed meanwhile, on the CPU.
        """
        raise AssertionError("a model defines build()")

    @property
    def compares_examples(self) -> bool:
        """Whether training normalizes by the variance over a batch, which a single example does not have."""
        return False

    def noise_sources(self) -> list[str]:
        """Return what in it draws random numbers in training, each as the override that switches it off."""
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
        """Yield the name and the outcome (B, H) of each step of the forward pass without noise.

        The sums of the first layer are ``linear 1``, their activations ``relu 1``, and so on; ``scores`` come last.
        """

    @property
    @abstractmethod
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b, from the inputs on."""


def dense(inputs: int, outputs: int, deviation: float, rng: torch.Generator, bias: bool = True) -> nn.Linear:
    """Return a layer Wx + b with W (outputs, inputs) drawn from a normal distribution and b = 0, or none."""
    kind = FewOutputs if inputs >= FewOutputs.INPUTS and outputs <= FewOutputs.OUTPUTS else nn.Linear
    layer = kind(inputs, outputs, bias, device="meta").to_empty(device="cpu")  # torch would draw weights of its own
    with torch.no_grad():
        layer.weight.normal_(0.0, deviation, generator=rng)
        if bias:
            layer.bias.zero_()
    return layer


class FewOutputs(nn.Linear):
    """Wx + b computed as (W·xᵀ + b)ᵀ: on a CPU a fifth to a third faster where inputs are many and outputs few."""

    INPUTS, OUTPUTS = 1024, 32

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, C) of inputs (B, D)."""
        bias: Tensor | None = self.bias
        product = self.weight @ inputs.T if bias is None else torch.addmm(bias[:, None], self.weight, inputs.T)
        return product.T
