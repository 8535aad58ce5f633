"""What every feature has: a part computed once an example, and standardisation computed once a batch."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deeprob.config import choice, digest, name_of

STANDARDIZE = ("feature", "channel", "none")


@dataclass(kw_only=True, slots=True)
class FeaturesConfig:
    """Fields of every feature: what `standardize` takes a mean and a deviation of (see `Standardize`)."""

    unchanged: ClassVar[bool] = False  # whether inputs pass as they are, so that they can be augmented batch by batch

    standardize: str = choice("feature", among=STANDARDIZE)

    def build(self, input_shape: tuple[int, ...]) -> "Features":
        """Return the feature, not yet fitted, for raw inputs of a shape."""
        raise AssertionError("a feature defines build()")

    def make(self, input_shape: tuple[int, ...]) -> "Features":
        """Return what `build` does, with a note of this config, by which computed features are kept and found."""
        features = self.build(input_shape)
        features.name, features.unchanged = name_of(self), self.unchanged
        features.settings = f"{type(self).__qualname__} {digest(self)}"
        return features


class Standardize(nn.Module):
    """Shift and scale to mean 0 and standard deviation 1 over the training split.

    Parameters
    ----------
    shape
        An input's shape without the batch.
    per
        ``channel``: one mean and deviation for each entry of the first dimension (a color channel of a picture, a
        column of a table); ``feature``: one for each entry; ``none``: leave the numbers alone, only make them floats.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...], per: str) -> None:
        super().__init__()
        self.per = per
        kept = shape if per == "feature" else (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(kept))
        self.register_buffer("deviation", torch.ones(kept))

    def fit(self, values: Tensor, chunk: int = 1024) -> None:
        """Measure the training split (N, …); a constant entry keeps deviation 1.

        Means and variances of chunks are put together by the law of total variance, in double precision.
        """
        if self.per == "none":
            return
        over = (0,) if self.per == "feature" else (0, *range(2, values.dim()))
        parts = torch.split(values, chunk)
        share = torch.tensor([len(part) / len(values) for part in parts], dtype=torch.float64)
        share = share.reshape(-1, *(1 for _ in self.mean.shape))
        measured = [
            torch.var_mean(part if part.is_floating_point() else part.float(), over, correction=0, keepdim=True)
            for part in parts
        ]
        variances, means = (torch.cat(column).double().cpu() for column in zip(*measured, strict=True))
        mean = (share * means).sum(0)
        deviation = (share * (variances + (means - mean).square())).sum(0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6 * mean.abs(), deviation, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        """Return floats of the shape of `values` (B, …)."""
        floats = values.to(self.mean.dtype)
        if self.per == "none":
            return floats
        centred = floats - self.mean if floats is values else floats.sub_(self.mean)  # a fresh copy may be overwritten
        return centred.div_(self.deviation)


class Features(nn.Module, ABC):
    """Everything between raw inputs and the model.

    `extract` is computed once an example and kept; the module itself, called on what `extract` returned, is computed
    once a batch. Both together are what the model sees. All that is fitted lies in buffers, so the state of a run
    holds it.

    Parameters
    ----------
    output_shape
        The shape of one example after `extract`.
    standardize
        One of `STANDARDIZE`.

    Attributes
    ----------
    name, settings, unchanged
        The option's name, a hash of its values, and whether inputs pass as they are: of the config
        whose `FeaturesConfig.make` made it.
    """

    name, settings = "", ""
    unchanged = False

    def __init__(self, output_shape: tuple[int, ...], standardize: str) -> None:
        super().__init__()
        self.output_shape = output_shape
        self.output_count = math.prod(output_shape)
        self.standardize = Standardize(output_shape, standardize)

    @abstractmethod
    def extract(self, inputs: Tensor) -> Tensor:
        """Return (N, *output_shape) from raw inputs (N, …)."""

    def fit(self, inputs: Tensor) -> Tensor:
        """Learn from the raw training inputs alone, and return them extracted."""
        extracted = self.extract(inputs)
        self.standardize.fit(extracted)
        return extracted

    def forward(self, extracted: Tensor) -> Tensor:
        """Return the model's inputs (B, *output_shape) as floats."""
        standardized: Tensor = self.standardize(extracted)
        return standardized
