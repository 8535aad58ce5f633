"""The base classes of features and of their configs, and the standardisation of features."""

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
"""Values count as constant if their standard deviation is at most this number times machine epsilon times |mean|."""


@dataclass(kw_only=True, slots=True)
class FeaturesConfig:
    """Fields of every feature.

    `deeprob.parts.protocols` says what features have to keep.

    Attributes
    ----------
    standardize
        The rule by which features are standardised to mean 0 and standard deviation 1. ``feature`` standardises each
        number separately. ``channel`` standardises all numbers of a channel together. ``none`` does not standardise.
        Means and deviations are measured on the training split.
    """

    unchanged: ClassVar[bool] = False  # whether `extract` returns its inputs, so that batches can be augmented

    standardize: str = choice("feature", among=STANDARDIZE)

    def build(self, input_shape: tuple[int, ...]) -> "Features":
        """Return the feature, not yet fitted, for raw inputs of shape `input_shape`."""
        raise AssertionError("a feature defines build()")

    def make(self, input_shape: tuple[int, ...]) -> "Features":
        """Call `build`, set the attributes `name`, `settings` and `unchanged` of the result, and return it."""
        features = self.build(input_shape)
        features.name, features.unchanged = name_of(self), self.unchanged
        features.settings = f"{type(self).__qualname__} {digest(self)}"
        return features


class Standardize(Exact):
    """Shift and scale values so that they have mean 0 and standard deviation 1 over the training split.

    Parameters
    ----------
    shape
        The shape of one input, without the batch dimension.
    per
        The values that share one mean and one deviation. ``feature``: all values at the same position in the inputs.
        ``channel``: all values of a color channel of pictures, or of a column of a table. ``none``: values are not
        standardised, only converted to floats.

    Attributes
    ----------
    mean, deviation
        Float64 tensors. Their shape is `shape` if `per` is ``feature``, and (C, 1, …) if it is not.
    near
        `mean`, rounded to the dtype of the computations.
    scale
        `deviation`, rounded to the same dtype.
    rest
        The rounding error of `near`, divided by the deviation. It is added to standardised values as a correction.
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

    def fit(self, values: Tensor, chunk: int = 256, *, weights: Tensor | None = None, computed: bool = False) -> None:
        """Measure the mean and the deviation of the training split (N, …) in double precision.

        The deviation of constant values is set to 1. Values count as constant if their deviation is as small as
        rounding errors.

        Parameters
        ----------
        values
            The values (N, …) of the training split.
        chunk
            The number of examples that are converted to float64 together.
        weights
            The weights (N,) of the examples in both measures. None: each has the weight 1.
        computed
            Whether the values are results of a computation. If true, rounding errors are as large as in the dtype of
            the values. If false, they are as large as in float64.
        """
        if self.per == "none":
            return
        over = (0,) if self.per == "feature" else (0, *range(2, values.dim()))
        low, high = (bound.double() for bound in (values.amin(over, keepdim=True), values.amax(over, keepdim=True)))
        extent = torch.where(high > low, high - low, 1.0)
        sums, squares = torch.zeros_like(low), torch.zeros_like(low)
        count: float | Tensor = values.numel() // low.numel()
        if weights is not None:
            weights = weights.to(low).view(-1, *(1 for _ in values.shape[1:]))
            count = count * weights.mean()
        for start in range(0, len(values), chunk):
            # scaled to [0, 1], so that no square overflows or becomes 0
            places = (values[start : start + chunk] - low).div_(extent)
            factors = None if weights is None else weights[start : start + chunk]
            sums += (places if factors is None else places * factors).sum(over, keepdim=True)
            places.square_()
            squares += (places if factors is None else places.mul_(factors)).sum(over, keepdim=True)
        share = sums / count
        mean = low + extent * share
        deviation = extent * (squares / count - share.square()).clamp(min=0).sqrt()
        dtype = values.dtype if computed and values.is_floating_point() else torch.float64
        varies = deviation > _ROUNDING * torch.finfo(dtype).eps * mean.abs()
        self.take(mean[0], torch.where(varies, deviation, 1.0)[0])

    def take(self, mean: Tensor, deviation: Tensor) -> None:
        """Set `mean` and `deviation`."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self._round()

    def _round(self, _: object = None) -> None:
        """Compute `near`, `scale` and `rest` from `mean` and `deviation`."""
        self.near.copy_(self.mean)
        self.scale.copy_(self.deviation)
        self.scale.masked_fill_(self.scale == 0, 1.0)  # the deviation is too small for this dtype
        self.rest.copy_((self.near - self.mean) / self.scale)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._round()
        return self

    def forward(self, values: Tensor) -> Tensor:
        """Return the standardised values (B, …) as floats."""
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

    def restored(self, values: Tensor) -> Tensor:
        """Return the values (B, …) before standardisation, as float64. If `per` is ``none``, return `values`."""
        return values if self.per == "none" else values.double() * self.deviation + self.mean


class Features(nn.Module, ABC):
    """The base class of features, which compute the model's inputs from raw inputs.

    `extract` computes the features of each example once, and the results are kept. In each batch, `forward`
    standardises these results. All fitted values are buffers, so they are saved with a run.

    Parameters
    ----------
    output_shape
        The shape of the features of one example.
    standardize
        One of `STANDARDIZE`.

    Attributes
    ----------
    name
        The name of the config, set by `FeaturesConfig.make`.
    settings
        A hash of the config's values, set by `FeaturesConfig.make`. It identifies the features in the cache.
    unchanged
        Whether `extract` returns its inputs unchanged, set by `FeaturesConfig.make`.
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
        """A tensor that has the device and the dtype of all computations."""
        return self.standardize.near

    def widened(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of `state` in which all buffers that are named in `Exact.exact` are float64.

        Earlier versions of deeprob saved these buffers as float32.
        """
        parts = self.named_modules(remove_duplicate=False)
        exact = {f"{place}.{name}" for place, part in parts if isinstance(part, Exact) for name in part.exact}
        return {
            name: value.double() if name in exact and isinstance(value, Tensor) else value
            for name, value in state.items()
        }

    @abstractmethod
    def extract(self, inputs: Tensor) -> Tensor:
        """Return the features (N, *output_shape) of raw inputs (N, …)."""

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Fit the features to the raw training inputs (N, …), and return the features of these inputs.

        `weights` (N,) are the weights of the examples. None: each has the weight 1.
        """
        extracted = self.extract(inputs)
        self.standardize.fit(extracted, weights=weights, computed=extracted is not inputs)
        return extracted

    def forward(self, extracted: Tensor) -> Tensor:
        """Return the model's inputs: the standardised features (B, *output_shape), as floats."""
        standardized: Tensor = self.standardize(extracted)
        return standardized
