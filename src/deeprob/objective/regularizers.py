"""Regularizers: R(W), what the weights themselves cost."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import number, register


@dataclass(kw_only=True, slots=True)
class RegularizerConfig:
    """A regularizer's fields are its own."""

    def build(self) -> "Regularizer":
        """Return the regularizer."""
        raise AssertionError("a regularizer defines build()")


class Regularizer(ABC):
    """A function of the weight matrices (never of biases or of a norm's parameters)."""

    @abstractmethod
    def __call__(self, weights: Iterable[Tensor]) -> Tensor | None:
        """Return λR(W) as a 0-d tensor, None for no regularization at all."""


@register("regularizer", "none")
@dataclass(kw_only=True, slots=True)
class NoneConfig(RegularizerConfig):
    """Nothing but the data loss."""

    def build(self) -> "NoRegularizer":
        """Return the regularizer."""
        return NoRegularizer()


class NoRegularizer(Regularizer):
    """R(W) = 0."""

    def __call__(self, weights: Iterable[Tensor]) -> None:
        """Return None."""


@register("regularizer", "l2")
@dataclass(kw_only=True, slots=True)
class L2Config(RegularizerConfig):
    """Ridge: λ ΣW² with `strength` λ."""

    strength: float = number(1e-3, minimum=0)

    def build(self) -> "L2":
        """Return the regularizer."""
        return L2(self.strength)


class L2(Regularizer):
    """λR(W) = λ Σ W², without ½: its gradient is 2λW, that of ``weight_decay = 2λ`` for plain SGD."""

    def __init__(self, strength: float | Tensor) -> None:
        self.strength = strength

    def __call__(self, weights: Iterable[Tensor]) -> Tensor:
        """Return λR(W); the lecture's w₁ = [1, 0, 0, 0] has R = 1, w₂ = [¼, ¼, ¼, ¼] has R = ¼."""
        return self.strength * torch.stack([weight.square().sum() for weight in weights]).sum()
