"""Principal components: project inputs onto the few directions in which they vary most."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import number, register
from deeprob.errors import UserError
from deeprob.features.base import Features, FeaturesConfig
from deeprob.features.covariance import axes, fit_covariance, moments
from deeprob.features.exact import Exact, centred
from deeprob.features.linear_map import mapped


@register("features", "pca")
@dataclass(kw_only=True, slots=True)
class PcaConfig(FeaturesConfig):
    """Principal component analysis (PCA): project inputs onto the axes of largest variance.

    ``standardize=feature`` scales each component to variance 1; ``none`` keeps the variances.

    Attributes
    ----------
    components
        The number of principal axes that are kept. These are the axes with the largest variances.
    """

    components: int = number(64, minimum=1)

    def build(self, input_shape: tuple[int, ...]) -> "Pca":
        """Return the feature, not yet fitted.

        Raises
        ------
        UserError
            If inputs have too many numbers, or fewer than `components`.
        """
        fit_components("pca", self.components, fit_covariance("pca", input_shape), "inputs")
        return Pca(input_shape, self.standardize, self.components)


def fit_components(name: str, components: int, count: int, what: str) -> None:
    """Raise a `UserError` if `components` is larger than `count`, the number of columns of the data."""
    if components > count:
        raise UserError(
            f"features={name} components={components}: {what} have {count} numbers, so components is at most {count}"
        )


class PrincipalAxes(Exact):
    """The projection z = Vᵀ (x − x̄) onto the first K principal axes, which are the columns of V (D, K).

    Example: if all points lie on one line, K = 1 keeps the distances between the points. Source: Pearson, "On lines and
    planes of closest fit to systems of points in space", 1901.

    Parameters
    ----------
    count
        D, the number of columns.
    components
        K, the number of axes.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, count: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("matrix", torch.eye(count, components))

    def fit(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Find the principal axes of rows (N, D), which have the weights (N,).

        Along an axis where the variance is as small as rounding errors, the components z are always 0.
        """
        mean, covariance = moments(values, self.matrix.dtype, weights)
        variances, vectors = axes(covariance)
        rounding = torch.finfo(self.matrix.dtype).eps * variances[0]
        self.mean.copy_(mean)
        self.matrix.copy_(torch.where(variances > rounding, vectors, 0.0)[:, : self.matrix.shape[1]])

    def forward(self, values: Tensor) -> Tensor:
        """Return the components z (…, K) of rows (…, D)."""
        return centred(values, self.mean, self.matrix.dtype) @ self.matrix


class Pca(Features):
    """Project inputs onto the principal axes of the training inputs.

    Parameters
    ----------
    input_shape
        Shape of an input.
    standardize
        See `Features`.
    components
        See `PcaConfig`.
    """

    def __init__(self, input_shape: tuple[int, ...], standardize: str, components: int) -> None:
        super().__init__((components,), standardize)
        self.projection = PrincipalAxes(torch.Size(input_shape).numel(), components)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Find the principal axes of training inputs (N, …), and return the components of these inputs."""
        self.projection.fit(inputs.flatten(1).to(self.like.device), weights)
        return super().fit(inputs, weights)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the components (N, K) of inputs (N, …)."""
        return mapped(self.projection, "projecting", self.like, inputs, (self.output_count,))
