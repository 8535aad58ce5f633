"""Data losses: the loss of one example, L_i(f(x_i, W), y_i)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob.config import number, register
from deeprob.objective.class_weights import ACCEPTED, scaled_to_mean_1


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """Base class of loss configs; each loss adds its own fields.

    `deeprob.parts.protocols` says what a loss has to keep.

    Attributes
    ----------
    regression
        Whether the loss also works for regression, where the targets are lists of numbers.
    """

    regression: ClassVar[bool] = False

    def make(self) -> "Loss":
        """Return the loss without class weights. If a loss does not define this method, it defines `losses`."""
        return LossOf(self.losses)

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the losses L_i (B,) of examples (see `Loss.losses`)."""
        raise AssertionError("a loss defines losses() or make()")

    @property
    def weighted(self) -> bool:
        """Whether the classes have weights."""
        return False

    def build(self, counts: Tensor | None = None) -> "Loss":
        """Return the loss.

        `counts` (C,) has the number of training examples per class (or the sum of their weights), which scales the
        class weights. None: the loss has no class weights.
        """
        return self.make()


@dataclass(kw_only=True, slots=True)
class ClassLossConfig(LossConfig):
    """Base class of the configs of losses for classes.

    Attributes
    ----------
    class_weights
        The weight of each class in the loss. ``balanced`` weights a class by 1 / (its number of training examples), so
        that rare classes count as much as frequent classes. A list has one number per class, in the order of the
        classes. All weights are scaled such that their mean over
        the training examples is 1. The losses of the validation split and of the test split have the same weights.
        Example: ``loss.class_weights=balanced``.
    """

    class_weights: Any = field(default="none", metadata={"accepted": ACCEPTED})

    @property
    def weighted(self) -> bool:
        """Whether the classes have weights."""
        return bool(self.class_weights != "none")

    def build(self, counts: Tensor | None = None) -> "Loss":
        """Return the loss (see `LossConfig.build`)."""
        loss = self.make()
        if self.weighted and counts is not None:
            loss.class_weights = scaled_to_mean_1(self.class_weights, counts)
        return loss


