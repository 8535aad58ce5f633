"""The columns of a table, each encoded by its place in bins."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import number, register
from deeprob.features.base import Features, FeaturesConfig
from deeprob.features.exact import Exact
from deeprob.features.linear_map import mapped
from deeprob.features.quantile import fit_table, ordered_at


@register("features", "piecewise_linear")
@dataclass(kw_only=True, slots=True)
class PiecewiseLinearConfig(FeaturesConfig):
    """Piecewise linear encoding: divide each column of a table into bins, and give the place of a value in each bin.

    A linear model then learns a function of each column that is linear in each bin, and not only one slope.

    Attributes
    ----------
    bins
        The number of bins of each column. The bins hold the same number of training examples, unless several of them
        have the same value. A column with few different values has fewer bins, and its other features are 0.
    """

    bins: int = number(16, minimum=1, maximum=4096)

    def build(self, input_shape: tuple[int, ...]) -> "PiecewiseLinear":
        """Return the feature, not yet fitted.

        Raises
        ------
        UserError
            If inputs are not rows of a table.
        """
        fit_table("piecewise_linear", input_shape)
        return PiecewiseLinear(input_shape, self.standardize, self.bins)


class Bins(Exact):
    """The place of a value x in each bin of its column: 0 if x is below the bin, 1 if x is above, linear inside.

    A bin from a to b gives (x − a) / (b − a), limited to the range from 0 to 1. The first bin has no lower limit, and
    the last bin has no upper limit. Example: with the edges 0, 1 and 3, the value 2 becomes (1, ½), the value −1
    becomes (−1, 0), and the value 5 becomes (1, 2).

    The edges are values of training examples: the smallest value, the largest value, and quantiles between them. So a
    column with the values 0 and 1 has one bin from 0 to 1, and remains what it is. If edges are equal, the bin between
    them gives 0 for all values.

    Source: Gorishniy, Rubachev & Babenko, "On embeddings for numerical features in tabular deep learning", 2022.

    Parameters
    ----------
    columns
        D, the number of columns.
    count
        T, the number of bins of each column.
    """

    exact = ("edges",)

    edges: Tensor

    def __init__(self, columns: int, count: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.zeros(columns, count + 1, dtype=torch.float64))

    def fit(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Find the edges of the bins for training values (N, D), which have the weights (N,)."""
        examples = len(values) if weights is None else round(weights.sum().item())
        shares = torch.linspace(0, 1, self.edges.shape[1], dtype=torch.float64, device=values.device)
        places = (shares * (examples - 1)).round()
        for column, edges in zip(values.T, self.edges, strict=True):
            edges.copy_(ordered_at(column, places, weights))

    def forward(self, values: Tensor) -> Tensor:
        """Return the places (B, D, T) of values (B, D) in all bins, as float64."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        place = (values.double().unsqueeze(2) - low) / torch.where(high > low, high - low, 1.0)
        least = torch.where(low == self.edges[:, :1], -torch.inf, 0.0)
        most = torch.where(high == self.edges[:, -1:], torch.inf, 1.0)
        return torch.where(high > low, place.clamp(least, most), 0.0)


class PiecewiseLinear(Features):
    """Describe each number by its place in the bins of its column (see `Bins`).

    The T features of the first column come first, then those of the second column, and so on.

    Parameters
    ----------
    input_shape
        Shape (D,) of an input.
    standardize
        See `Features`.
    bins
        T, see `PiecewiseLinearConfig`.
    """

    def __init__(self, input_shape: tuple[int, ...], standardize: str, bins: int) -> None:
        (columns,) = input_shape
        super().__init__((columns * bins,), standardize)
        self.bins = Bins(columns, bins)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Find the bins of training inputs (N, D), and return the encoded inputs."""
        self.bins.fit(inputs.to(self.like.device), weights)
        return super().fit(inputs, weights)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the encoded inputs (N, D·T)."""
        return mapped(self.bins, "encoding", self.like, inputs, self.output_shape)
