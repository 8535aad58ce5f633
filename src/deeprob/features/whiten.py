"""Whitening of whole inputs, for any model."""

from dataclasses import dataclass

from torch import Tensor

from deeprob.config import choice, number, register
from deeprob.features.base import Features, FeaturesConfig
from deeprob.features.covariance import MOST, MOST_TO_FACTOR, fit_covariance
from deeprob.features.linear_map import mapped
from deeprob.features.whitening import METHODS, Whitening


@register("features", "whiten")
@dataclass(kw_only=True, slots=True)
class WhitenConfig(FeaturesConfig):
    """Whitening: a linear map that makes inputs uncorrelated, with similar variances.

    Attributes
    ----------
    epsilon
        A number that is added to the variance along each principal axis. It is given as a multiple of the mean
        variance. With a larger number, axes with little variance are amplified less.
    method
        The method of whitening. ``zca`` changes inputs as little as possible, so whitened pictures still look like
        pictures. ``cholesky`` gives the same result up to a rotation. If an input has thousands of numbers, it takes
        seconds instead of minutes. For a linear model with L2 regularization, both methods are equivalent.
    """

    epsilon: float = number(0.1, above=0)
    method: str = choice("zca", among=METHODS)

    def build(self, input_shape: tuple[int, ...]) -> "Whiten":
        """Return the feature, not yet fitted.

        Raises
        ------
        UserError
            If inputs have too many numbers.
        """
        fit_covariance("whiten", input_shape, MOST if self.method == "zca" else MOST_TO_FACTOR)
        return Whiten(input_shape, self.standardize, self.epsilon, self.method)


class Whiten(Features):
    """Whiten inputs (see `Whitening`), and keep their shape.

    Parameters
    ----------
    input_shape
        Shape of an input.
    standardize
        See `Features`.
    epsilon, method
        See `WhitenConfig`.
    """

    def __init__(self, input_shape: tuple[int, ...], standardize: str, epsilon: float, method: str) -> None:
        super().__init__(input_shape, standardize)
        self.epsilon = epsilon
        self.whitening = Whitening(self.output_count, method)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Fit the map to training inputs (N, …), and return the whitened inputs."""
        self.whitening.fit(inputs.flatten(1).to(self.like.device), self.epsilon, weights)
        return super().fit(inputs, weights)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the whitened inputs (N, …), in the same shape."""
        return mapped(self.whitening, "whitening", self.like, inputs, inputs.shape[1:])
