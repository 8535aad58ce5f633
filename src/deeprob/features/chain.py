"""Features of features: each sees what the one before makes of its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.config import register
from deeprob.features.base import Features
from deeprob.features.parts import PARTS, PartsConfig

_CHUNK = 4096  # examples that are in memory at each part


@register("features", "chain")
@dataclass(kw_only=True, slots=True)
class ChainConfig(PartsConfig):
    """Features one after another: the first sees the inputs, each other what the one before returned, standardised."""

    parts: list[Any] = field(default_factory=lambda: ["hog", "whiten"], metadata={"accepted": PARTS})

    def build(self, input_shape: tuple[int, ...]) -> "Chain":
        """Return the feature.

        Raises
        ------
        UserError
            For inputs that the first part cannot take, or a part that cannot take what the one before returns.
        """
        parts = []
        for config in self.features():
            parts.append(part := config.make(input_shape))
            input_shape = part.output_shape
        return Chain(parts)


class Chain(Features):
    """The composition fₙ(… f₂(f₁(x))) of features; its shape and its way to standardise are those of the last.

    Parameters
    ----------
    parts
        The features, each built for what the one before returns.
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
        """Fit each part to what those before make of the raw training inputs, and return them extracted by all."""
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
    """Return what the next part sees of what a part extracted (N, …), on the part's device."""
    inputs: Tensor = part(extracted.to(part.like.device))
    return inputs
