"""Features of features: each takes the output of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.config import register
from deeprob.features.base import Features
from deeprob.features.parts import PARTS, PartsConfig

_CHUNK = 4096  # examples in memory at once, at each part


@register("features", "chain")
@dataclass(kw_only=True, slots=True)
class ChainConfig(PartsConfig):
    """Several features in sequence: each takes the standardised output of the one before."""

    parts: list[Any] = field(default_factory=lambda: ["hog", "whiten"], metadata={"accepted": PARTS})

    def build(self, input_shape: tuple[int, ...]) -> "Chain":
        """Return the feature.

        Raises
        ------
        UserError
            If the first part cannot take the inputs, or a part cannot take the output of the one before.
        """
        parts = []
        for config in self.features():
            parts.append(part := config.make(input_shape))
            input_shape = part.output_shape
        return Chain(parts)


class Chain(Features):
    """The composition fₙ(… f₂(f₁(x))) of features; its output shape and standardisation are those of the last part.

    Parameters
    ----------
    parts
        The features, each built for the output shape of the one before.
    """

    def __init__(self, parts: Sequence[Features]) -> None:
        *_, last = parts
        super().__init__(last.output_shape, "none")
        self.standardize = last.standardize
        self.parts = nn.ModuleList(parts)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return (N, *output_shape) of raw inputs (N, …)."""
        return torch.cat([self._extract(chunk) for chunk in torch.split(inputs, _CHUNK)])

    def fit(self, inputs: Tensor) -> Tensor:
        """Fit each part to the output of the part before, and return the last part's features of the raw inputs."""
        *before, last = self.steps()
        for part in before:
            inputs = standardized(part, part.fit(inputs))
        return last.fit(inputs)

    def steps(self) -> list[Features]:
        """Return the parts in their order."""
        return [part for part in self.parts if isinstance(part, Features)]

    def _extract(self, inputs: Tensor) -> Tensor:
        *before, last = self.steps()
        for part in before:
            inputs = standardized(part, part.extract(inputs))
        return last.extract(inputs)


def standardized(part: Features, extracted: Tensor) -> Tensor:
    """Return a part's `extracted` features (N, …) standardised, on the part's device, as inputs of the next part."""
    inputs: Tensor = part(extracted.to(part.like.device))
    return inputs
