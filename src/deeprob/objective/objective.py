"""The loss function that training minimizes: L(W) = (1/N) Σ w_i L_i(f(x_i, W), y_i) + λR(W)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from deeprob.errors import UserError
from deeprob.objective.losses import Loss
from deeprob.objective.regularizers import Regularizer


class Parts(NamedTuple):
    """L(W) and its two terms, each a 0-d tensor: ``loss = data_loss + regularization``."""

    loss: Tensor
    data_loss: Tensor
    regularization: Tensor


@dataclass(frozen=True)
class Objective:
    """L(W) as a pure function of scores, targets and parameters.

    The caller computes the scores.
    """

    loss: Loss
    regularizer: Regularizer

    def __call__(
        self,
        scores: Tensor,
        targets: Tensor,
        parameters: Mapping[str, Tensor],
        example_weights: Tensor | None = None,
    ) -> Parts:
        """Return L(W) over one batch.

        Parameters
        ----------
        scores
            The scores (B, C).
        targets
            Class numbers (B,), or numbers (B, C) for regression.
        parameters
            The parameters by name. R(W) depends only on the weight matrices (see `weights`).
        example_weights
            The weights w_i (B,) of the examples, with mean 1. None: each is 1.

        Raises
        ------
        UserError
            If the loss does not return one number per example.
        """
        losses = self.loss(scores, targets, example_weights)
        if losses.shape != scores.shape[:1]:
            raise UserError(
                f"loss: losses() returned the shape {tuple(losses.shape)} for scores {tuple(scores.shape)}; expected "
                f"one loss per example, {tuple(scores.shape[:1])}"
            )
        data_loss = losses.mean()
        regularization = self.regularizer(weights(parameters).values())
        if regularization is None:
            return Parts(data_loss, data_loss, data_loss.new_zeros(()))
        return Parts(data_loss + regularization, data_loss, regularization)

    @property
    def has_formula(self) -> bool:
        """Whether loss and regularizer have formulas for their derivatives."""
        return self.loss.has_formula and self.regularizer.has_formula


def weights(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weight matrices: all parameters with two dimensions or more.

    Biases and norm parameters have one dimension.
    """
    return {name: tensor for name, tensor in parameters.items() if tensor.dim() >= 2}
