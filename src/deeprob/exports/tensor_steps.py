"""The steps before the model, as modules of plain tensor operations that programs without deeprob can run.

Each step takes numbers (B, D) and returns numbers (B, K). It gives the same results as the feature that it stands for,
which is written for whole datasets: in chunks, with a progress bar, and with searches that ONNX does not have.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deeprob.data.encoding import CategoryInput, Encoding
from deeprob.features import Standardize
from deeprob.features.piecewise_linear import Bins
from deeprob.features.quantile import EDGE, Quantile
from deeprob.features.steps import LUMA


class Step(nn.Module):
    """A step before the model, with the numbers of its inputs and outputs.

    Attributes
    ----------
    inputs, outputs
        D and K.
    """

    def __init__(self, inputs: int, outputs: int, **buffers: Tensor) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        for name, values in buffers.items():
            self.register_buffer(name, values.detach().clone())


NUMBER, LEVEL, OTHER, EMPTY = range(4)
"""What an input of an encoded table holds: a number, or whether a cell is of a level, of no known level, or missing."""


class Encode(Step):
    """The columns of a table become inputs of the network (see `Encoding`).

    A row (K,) has one number for each column: the number itself, or the place of the level in `CategoryInput.levels`.
    Any other place is a level that no training row has, and NaN is a missing cell.
    """

    source: Tensor
    kind: Tensor
    level: Tensor
    fill: Tensor
    levels: Tensor
    own_missing: Tensor

    def __init__(self, encoding: Encoding) -> None:
        rows: list[tuple[int, int, int, float, int, bool]] = []  # source, kind, level, fill, levels, own_missing
        for place, column in enumerate(encoding.inputs):
            if isinstance(column, CategoryInput):
                count = len(column.levels)
                rows += [(place, LEVEL, level, 0, count, column.missing) for level in range(count)]
                rows += [(place, OTHER, 0, 0, count, column.missing)] * bool(column.pooled)
                rows += [(place, EMPTY, 0, 0, count, column.missing)] * column.missing
            else:
                rows.append((place, NUMBER, 0, column.mean if column.fill else math.nan, 0, False))
                rows += [(place, EMPTY, 0, 0, 0, False)] * column.indicator
        source, kind, level, fill, levels, own = zip(*rows, strict=True)
        super().__init__(
            len(encoding.inputs),
            len(rows),
            source=torch.tensor(source),
            kind=torch.tensor(kind),
            level=torch.tensor(level, dtype=torch.float64),
            fill=torch.tensor(fill, dtype=torch.float64),
            levels=torch.tensor(levels, dtype=torch.float64),
            own_missing=torch.tensor(own),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the encoded rows."""
        cells = values.index_select(1, self.source)
        empty = cells.isnan()
        known = (cells == cells.floor()) & (cells >= 0) & (cells < self.levels)
        other = ~known & ~(empty & self.own_missing)
        encoded = torch.where(empty, self.fill, cells)
        for kind, holds in ((LEVEL, cells == self.level), (OTHER, other), (EMPTY, empty)):
            encoded = torch.where(self.kind == kind, holds.to(values.dtype), encoded)
        return encoded


class Scale(Step):
    """Shift and scale each number (see `Standardize`). The results are float32."""

    mean: Tensor
    deviation: Tensor
    near: Tensor
    scale: Tensor
    rest: Tensor

    def __init__(self, standardize: Standardize, shape: tuple[int, ...]) -> None:
        whole = {name: value.expand(shape).flatten() for name, value in standardize.named_buffers()}
        super().__init__(math.prod(shape), math.prod(shape), **whole)

    def forward(self, values: Tensor) -> Tensor:
        """Return the standardised values."""
        if values.dtype == torch.float64:
            return ((values - self.mean) / self.deviation).float()
        return (values.float() - self.near) / self.scale + self.rest


