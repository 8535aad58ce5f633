"""The base classes of features: a part computed once per example, and standardisation computed in each batch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from deeprob.config import choice, digest, name_of
from deeprob.features.exact import Exact, narrows

STANDARDIZE = ("feature", "channel", "none")
_ROUNDING = 8
"""A constant may vary by so many units in the last place of its mean."""


@dataclass(kw_only=True, slots=True)
class FeaturesConfig:
    """Fields of every feature.

    Attributes
    ----------
    standardize
        The numbers that are standardised together to mean 0 and deviation 1. ``feature`` takes each number on its
        own, ``channel`` all numbers of a channel, ``none`` does nothing. Mean and deviation are those of the training
        split (see `Standardize`).
    """

    unchanged: ClassVar[bool] = False  # whether `extract` changes nothing, so that batches can be augmented

    standardize: str = choice("feature", among=STANDARDIZE)

    def build(self, input_shape: tuple[int, ...]) -> "Features":
        """Return the feature, not yet fitted, for raw inputs of shape `input_shape`."""
        raise AssertionError("a feature defines build()")

    def make(self, input_shape: tuple[int, ...]) -> "Features":
        """Return the result of `build`, with this config's name and hash, which identify computed features."""
        features = self.build(input_shape)
        features.name, features.unchanged = name_of(self), self.unchanged
        features.settings = f"{type(self).__qualname__} {digest(self)}"
        return features


class Standardize(Exact):
    """Shift and scale to mean 0 and standard deviation 1 over the training split.

    Parameters
    ----------
    shape
        An input's shape without the batch.
    per
        ``channel``: one mean and deviation for each entry of the first dimension (a color channel of a picture, a
        column of a table); ``feature``: one for each entry; ``none``: only convert the numbers to floats.

    Attributes
    ----------
    mean, deviation
        Float64 of the shape of an input for ``feature``, else (C, 1, …).
    near, scale, rest
        Used to standardise batches, in the batches' dtype: the rounded `mean`, the rounded `deviation`, and the
        rounding error of the mean in deviations.
    """

    exact = ("mean", "deviation")

    mean: Tensor
    deviation: Tensor
    near: Tensor
    scale: Tensor
    rest: Tensor

    def __init__(self, shape: tuple[int, ...], per: str) -> None:
        super().__init__()
        self.per = per
        kept = shape if per == "feature" else (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(kept, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(kept, dtype=torch.float64))
        for name in ("near", "scale", "rest"):
            self.register_buffer(name, torch.zeros(kept), persistent=False)
        self.register_load_state_dict_post_hook(Standardize._round)  # type: ignore[no-untyped-call]
        self._round()

    def fit(self, values: Tensor, chunk: int = 256, *, computed: bool = False) -> None:
        """Measure the training split (N, …) in double precision; a constant entry keeps deviation 1.

        An entry is constant if it varies by no more than rounding: the rounding of float64, or of the values' own dtype
        if they are `computed` in it. Each entry is first scaled to [0, 1] by its extremes, so that no square overflows
        or vanishes.
        """
        if self.per == "none":
            return
        over = (0,) if self.per == "feature" else (0, *range(2, values.dim()))
        low, high = (bound.double() for bound in (values.amin(over, keepdim=True), values.amax(over, keepdim=True)))
        extent = torch.where(high > low, high - low, 1.0)
        sums, squares = torch.zeros_like(low), torch.zeros_like(low)
        for part in torch.split(values, chunk):
            places = (part - low).div_(extent)
            sums += places.sum(over, keepdim=True)
            squares += places.square_().sum(over, keepdim=True)
        count = values.numel() // low.numel()
        share = sums / count
        mean = low + extent * share
        deviation = extent * (squares / count - share.square()).clamp(min=0).sqrt()
        dtype = values.dtype if computed and values.is_floating_point() else torch.float64
        varies = deviation > _ROUNDING * torch.finfo(dtype).eps * mean.abs()
        self.take(mean[0], torch.where(varies, deviation, 1.0)[0])

    def take(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the mean and deviation to standardise by."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self._round()

    def _round(self, _: object = None) -> None:
        """Recompute `near`, `scale` and `rest` from `mean` and `deviation`."""
        self.near.copy_(self.mean)
        self.scale.copy_(self.deviation)
        self.scale.masked_fill_(self.scale == 0, 1.0)  # a deviation too small for this dtype
        self.rest.copy_((self.near - self.mean) / self.scale)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._round()
        return self

    def forward(self, values: Tensor) -> Tensor:
        """Return standardised floats of the shape of `values` (B, …)."""
        near = self.near
        if self.per == "none":
            return values.to(near.dtype)
        if values.dtype == near.dtype:
            centred = values - near
        elif narrows(near.dtype, values):
            return ((values - self.mean) / self.deviation).to(near.dtype)
        else:
            centred = values.to(near.dtype).sub_(near)
        return torch.addcdiv(self.rest, centred, self.scale, out=centred)


class Features(nn.Module, ABC):
    """Everything between raw inputs and the model.

    `extract` runs once per example, and its results are kept. Calling the module on these results gives the model's
    inputs; this runs for each batch. All fitted values are buffers, so a run's state holds them.

    Parameters
    ----------
    output_shape
        The shape of one example after `extract`.
    standardize
        One of `STANDARDIZE`.

    Attributes
    ----------
    name, settings, unchanged
        Set by `FeaturesConfig.make`: the config's name, a hash of its values, and whether `extract` changes nothing.
    """

    name, settings = "", ""
    unchanged = False

    def __init__(self, output_shape: tuple[int, ...], standardize: str) -> None:
        super().__init__()
        self.output_shape = output_shape
        self.output_count = math.prod(output_shape)
        self.standardize = Standardize(output_shape, standardize)

    @property
    def like(self) -> Tensor:
        """A tensor with the device and the dtype of the computations."""
        return self.standardize.near

    def widened(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state of these features with `Exact` buffers as float64: earlier versions wrote float32."""
        parts = self.named_modules(remove_duplicate=False)
        exact = {f"{place}.{name}" for place, part in parts if isinstance(part, Exact) for name in part.exact}
        return {
            name: value.double() if name in exact and isinstance(value, Tensor) else value
            for name, value in state.items()
        }

    @abstractmethod
    def extract(self, inputs: Tensor) -> Tensor:
        """Return features (N, *output_shape) of raw inputs (N, …)."""

    def fit(self, inputs: Tensor) -> Tensor:
        """Learn from the raw training inputs alone, and return their features."""
        extracted = self.extract(inputs)
        self.standardize.fit(extracted, computed=extracted is not inputs)
        return extracted

    def forward(self, extracted: Tensor) -> Tensor:
        """Return the model's inputs (B, *output_shape) as floats."""
        standardized: Tensor = self.standardize(extracted)
        return standardized
