"""The chain rule: the gradient of a model from the formulas of its steps, for one run or a stack of runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
"""The parameters and buffers of a model by name, or the gradients of its parameters by name."""


class Formula(ABC):
    """One step of a model's forward pass, and the formula of its derivative.

    All tensors may have a leading dimension of runs R: inputs are (B, D) or (R, B, D), and each parameter has its own
    shape or one more dimension in front. A run computes the same numbers with and without other runs beside it.
    """

    @abstractmethod
    def forward(self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None) -> tuple[Tensor, Any]:
        """Return the outputs, and the values that `backward` needs.

        Parameters
        ----------
        inputs
            The outputs of the step before. They may be overwritten, unless they belong to the data.
        tensors
            The parameters and buffers of the model.
        training
            Whether to normalize over the batch and to update running means.
        key
            The key of the random numbers: 0-d or (R,). None: nothing is random.
        """

    @abstractmethod
    def backward(
        self, gradient: Tensor, saved: Any, tensors: Tensors, gradients: Tensors, wanted: bool
    ) -> Tensor | None:
        """Return the gradient of L by the inputs, and write the gradients by the step's parameters.

        Parameters
        ----------
        gradient
            ∂L/∂outputs, in the shape of the outputs. It may be overwritten.
        saved
            The values that `forward` returned.
        tensors
            The parameters and buffers of the model.
        gradients
            The gradients of L by the parameters, which are overwritten.
        wanted
            Whether the gradient by the inputs is needed. If not, None may be returned.
        """


@dataclass(frozen=True)
class Backpropagation:
    """The steps of a model from the inputs to the scores.

    The gradient follows the chain rule: ∂L/∂inputs = ∂L/∂outputs · ∂outputs/∂inputs for each step, from the last step
    to the first (Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", 1986).
    """

    formulas: Sequence[Formula]

    def forward(
        self, inputs: Tensor, tensors: Tensors, training: bool = False, key: Tensor | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Return the scores (…, B, C) of inputs (…, B, D), and the values that `backward` needs for each step."""
        saved = []
        for formula in self.formulas:
            inputs, kept = formula.forward(inputs, tensors, training, key)
            saved.append(kept)
        return inputs, saved

    def backward(self, gradient: Tensor, saved: Sequence[Any], tensors: Tensors, gradients: Tensors) -> None:
        """Write the gradient of L by every parameter into `gradients`, given ∂L/∂scores (…, B, C)."""
        for place in reversed(range(len(self.formulas))):
            earlier = self.formulas[place].backward(gradient, saved[place], tensors, gradients, place > 0)
            if place:
                assert earlier is not None
                gradient = earlier


def product(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the matrix product, of two matrices or of the matrices of each run; with `out`, write it there.

    A run gets the same bits alone and in a stack, on a CPU with one thread (see `thin`).
    """
    if left.dim() == 2:
        return torch.mm(left, right, out=out)
    if not thin(left, right):
        return torch.bmm(left, right, out=out)
    result = torch.bmm(*(matrices.expand(max(2, len(left)), -1, -1) for matrices in (left, right)))[: len(left)]
    return result if out is None else out.copy_(result)


def sum_plus_product(term: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return `term` plus the matrix product, of two matrices or of the matrices of each run (see `product`)."""
    if left.dim() == 2:
        return torch.addmm(term, left, right)
    if not thin(left, right):
        return torch.baddbmm(term, left, right)
    parts = (matrices.expand(max(2, len(left)), -1, -1) for matrices in (term, left, right))
    return torch.baddbmm(*parts)[: len(left)]


def thin(left: Tensor, right: Tensor) -> bool:
    """Return whether one of M, K and N is 1 in products of matrices (R, M, K) and (R, K, N) on a CPU.

    Then torch calls another function of MKL for R = 1, or for an output whose runs do not lie side by side, than for
    R > 1. This function adds in another order. So the product of R = 1 is computed twice, as if there were two runs,
    and in a tensor of its own.
    """
    _, rows, terms = left.shape
    return (rows == 1 or terms == 1 or right.shape[2] == 1) and left.is_cpu