class Project(Step):
    """The linear map (x − x̄) M with a matrix M (D, K): principal axes, or whitening."""

    mean: Tensor
    near: Tensor
    rest: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        near = mean.float()
        super().__init__(
            *matrix.shape, mean=mean.double(), near=near, rest=(mean - near).float(), matrix=matrix.float()
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the projections."""
        if values.dtype == torch.float64:
            return (values - self.mean).float() @ self.matrix
        return (values.float() - self.near - self.rest) @ self.matrix


class PolarCoordinates(Step):
    """The radius and the angle of points of the plane (see `deeprob.features.polar.Polar`)."""

    def __init__(self) -> None:
        super().__init__(2, 2)

    def forward(self, values: Tensor) -> Tensor:
        """Return r and θ."""
        x, y = values[:, 0].float(), values[:, 1].float()
        return torch.stack([(x * x + y * y).sqrt(), torch.atan2(y, x)], 1)


class QuantileShares(Step):
    """The share of training values below each value, or the normal quantile of this share (see `Quantile`).

    The search for a value among the sorted quantiles halves the range in each of its steps.
    """

    padded: Tensor
    quantiles: Tensor
    shares: Tensor
    first: Tensor
    bounds: Tensor

    def __init__(self, quantile: Quantile) -> None:
        quantiles = quantile.shares.quantiles
        columns, count = quantiles.shape
        size = 1 << count.bit_length()  # 2^k > Q
        padded = torch.full((columns, size), math.inf, dtype=torch.float64)
        padded[:, :count] = quantiles
        super().__init__(
            columns,
            columns,
            padded=padded.flatten(),
            quantiles=quantiles,
            shares=quantile.shares.shares,
            first=torch.arange(columns) * size,
            bounds=torch.tensor([EDGE, 1 - EDGE], dtype=torch.float64),  # as a number, ONNX would round it to float32
        )
        self.size = size
        self.normal = quantile.distribution == "normal"

    def _count(self, values: Tensor, *, equal: bool) -> Tensor:
        """Return how many quantiles (B, D) are smaller than each value, or smaller or equal."""
        found = torch.zeros_like(values, dtype=torch.int64)
        step = self.size // 2
        while step:
            known = self.padded[self.first + found + (step - 1)]
            found = found + step * (known <= values if equal else known < values)
            step //= 2
        return found

    def forward(self, values: Tensor) -> Tensor:
        """Return the shares or their normal quantiles, as float32."""
        values = values.double()
        above = self._count(values, equal=False).clamp(max=len(self.shares) - 1)
        below = (self._count(values, equal=True) - 1).clamp(min=0)
        low, high = self.padded[self.first + below], self.padded[self.first + above]
        apart = high > low
        place = torch.where(apart, (values - low) / torch.where(apart, high - low, 1.0), 0.5)
        lower, upper = self.shares[below], self.shares[above]
        shares = lower + place * (upper - lower)
        shares = torch.where(self.quantiles[:, 0] < self.quantiles[:, -1], shares, 0.5)
        if self.normal:
            shares = normal_quantile(torch.minimum(torch.maximum(shares, self.bounds[0]), self.bounds[1]))
        return shares.float()


class BinPlaces(Step):
    """The place of each value in the bins of its column (see `Bins`)."""

    low: Tensor
    extent: Tensor
    least: Tensor
    most: Tensor
    wide: Tensor

    def __init__(self, bins: Bins) -> None:
        edges = bins.edges
        low, high = edges[:, :-1], edges[:, 1:]
        wide = high > low
        super().__init__(
            len(edges),
            low.numel(),
            low=low,
            extent=torch.where(wide, high - low, 1.0),
            least=torch.where(low == edges[:, :1], -math.inf, 0.0),
            most=torch.where(high == edges[:, -1:], math.inf, 1.0),
            wide=wide,
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the places, as float32."""
        place = (values.double()[:, :, None] - self.low) / self.extent
        inside = torch.minimum(torch.maximum(place, self.least), self.most)
        return torch.where(self.wide, inside, 0.0).flatten(1).float()


class Grey(Step):
    """The brightness of pictures with levels from 0 to 255, rounded (see `deeprob.features.steps.grayscale`)."""

    weights: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        weights = torch.tensor(LUMA if channels == 3 else [1 / channels] * channels)
        super().__init__(channels * height * width, height * width, weights=weights.double()[:, None])

    def forward(self, values: Tensor) -> Tensor:
        """Return the brightness (B, H·W) of pictures (B, C·H·W)."""
        channels = values.double().view(-1, len(self.weights), self.outputs)
        return (channels * self.weights).sum(1).round().float()


class Side(Step):
    """Several rows of steps for the same inputs, whose results are joined."""

    def __init__(self, rows: Sequence[Sequence[Step]], inputs: int) -> None:
        super().__init__(inputs, sum(row[-1].outputs if row else inputs for row in rows))
        self.rows = nn.ModuleList(nn.Sequential(*row) for row in rows)

    def forward(self, values: Tensor) -> Tensor:
        """Return the results of all rows, side by side."""
        found = [row(values) for row in self.rows]
        dtype = torch.float64 if any(part.dtype == torch.float64 for part in found) else torch.float32
        return torch.cat([part.to(dtype) for part in found], 1)


class Units(Step):
    """Predicted numbers in the units of the dataset, as float64 (see `Standardize.restored`)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, scale: Standardize) -> None:
        count = scale.mean.numel()
        super().__init__(count, count, mean=scale.mean, deviation=scale.deviation)

    def forward(self, values: Tensor) -> Tensor:
        """Return the numbers."""
        return values.double() * self.deviation + self.mean


NEAR = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
FAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
"""Coefficients of `normal_quantile`: numerator and denominator, for p near ½ and for p far from it."""


def normal_quantile(p: Tensor) -> Tensor:
    """Return z with Φ(z) = p, for 1.4e-11 ≤ p ≤ 1 − 1.4e-11 (Wichura, "Algorithm AS241", 1988).

    ``torch.special.ndtri`` is the same function, but has no counterpart in ONNX.
    """

    def ratio(r: Tensor, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
        above, below = (torch.zeros_like(r) for _ in range(2))
        for over, under in zip(*coefficients, strict=True):
            above, below = above * r + over, below * r + under
        return above / below

    q = p - 0.5
    near = q * ratio(0.180625 - q * q, NEAR)
    far = ratio((-torch.minimum(p, 1 - p).log()).sqrt() - 1.6, FAR)
    return torch.where(q.abs() <= 0.425, near, torch.where(q < 0, -far, far))
