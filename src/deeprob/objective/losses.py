"""Data losses: what one example costs, L_i(f(x_i, W), y_i)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from deeprob.config import register


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """A loss's fields are its own."""

    def build(self) -> "Loss":
        """Return the loss."""
        raise AssertionError("a loss defines build()")


class Loss(ABC):
    """A function of scores and targets, each example on its own."""

    @abstractmethod
    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,) of scores (B, C) and class numbers (B,)."""


@register("loss", "cross_entropy")
@dataclass(kw_only=True, slots=True)
class CrossEntropyConfig(LossConfig):
    """Softmax and negative log-likelihood."""

    def build(self) -> "CrossEntropy":
        """Return the loss."""
        return CrossEntropy()


class CrossEntropy(Loss):
    """L_i = −s_y + log Σ_j exp(s_j): with C equal scores it is ln C."""

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        return F.cross_entropy(scores, targets, reduction="none")
