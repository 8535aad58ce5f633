"""Features in sequence: each feature takes the output of the previous feature."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.config import register
from deeprob.features.base import Features
from deeprob.features.parts import PARTS, PartsConfig

_CHUNK = 4096  # number of examples per chunk


@register("features", "chain")
@dataclass(kw_only=True, slots=True)
class ChainConfig(PartsConfig):
    """Several features in sequence: each feature takes the standardised output of the previous one."""

    parts: list[Any] = field(default_factory=lambda: ["hog", "whiten"], metadata={"accepted": PARTS})

    def build(self, input_shape: tuple[int, ...]) -> "Chain":
        """Return the feature.

        Raises
        ------
        UserError
            If a part cannot take its inputs: the raw inputs, or the output of the previous part.
        """
        parts = []
        for config in self.features():
            parts.append(part := config.make(input_shape))
            input_shape = part.output_shape
        return Chain(parts)


class Chain(Features):
    """Apply features in sequence: fₙ(… f₂(f₁(x))).

    The output shape and the standardisation are those of the last feature.

    Parameters
    ----------
    parts
        The features. Each is built for the output shape of the previous feature.
    """

    def __init__(self, parts: Sequence[Features]) -> None:
        *_, last = parts
        super().__init__(last.output_shape, "none")
        self.standardize = last.standardize
        self.parts = nn.ModuleList(parts)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the features (N, *output_shape) of raw inputs (N, …)."""
        return torch.cat([self._extract(chunk) for chunk in torch.split(inputs, _CHUNK)])

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Fit each part to the output of the previous part, and return the features from the last part."""
        *before, last = self.steps()
        for part in before:
            inputs = standardized(part, part.fit(inputs, weights))
        return last.fit(inputs, weights)

    def steps(self) -> list[Features]:
        """Return the parts in their order."""
        return [part for part in self.parts if isinstance(part, Features)]

    def _extract(self, inputs: Tensor) -> Tensor:
        *before, last = self.steps()
        for part in before:
            inputs = standardized(part, part.extract(inputs))
        return last.extract(inputs)


def standardized(part: Features, extracted: Tensor) -> Tensor:
    """Standardise the features (N, …) that `part` extracted, on the device of `part`."""
    inputs: Tensor = part(extracted.to(part.like.device))
    return inputs
