"""Weights of classes, so that the examples of a rare class count more than the examples of a frequent class."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from deeprob.config.schema import Accepted


def is_valid(value: Any) -> bool:
    """Return whether a value is ``none``, ``balanced``, or a list of positive numbers."""
    if not isinstance(value, list):
        return value in ("none", "balanced")
    return len(value) > 0 and all(type(item) in (int, float) and 0 < item < math.inf for item in value)


ACCEPTED = Accepted(is_valid, "none, balanced, or a list of numbers greater than 0, one per class, as in [1,5]")
"""The values that ``loss.class_weights`` accepts."""


def scaled_to_mean_1(weights: str | Sequence[float], counts: Tensor) -> Tensor:
    """Return the weights w (C,) of the classes, scaled such that their mean over the training examples is 1.

    Parameters
    ----------
    weights
        C numbers, or ``balanced``. ``balanced`` means w_c = N / (K·n_c), where n_c is the number of training examples
        of class c, N is the number of all training examples, and K is the number of classes that have any. A class
        without training examples counts as a class with one example.
    counts
        The number of training examples per class (C,), or the sum of their weights.

    Returns
    -------
    Tensor
        The weights as float64, on the device of `counts`. Example: 3 and 1 examples have the balanced weights ⅔ and 2.
    """
    counts = counts.double()
    unscaled = 1 / counts.masked_fill(counts == 0, 1.0) if isinstance(weights, str) else counts.new_tensor(weights)
    return unscaled * (counts.sum() / (unscaled * counts).sum())