class Loss(ABC):
    """A function of scores and targets, computed for each example separately.

    Attributes
    ----------
    numbers
        The names of the attributes that are numbers. When several runs train together as one stack, such an attribute
        may be a tensor with one number per run.
    class_weights
        The weights w (C,) of the classes: the loss of an example of class y is w_y·L_i. For a stack of R runs the shape
        is (R, 1, C). None: all weights are 1.
    probabilities
        Whether the loss makes softmax(scores) an estimate of the probabilities of the classes.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    class_weights: Tensor | None = None
    probabilities: ClassVar[bool] = False

    def __call__(self, scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the losses (B,) of examples with scores (B, C).

        The targets are class numbers (B,). A loss for regression also accepts lists of numbers (B, C). The losses are
        multiplied by the class weights, and by the `weights` (B,) of the examples if they are given.
        """
        losses = self.losses(scores, targets)
        factors = self._factors(targets, losses, weights)
        return losses if factors is None else losses * factors

    def with_slopes(self, scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the losses (…, B) and their derivatives by the scores (…, B, C), for scores (…, B, C).

        For R runs, the first dimension is R, and the attributes in `numbers` may be columns (R, 1). Both results are
        multiplied by the class weights, and by the `weights` (…, B) of the examples if they are given.
        """
        losses, slopes = self.losses_and_slopes(scores, targets)
        factors = self._factors(targets, losses, weights)
        if factors is None:
            return losses, slopes
        return losses * factors, slopes * factors.unsqueeze(-1)

    @abstractmethod
    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the losses L_i (B,) without class weights (see `__call__`)."""

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses L_i (…, B) and ∂L_i/∂s (…, B, C) without class weights (see `with_slopes`).

        If a loss does not define this method, autograd computes the derivatives.
        """
        raise AssertionError("a loss with a formula defines losses_and_slopes()")

    @property
    def has_formula(self) -> bool:
        """Whether the loss defines `losses_and_slopes`."""
        return type(self).losses_and_slopes is not Loss.losses_and_slopes

    def _factors(self, targets: Tensor, like: Tensor, weights: Tensor | None) -> Tensor | None:
        """Return the factors (…, B) of the losses, with the dtype of `like`; None if all are 1.

        A factor is the weight of the example's class times the weight (…, B) of the example.
        """
        of_examples = None if weights is None else weights.to(like)
        if self.class_weights is None:
            return of_examples
        table = self.class_weights.to(like)
        of_classes = table.expand(*targets.shape, table.shape[-1]).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return of_classes if of_examples is None else of_classes * of_examples


FEW_CLASSES = 16
"""Below this number of classes, torch's log_softmax takes 2 to 6 times as long as `log_softmax` in a stack on a CPU."""


def log_softmax(scores: Tensor) -> Tensor:
    """Return s_j − log Σ_k exp(s_k) (…, C) of scores (…, C), for formulas: autograd cannot follow the steps in place.

    The largest score is subtracted first, so that no exp overflows.
    """
    if scores.device.type != "cpu" or scores.shape[-1] >= FEW_CLASSES:
        return scores.log_softmax(-1)
    shifted = scores - scores.amax(-1, keepdim=True)
    return shifted.sub_(shifted.exp().sum(-1, keepdim=True).log_())


class LossOf(Loss):
    """The loss that a function of scores (B, C) and targets computes. Autograd computes its derivatives."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._function = function

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the losses L_i (B,)."""
        return self._function(scores, targets)


@register("loss", "cross_entropy")
@dataclass(kw_only=True, slots=True)
class CrossEntropyConfig(ClassLossConfig):
    """Cross-entropy: softmax and negative log-likelihood.

    Attributes
    ----------
    label_smoothing
        The part of the target probability that is spread equally over all classes. 0 keeps one-hot targets.
    """

    label_smoothing: float = number(0.0, minimum=0, below=1)

    def make(self) -> "CrossEntropy":
        """Return the loss without class weights."""
        return CrossEntropy(self.label_smoothing)


class CrossEntropy(Loss):
    """L_i = −s_y + log Σ_j exp(s_j), where s_y is the score of the right class.

    If all C scores are equal, L_i is ln C. With label smoothing ε the target is (1 − ε)·one-hot + ε/C (Szegedy et al.,
    "Rethinking the Inception architecture", 2016).
    """

    numbers = ("label_smoothing",)
    probabilities = True

    def __init__(self, label_smoothing: float | Tensor = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        if isinstance(self.label_smoothing, Tensor):  # torch's own function does not accept a tensor
            logs = scores.log_softmax(1)
            right = logs.gather(1, targets[:, None])[:, 0]
            return (self.label_smoothing - 1) * right - self.label_smoothing * logs.mean(1)
        return F.cross_entropy(scores, targets, reduction="none", label_smoothing=self.label_smoothing)

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = p_j − t_j.

        p_j = exp(s_j)/Σ_k exp(s_k) is the softmax probability of class j. t is the target: one-hot, or smoothed.
        """
        logs = log_softmax(scores)
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


@register("loss", "focal")
@dataclass(kw_only=True, slots=True)
class FocalConfig(ClassLossConfig):
    """The focal loss: cross-entropy that counts an example less if its class is predicted with high probability.

    Attributes
    ----------
    gamma
        The exponent γ. The larger it is, the less do examples count that are predicted well already. 0 is
        cross-entropy.
    """

    gamma: float = number(2.0, minimum=0)

    def make(self) -> "Focal":
        """Return the loss without class weights."""
        return Focal(self.gamma)


class Focal(Loss):
    """L_i = −(1 − p_y)^γ ln p_y, where p_y is the softmax probability of the right class.

    From Lin et al., "Focal loss for dense object detection", 2017. If all C scores are equal, L_i is
    (1 − 1/C)^γ ln C.
    """

    numbers = ("gamma",)
    probabilities = True

    def __init__(self, gamma: float | Tensor) -> None:
        self.gamma = gamma

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        _, wrong, surprise = self._terms(scores, targets)
        return wrong**self.gamma * surprise

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and its derivatives.

        With q = 1 − p_y and a = q^γ·(1 − γ·p_y·ln p_y / q), the derivatives are ∂L_i/∂s_j = a·p_j for the other
        classes j, and ∂L_i/∂s_y = −a·q. If γ is 0, a is 1, and these are the derivatives of cross-entropy.
        """
        others, wrong, surprise = self._terms(scores, targets)
        factor = wrong**self.gamma
        slope = factor * (1 + self.gamma * ((1 - wrong) * surprise / wrong))
        slopes = others.scatter(-1, targets.unsqueeze(-1), -wrong.unsqueeze(-1)).mul_(slope.unsqueeze(-1))
        return factor * surprise, slopes

    @staticmethod
    def _terms(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the probabilities p_j (…, B, C) with 0 in place of p_y, their sum q = 1 − p_y, and −ln p_y (…, B).

        If p_y is near 1, q is small. Then q is exact as a sum, and −ln p_y is exact as −ln(1 − q). q is never 0, so
        that q can be a divisor.
        """
        logs, right = scores.log_softmax(-1), targets.unsqueeze(-1)
        others = logs.exp().scatter(-1, right, 0.0)
        wrong = others.sum(-1).clamp(min=torch.finfo(scores.dtype).tiny)
        near = -torch.log1p(-wrong.clamp(max=0.5))
        return others, wrong, torch.where(wrong < 0.5, near, -logs.gather(-1, right).squeeze(-1))


@register("loss", "hinge")
@dataclass(kw_only=True, slots=True)
class HingeConfig(ClassLossConfig):
    """The hinge loss of a multi-class support vector machine.

    Attributes
    ----------
    margin
        The loss is 0 if the score of the right class exceeds every other score by this margin or more.
    """

    margin: float = number(1.0, above=0)

    def make(self) -> "Hinge":
        """Return the loss without class weights."""
        return Hinge(self.margin, power=1)


@register("loss", "squared_hinge")
@dataclass(kw_only=True, slots=True)
class SquaredHingeConfig(ClassLossConfig):
    """The squared hinge loss of a multi-class support vector machine, which is smooth.

    Attributes
    ----------
    margin
        The loss is 0 if the score of the right class exceeds every other score by this margin or more.
    """

    margin: float = number(1.0, above=0)

    def make(self) -> "Hinge":
        """Return the loss without class weights."""
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

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        right = targets[:, None]
        violations = (scores - scores.gather(1, right) + self.margin).clamp(min=0) ** self.power
        return violations.scatter(1, right, 0.0).sum(1)

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
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
class OneVsAllHingeConfig(ClassLossConfig):
    """The sum of one binary hinge loss per class. A binary loss separates one class from all others."""

    def make(self) -> "OneVsAllHinge":
        """Return the loss without class weights."""
        return OneVsAllHinge()


class OneVsAllHinge(Loss):
    """L_i = Σ_j max(0, 1 − t_j s_j) with t_j = 1 for the right class and −1 for the others."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,)."""
        signs = 2 * F.one_hot(targets, scores.shape[1]).to(scores.dtype) - 1
        return (1 - signs * scores).clamp(min=0).sum(1)

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = −t_j where t_j·s_j < 1, else 0."""
        signs = torch.full_like(scores, -1).scatter_(-1, targets.unsqueeze(-1), 1.0)
        violations = (1 - signs * scores).clamp_(min=0)
        return violations.sum(-1), (violations > 0) * -signs


@register("loss", "squared_error")
@dataclass(kw_only=True, slots=True)
class SquaredErrorConfig(ClassLossConfig):
    """The squared distance between the scores and the target.

    The target is a list of numbers, or the one-hot code of a class.
    """

    regression: ClassVar[bool] = True

    def make(self) -> "SquaredError":
        """Return the loss without class weights."""
        return SquaredError()


class SquaredError(Loss):
    """L_i = Σ_j (s_j − y_j)², summed over all outputs j."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,).

        Targets are lists of numbers (B, C), or class numbers (B,). Class numbers are converted to one-hot codes.
        """
        return (scores - wanted(scores, targets)).square().sum(1)

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = 2(s_j − y_j)."""
        distance = scores - wanted(scores, targets)
        return (distance * distance).sum(-1), 2 * distance


@register("loss", "huber")
@dataclass(kw_only=True, slots=True)
class HuberConfig(LossConfig):
    """The Huber loss: quadratic for small errors, linear for large errors. Outliers count less than in squared_error.

    The target is a list of numbers, or the one-hot code of a class.

    Attributes
    ----------
    delta
        The size δ of an error from which on the loss is linear.
    """

    regression: ClassVar[bool] = True

    delta: float = number(1.0, above=0)

    def make(self) -> "Huber":
        """Return the loss."""
        return Huber(self.delta)


class Huber(Loss):
    """L_i = Σ_j h(s_j − y_j), summed over all outputs j, with h(e) = ½e² if |e| ≤ δ, else δ(|e| − ½δ) (Huber, 1964).

    While all errors are at most δ, L_i is half of the squared error.
    """

    numbers = ("delta",)

    def __init__(self, delta: float | Tensor) -> None:
        self.delta = delta

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return losses (B,). Targets are as in `SquaredError`."""
        return self.losses_and_slopes(scores, targets)[0]

    def losses_and_slopes(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i and ∂L_i/∂s_j = max(−δ, min(δ, s_j − y_j))."""
        error = scores - wanted(scores, targets)
        delta: Any = self.delta.unsqueeze(-1) if isinstance(self.delta, Tensor) else self.delta
        slopes = error.clamp(-delta, delta)
        return (slopes * (error - 0.5 * slopes)).sum(-1), slopes


def wanted(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the wanted scores (…, B, C): the targets (…, B, C), or the one-hot codes of classes (…, B)."""
    if torch.is_floating_point(targets):
        return targets
    return torch.zeros_like(scores).scatter(-1, targets.unsqueeze(-1), 1.0)
