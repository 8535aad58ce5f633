"""Data losses: the loss of one example, L_i(f(x_i, W), y_i)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob.config import number, register


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """Base class of loss configs; each loss adds its own fields.

    Attributes
    ----------
    regression
        Whether the loss also works for regression, where the targets are lists of numbers.
    """

    regression: ClassVar[bool] = False

    def build(self) -> "Loss":
        """Return the loss."""
        raise AssertionError("a loss defines build()")


class Loss(ABC):
    """A function of scores and targets, computed for each example separately.

    Attributes
    ----------
    numbers
        The names of the attributes that are numbers. When several runs train together as one stack, such an attribute
        may be a tensor with one number per run.
    """

    numbers: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (B,) of examples with scores (B, C).

        The targets are class numbers (B,). A loss for regression also accepts lists of numbers (B, C).
        """

    def with_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses (…, B) and their derivatives ∂L_i/∂s (…, B, C), for scores (…, B, C).

        For R runs, the first dimension is R, and the attributes in `numbers` may be columns (R, 1). If a loss does not
        define this method, autograd computes the derivatives.
        """
        raise AssertionError("a loss with a formula defines with_slopes()")

    @property
    def has_formula(self) -> bool:
        """Whether the loss defines `with_slopes`."""
        return type(self).with_slopes is not Loss.with_slopes


@register("loss", "cross_entropy")
@dataclass(kw_only=True, slots=True)
class CrossEntropyConfig(LossConfig):
    """Cross-entropy: softmax and negative log-likelihood.

    Attributes
    ----------
    label_smoothing
        The part of the target probability that is spread equally over all classes. 0 keeps one-hot targets.
    """

    label_smoothing: float = number(0.0, minimum=0, below=1)

    def build(self) -> "CrossEntropy":
        """Return the loss."""
        return CrossEntropy(self.label_smoothing)


class CrossEntropy(Loss):
    """L_i = −s_y + log Σ_j exp(s_j), where s_y is the score of the right class.

    If all C scores are equal, L_i is ln C. With label smoothing ε the target is (1 − ε)·one-hot + ε/C (Szegedy et al.,
    "Rethinking the Inception architecture", 2016).
    """

    numbers = ("label_smoothing",)

    def __init__(self, label_smoothing: float | Tensor = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        if isinstance(self.label_smoothing, Tensor):  # torch's own function does not accept a tensor
            logs = scores.log_softmax(1)
            right = logs.gather(1, targets[:, None])[:, 0]
            return (self.label_smoothing - 1) * right - self.label_smoothing * logs.mean(1)
        return F.cross_entropy(scores, targets, reduction="none", label_smoothing=self.label_smoothing)

    def with_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = p_j − t_j.

        p_j = exp(s_j)/Σ_k exp(s_k) is the softmax probability of class j. t is the target: one-hot, or smoothed.
        """
        logs = scores.log_softmax(-1)
        right = targets.unsqueeze(-1)
        losses = logs.gather(-1, right).squeeze(-1)
        smoothing = self.label_smoothing
        if not isinstance(smoothing, Tensor) and smoothing == 0:
            losses = -losses
            return losses, logs.exp_().scatter_(-1, right, -1.0, reduce="add")
        losses = (smoothing - 1) * losses - smoothing * logs.mean(-1)
        share = smoothing.unsqueeze(-1) if isinstance(smoothing, Tensor) else smoothing
        slopes = logs.exp_().sub_(share / scores.shape[-1])
        return losses, slopes.scatter_add_(-1, right, scores.new_zeros(right.shape) + (share - 1))


@register("loss", "hinge")
@dataclass(kw_only=True, slots=True)
class HingeConfig(LossConfig):
    """The hinge loss of a multi-class support vector machine.

    Attributes
    ----------
    margin
        The loss is 0 if the score of the right class exceeds every other score by this margin or more.
    """

    margin: float = number(1.0, above=0)

    def build(self) -> "Hinge":
        """Return the loss."""
        return Hinge(self.margin, power=1)


