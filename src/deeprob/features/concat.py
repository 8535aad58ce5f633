"""Several features of the same inputs, joined into one row of numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.config import register
from deeprob.features.base import Features
from deeprob.features.exact import narrows
from deeprob.features.parts import PARTS, PartsConfig

_CHUNK = 4096  # number of examples per chunk; the features of one chunk are in memory twice


@register("features", "concat")
@dataclass(kw_only=True, slots=True)
class ConcatConfig(PartsConfig):
    """Several features of the same inputs, joined into one row of numbers. Each feature is standardised separately."""

    parts: list[Any] = field(default_factory=lambda: ["hog", "color_histogram"], metadata={"accepted": PARTS})

    def build(self, input_shape: tuple[int, ...]) -> "Concat":
        """Return the feature.

        Raises
        ------
        UserError
            If a part cannot take the inputs.
        """
        return Concat([config.build(input_shape) for config in self.features()])


class Concat(Features):
    """Compute several features, and join them into one row of D₁ + D₂ + … numbers per example.

    The parts may be standardised in different ways.

    Parameters
    ----------
    parts
        The features.
    """

    def __init__(self, parts: Sequence[Features]) -> None:
        super().__init__((sum(part.output_count for part in parts),), "feature")
        self.parts = nn.ModuleList(parts)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the features (N, D₁ + D₂ + …) of raw inputs (N, …)."""
        whole = self._empty_for(inputs)
        for start in range(0, len(inputs), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for part, columns in self._columns(whole[chunk]):
                columns.copy_(part.extract(inputs[chunk]).flatten(1))
        return whole

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Fit each part to the raw training inputs, and return the features of these inputs."""
        whole = self._empty_for(inputs)
        means, deviations = [], []
        for part, columns in self._columns(whole):
            extracted = part.fit(inputs, weights)
            columns.copy_(extracted.flatten(1))
            means.append(part.standardize.mean.expand(extracted.shape[1:]).flatten())
            deviations.append(part.standardize.deviation.expand(extracted.shape[1:]).flatten())
        self.standardize.take(torch.cat(means), torch.cat(deviations))
        return whole

    def _columns(self, whole: Tensor) -> Iterator[tuple[Features, Tensor]]:
        """Yield each part, and the columns (N, D) of `whole` for the features of this part."""
        start = 0
        for part in self.parts:
            assert isinstance(part, Features)
            yield part, whole[:, start : start + part.output_count]
            start += part.output_count

    def _empty_for(self, inputs: Tensor) -> Tensor:
        """Return a tensor (N, D₁ + D₂ + …) with undefined values, for the features of all parts.

        Its dtype is float64 if a conversion of the inputs to the usual dtype may lose digits.
        """
        dtype = torch.float64 if narrows(self.like.dtype, inputs) else self.like.dtype
        return torch.empty((len(inputs), self.output_count), dtype=dtype, device=self.like.device)
