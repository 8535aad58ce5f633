"""The columns of a table, each mapped to a normal or uniform distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import choice, number, register
from deeprob.errors import UserError
from deeprob.features.base import Features, FeaturesConfig
from deeprob.features.exact import Exact
from deeprob.features.linear_map import mapped

DISTRIBUTIONS = ("normal", "uniform")
EDGE = 1e-7
"""A share is at least this number and at most 1 minus this number before it is mapped to the normal distribution."""


@register("features", "quantile")
@dataclass(kw_only=True, slots=True)
class QuantileConfig(FeaturesConfig):
    """Quantile transformation: map each column of a table to a normal distribution.

    The order of the values in a column is kept, but not their distances. So a few very large values do no harm.

    Attributes
    ----------
    quantiles
        The number of quantiles of a column that are stored. Values between two quantiles are interpolated. If the
        training split has fewer examples, there are as many quantiles as examples.
    distribution
        The distribution of a column after the transformation. ``normal`` is the standard normal distribution.
        ``uniform`` is the uniform distribution from 0 to 1.
    """

    quantiles: int = number(1000, minimum=2, maximum=100_000)
    distribution: str = choice("normal", among=DISTRIBUTIONS)

    def build(self, input_shape: tuple[int, ...]) -> "Quantile":
        """Return the feature, not yet fitted.

        Raises
        ------
        UserError
            If inputs are not rows of a table.
        """
        fit_table("quantile", input_shape)
        return Quantile(input_shape, self.standardize, self.quantiles, self.distribution)


def fit_table(name: str, input_shape: tuple[int, ...]) -> None:
    """Raise a `UserError` if inputs are not rows (D,) of a table. `name` is the feature that needs them."""
    if len(input_shape) != 1:
        raise UserError(f"features={name} needs the columns of a table, not inputs of shape {list(input_shape)}")


def ordered_at(values: Tensor, places: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the values at some places of the sorted list in which each value stands as often as its weight says.

    Parameters
    ----------
    values
        The values (N,).
    places
        Whole numbers (Q,) from 0 to the sum of the weights minus 1.
    weights
        The weights (N,); None for ones. A value of weight 2½ takes two and a half places.

    Returns
    -------
    Tensor
        (Q,) float64. Example: the values 5 and 7 with the weights 2 and 1 are the list 5, 5, 7.
    """
    ordered, order = values.double().sort()
    if weights is None:
        return ordered[places.long()]
    ends = weights.to(ordered)[order].cumsum(0)
    return ordered[torch.searchsorted(ends, places, right=True).clamp(max=len(values) - 1)]


class ColumnQuantiles(Exact):
    """The share of training values below a value, for each column: the empirical distribution function.

    The function is linear between the stored quantiles. A value that several training examples have gets the middle of
    its range. Example: the training values 1, 2, 2, 3 and 5 have the shares 0, ¼, ½, ¾ and 1. So 1.5 gets ⅛, and 2 gets
    ⅜, the middle between ¼ and ½. Values outside the range of the training values get 0 or 1. A column that is constant
    in the training split gets ½.

    Parameters
    ----------
    columns
        D, the number of columns.
    count
        Q, the number of quantiles. If there are fewer training examples, the last quantile is repeated.
    """

    exact = ("quantiles", "shares")

    quantiles: Tensor
    shares: Tensor

    def __init__(self, columns: int, count: int) -> None:
        super().__init__()
        self.register_buffer("quantiles", torch.zeros(columns, count, dtype=torch.float64))
        self.register_buffer("shares", torch.ones(count, dtype=torch.float64))

    def fit(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Measure the quantiles of the training values (N, D), which have the weights (N,)."""
        examples = len(values) if weights is None else round(weights.sum().item())
        count = min(examples, len(self.shares))
        self.shares.fill_(1.0)[:count] = torch.linspace(0, 1, count, dtype=torch.float64)
        places = self.shares * (examples - 1)
        for column, quantiles in zip(values.T, self.quantiles, strict=True):
            low, high = (ordered_at(column, at, weights) for at in (places.floor(), places.ceil()))
            quantiles.copy_(torch.lerp(low, high, places.frac()).cummax(0).values)

    def forward(self, values: Tensor) -> Tensor:
        """Return the shares (B, D) of values (B, D), as float64."""
        columns = values.T.double().contiguous()
        above = torch.searchsorted(self.quantiles, columns)  # the first quantile that is not smaller
        below = torch.searchsorted(self.quantiles, columns, right=True) - 1  # the last quantile that is not larger
        above, below = above.clamp(max=len(self.shares) - 1), below.clamp(min=0)
        low, high = self.quantiles.gather(1, below), self.quantiles.gather(1, above)
        place = torch.where(high > low, (columns - low) / (high - low), 0.5)
        shares = torch.lerp(self.shares[below], self.shares[above], place)
        return torch.where(self.quantiles[:, :1] < self.quantiles[:, -1:], shares, 0.5).T


class Quantile(Features):
    """Map each column to a normal or uniform distribution, through the shares of `ColumnQuantiles`.

    With ``distribution=normal``, a value whose share is p becomes z with Φ(z) = p, where Φ is the distribution function
    of the normal distribution. Values are at least −5.2 and at most 5.2. A constant column becomes 0.

    Scikit-learn's ``QuantileTransformer`` is the same, with one exception: if several training examples have the
    smallest or the largest value of a column, scikit-learn gives this value the share 0 or 1, and not the middle.

    Parameters
    ----------
    input_shape
        Shape (D,) of an input.
    standardize
        See `Features`.
    quantiles, distribution
        See `QuantileConfig`.
    """

    def __init__(self, input_shape: tuple[int, ...], standardize: str, quantiles: int, distribution: str) -> None:
        super().__init__(input_shape, standardize)
        self.distribution = distribution
        self.shares = ColumnQuantiles(self.output_count, quantiles)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Measure the quantiles of training inputs (N, D), and return these inputs transformed."""
        self.shares.fit(inputs.to(self.like.device), weights)
        return super().fit(inputs, weights)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the transformed inputs (N, D)."""
        return mapped(self._transformed, "finding quantiles", self.like, inputs, self.output_shape)

    def _transformed(self, rows: Tensor) -> Tensor:
        shares: Tensor = self.shares(rows)
        if self.distribution == "uniform":
            return shares
        scores: Tensor = torch.special.ndtri(shares.clamp(EDGE, 1 - EDGE))
        return scores
