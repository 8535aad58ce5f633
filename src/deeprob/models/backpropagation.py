"""The chain rule: compute the gradient of a model from the formulas of its steps."""

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

    For R runs that train together, all tensors have one more dimension R in front. Example: inputs are (B, D) for one
    run and (R, B, D) for R runs. The results of a run do not depend on the other runs.
    """

    @abstractmethod
    def forward(self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None) -> tuple[Tensor, Any]:
        """Return the outputs, and the values that `backward` needs.

        Parameters
        ----------
        inputs
            The outputs of the previous step. A step may overwrite them; the first step must not overwrite the data.
        tensors
            The parameters and buffers of the model.
        training
            Whether batch norm normalizes over the batch and updates its running means.
        key
            The key of the random numbers: 0-d, or (R,) for R runs. None: dropout is off.
        """

    @abstractmethod
    def backward(
        self, gradient: Tensor, saved: Any, tensors: Tensors, gradients: Tensors, wanted: bool
    ) -> Tensor | None:
        """Write the gradients of L by the parameters of this step, and return the gradient by the inputs.

        Parameters
        ----------
        gradient
            ∂L/∂outputs, in the shape of the outputs. It may be overwritten.
        saved
            The values that `forward` returned.
        tensors
            The parameters and buffers of the model.
        gradients
            The tensors into which the gradients by the parameters are written.
        wanted
            Whether the gradient by the inputs is needed. If not, the method may return None.
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
    return thin_product(left, right) if out is None else out.copy_(thin_product(left, right))


def sum_plus_product(term: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return `term` plus the matrix product, of two matrices or of the matrices of each run (see `product`)."""
    if left.dim() == 2:
        return torch.addmm(term, left, right)
    if not thin(left, right):
        return torch.baddbmm(term, left, right)
    return term + thin_product(left, right)


def thin(left: Tensor, right: Tensor) -> bool:
    """Return whether one of M, K and N is 1 in products of matrices (R, M, K) and (R, K, N) on a CPU.

    For such products torch calls functions of MKL that add in an order that depends on R, and on the addresses of the
    matrices. Then a run would not have the same bits in all stacks.
    """
    _, rows, terms = left.shape
    return (rows == 1 or terms == 1 or right.shape[2] == 1) and left.is_cpu


def thin_product(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of matrices (R, M, K) and (R, K, N), where M, K or N is 1, as sums of products of entries."""
    if left.shape[2] == 1:
        return left * right
    products = (left * right.mT).contiguous()  # (R, M, K) if N is 1, else (R, N, K)
    sums = products.sum(-1)
    return sums.unsqueeze(-1) if right.shape[2] == 1 else sums.unsqueeze(-2)