@register("loss", "squared_hinge")
@dataclass(kw_only=True, slots=True)
class SquaredHingeConfig(LossConfig):
    """The squared hinge loss of a multi-class support vector machine, which is smooth.

    Attributes
    ----------
    margin
        The loss is 0 if the score of the right class exceeds every other score by this margin or more.
    """

    margin: float = number(1.0, above=0)

    def build(self) -> "Hinge":
        """Return the loss."""
        return Hinge(self.margin, power=2)


class Hinge(Loss):
    """L_i = Σ_{j≠y} max(0, s_j − s_y + Δ)^p (Weston & Watkins, 1999).

    s_y is the score of the right class, and Δ is the margin. L_i is 0 if s_y exceeds every other score by Δ or more.
    p is 1, or 2 for the squared hinge loss.
    """

    numbers = ("margin",)

    def __init__(self, margin: float | Tensor, power: int) -> None:
        self.margin = margin
        self.power = power

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        right = targets[:, None]
        violations = (scores - scores.gather(1, right) + self.margin).clamp(min=0) ** self.power
        return violations.scatter(1, right, 0.0).sum(1)

    def with_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and its derivatives.

        With violations v_j = max(0, s_j − s_y + Δ) the derivatives are ∂L_i/∂s_j = p·v_j^(p−1) where v_j > 0, and
        ∂L_i/∂s_y = −Σ_{j≠y} ∂L_i/∂s_j.
        """
        right = targets.unsqueeze(-1)
        margin = self.margin.unsqueeze(-1) if isinstance(self.margin, Tensor) else self.margin
        violations = (scores - scores.gather(-1, right)).add_(margin).clamp_(min=0).scatter_(-1, right, 0.0)
        if self.power == 1:
            losses, slopes = violations.sum(-1), (violations > 0).to(scores.dtype)
        else:
            losses, slopes = (violations * violations).sum(-1), 2 * violations
        return losses, slopes.scatter_(-1, right, -slopes.sum(-1, keepdim=True))


@register("loss", "one_vs_all_hinge")
@dataclass(kw_only=True, slots=True)
class OneVsAllHingeConfig(LossConfig):
    """The sum of one binary hinge loss per class. A binary loss separates one class from all others."""

    def build(self) -> "OneVsAllHinge":
        """Return the loss."""
        return OneVsAllHinge()


class OneVsAllHinge(Loss):
    """L_i = Σ_j max(0, 1 − t_j s_j) with t_j = 1 for the right class and −1 for the others."""

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        signs = 2 * F.one_hot(targets, scores.shape[1]).to(scores.dtype) - 1
        return (1 - signs * scores).clamp(min=0).sum(1)

    def with_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = −t_j where t_j·s_j < 1, else 0."""
        signs = torch.full_like(scores, -1).scatter_(-1, targets.unsqueeze(-1), 1.0)
        violations = (1 - signs * scores).clamp_(min=0)
        return violations.sum(-1), (violations > 0) * -signs


@register("loss", "squared_error")
@dataclass(kw_only=True, slots=True)
class SquaredErrorConfig(LossConfig):
    """The squared distance between the scores and the target.

    The target is a list of numbers, or the one-hot code of a class.
    """

    regression: ClassVar[bool] = True

    def build(self) -> "SquaredError":
        """Return the loss."""
        return SquaredError()


class SquaredError(Loss):
    """L_i = Σ_j (s_j − y_j)², summed over all outputs j."""

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,).

        Targets are lists of numbers (B, C), or class numbers (B,). Class numbers are converted to one-hot codes.
        """
        wanted = targets if torch.is_floating_point(targets) else F.one_hot(targets, scores.shape[1])
        return (scores - wanted).square().sum(1)

    def with_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = 2(s_j − y_j)."""
        if not torch.is_floating_point(targets):
            targets = torch.zeros_like(scores).scatter_(-1, targets.unsqueeze(-1), 1.0)
        distance = scores - targets
        return (distance * distance).sum(-1), 2 * distance
