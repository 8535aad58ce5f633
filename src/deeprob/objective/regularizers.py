"""Regularizers R(W): penalties on the weights."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.config import number, register


@dataclass(kw_only=True, slots=True)
class RegularizerConfig:
    """Base class of regularizer configs; each regularizer adds its own fields.

    `deeprob.parts.protocols` says what a regularizer has to keep.
    """

    def build(self) -> "Regularizer":
        """Return the regularizer. If a regularizer does not define this method, it defines `penalty`."""
        return RegularizerOf(self.penalty)

    def penalty(self, weights: Iterable[Tensor]) -> Tensor:
        """Return λR(W) as a 0-d tensor (see `Regularizer.__call__`)."""
        raise AssertionError("a regularizer defines penalty() or build()")

    @property
    def has_proximal_step(self) -> bool:
        """Whether the regularizer changes the weights in a separate step after each update."""
        return False

    @property
    def selects(self) -> bool:
        """Whether the regularizer can make weights exactly 0. If so, runs report the share of such weights."""
        return False


class Regularizer(ABC):
    """A penalty on the weight matrices, but not on biases or on the parameters of norm layers.

    Attributes
    ----------
    numbers
        The names of the attributes that are numbers. When several runs train together as one stack, such an attribute
        may be a tensor with one number per run.
    """

    numbers: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, weights: Iterable[Tensor]) -> Tensor | None:
        """Return λR(W) as a 0-d tensor; return None if there is no regularization."""

    def with_gradient(self, weights: Tensor, gradient: Tensor) -> Tensor | None:
        """Return λR(W), and add its gradient to `gradient`.

        Parameters
        ----------
        weights
            All weights of one run (P,), or of R runs (R, P). For R runs, the attributes in `numbers` may be columns
            (R, 1).
        gradient
            The gradient of L by these weights, changed in place.

        Returns
        -------
        Tensor or None
            λR(W): 0-d, or (R,) for R runs. None if there is no regularization. If a regularizer does not define this
            method, autograd computes the gradient.
        """
        raise AssertionError("a regularizer with a formula defines with_gradient()")

    @property
    def has_formula(self) -> bool:
        """Whether the regularizer defines `with_gradient`."""
        return type(self).with_gradient is not Regularizer.with_gradient

    def shrink(self, weight: Tensor, lr: float | Tensor) -> Tensor:
        """Return a weight matrix after the separate (proximal) step with learning rate `lr`.

        The base class returns the matrix unchanged.
        """
        return weight


class RegularizerOf(Regularizer):
    """The regularizer that a function of the weight matrices computes. Autograd computes its gradient."""

    def __init__(self, function: Callable[[Iterable[Tensor]], Tensor]) -> None:
        self._function = function

    def __call__(self, weights: Iterable[Tensor]) -> Tensor:
        """Return λR(W)."""
        return self._function(weights)


@register("regularizer", "none")
@dataclass(kw_only=True, slots=True)
class NoneConfig(RegularizerConfig):
    """No regularization: L(W) is equal to the data loss."""

    def build(self) -> "NoRegularizer":
        """Return the regularizer."""
        return NoRegularizer()


class NoRegularizer(Regularizer):
    """R(W) = 0."""

    def __call__(self, weights: Iterable[Tensor]) -> None:
        """Return None."""

    def with_gradient(self, weights: Tensor, gradient: Tensor) -> None:
        """Return None. The gradient does not change."""


@register("regularizer", "l2")
@dataclass(kw_only=True, slots=True)
class L2Config(RegularizerConfig):
    """L2 (ridge): λ ΣW² with `strength` λ.

    Attributes
    ----------
    strength
        The strength λ of the penalty. It acts on weights, not on biases.
    """

    strength: float = number(1e-3, minimum=0)

    def build(self) -> "ElasticNet":
        """Return the regularizer."""
        return ElasticNet(0.0, self.strength)


@register("regularizer", "l1")
@dataclass(kw_only=True, slots=True)
class L1Config(RegularizerConfig):
    """L1 (lasso): λ Σ|W| with `strength` λ.

    Attributes
    ----------
    strength
        The strength λ of the penalty. It acts on weights, not on biases.
    proximal
        Whether L1 acts in a separate step after each update. This step moves every weight toward 0 by a small
        constant and makes small weights exactly 0. If false, L1 acts through the gradient.
    """

    strength: float = number(1e-3, minimum=0)
    proximal: bool = False

    def build(self) -> "ElasticNet":
        """Return the regularizer."""
        return ElasticNet(self.strength, 0.0, self.proximal)

    @property
    def has_proximal_step(self) -> bool:
        """Whether the L1 term acts in a separate step after each update."""
        return self.proximal

    @property
    def selects(self) -> bool:
        """True: L1 makes weights exactly 0 (with `proximal`) or nearly 0 (without)."""
        return True


@register("regularizer", "elastic_net")
@dataclass(kw_only=True, slots=True)
class ElasticNetConfig(RegularizerConfig):
    """Elastic net: λ(ρ Σ|W| + (1 − ρ) ΣW²) with `strength` λ and `l1_ratio` ρ.

    Attributes
    ----------
    strength
        The strength λ of the penalty. It acts on weights, not on biases.
    l1_ratio
        The share ρ of the L1 penalty. 1 means L1 only, and 0 means L2 only.
    proximal
        Whether L1 acts in a separate step after each update. This step moves every weight toward 0 by a small
        constant and makes small weights exactly 0. If false, L1 acts through the gradient.
    """

    strength: float = number(1e-3, minimum=0)
    l1_ratio: float = number(0.5, minimum=0, maximum=1)
    proximal: bool = False

    def build(self) -> "ElasticNet":
        """Return the regularizer."""
        return ElasticNet(self.strength * self.l1_ratio, self.strength * (1 - self.l1_ratio), self.proximal)

    @property
    def has_proximal_step(self) -> bool:
        """Whether the L1 term acts in a separate step after each update."""
        return self.proximal

    @property
    def selects(self) -> bool:
        """True: L1 makes weights exactly 0 (with `proximal`) or nearly 0 (without)."""
        return True


class ElasticNet(Regularizer):
    """λ₁ Σ|W| + λ₂ ΣW² (Zou & Hastie, "Regularization and variable selection via the elastic net", 2005).

    There is no ½ before λ₂. So the gradient of the second term is 2λ₂W, the same as for ``weight_decay = 2λ₂`` in plain
    SGD. Example from the lecture: ΣW² is 1 for w₁ = [1, 0, 0, 0], and ¼ for w₂ = [¼, ¼, ¼, ¼]. Σ|W| is 1 for both.

    Parameters
    ----------
    l1, l2
        λ₁ and λ₂.
    proximal
        Whether the L1 term acts in a separate step after each update instead of through the gradient. This proximal
        step is W ← sign(W)·max(|W| − αλ₁, 0) with the scheduled learning rate α (Beck & Teboulle, "A fast iterative
        shrinkage-thresholding algorithm", 2009). Adaptive optimizers use the same α for all weights in this step. The
        value of the loss does not depend on `proximal`.
    """

    numbers = ("l1", "l2")

    def __init__(self, l1: float | Tensor, l2: float | Tensor, proximal: bool = False) -> None:
        self.l1 = l1
        self.l2 = l2
        self.proximal = proximal

    def __call__(self, weights: Iterable[Tensor]) -> Tensor:
        """Return λ₁ Σ|W| + λ₂ ΣW²."""
        weights = list(weights)
        costs = [weights[0].new_zeros(())]
        for weight in weights:
            if isinstance(self.l1, Tensor) or self.l1 > 0:
                costs.append(self.l1 * (weight.detach() if self.proximal else weight).abs().sum())
            if isinstance(self.l2, Tensor) or self.l2 > 0:
                costs.append(self.l2 * weight.square().sum())
        return torch.stack(costs).sum()

    def with_gradient(self, weights: Tensor, gradient: Tensor) -> Tensor | None:
        """Return λ₁ Σ|W| + λ₂ ΣW², and add λ₁ sign(W) + 2λ₂W to `gradient`. If `proximal`, add only 2λ₂W."""
        cost: Tensor | None = None
        if isinstance(self.l2, Tensor) or self.l2 > 0:
            gradient.add_(weights * (2 * self.l2))
            cost = self.l2 * (weights * weights).sum(-1, keepdim=True)
        if isinstance(self.l1, Tensor) or self.l1 > 0:
            if not self.proximal:
                gradient.add_(weights.sign().mul_(self.l1))
            of_l1 = self.l1 * weights.abs().sum(-1, keepdim=True)
            cost = of_l1 if cost is None else cost + of_l1
        return None if cost is None else cost.squeeze(-1)

    def shrink(self, weight: Tensor, lr: float | Tensor) -> Tensor:
        """Return a weight matrix after the proximal step with learning rate `lr`.

        Without `proximal`, return the matrix unchanged.
        """
        if not self.proximal:
            return weight
        return weight.sign() * (weight.abs() - lr * self.l1).clamp(min=0)
