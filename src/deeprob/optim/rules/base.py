"""The class of an update rule, and functions that several rules share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Scalar = float | Tensor
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer as two pure functions.

    Attributes
    ----------
    init
        ``init(parameter, lr, **hyper)`` returns the state before the first update; `lr` is the learning rate of the
        first update.
    update
        ``update(parameter, gradient, state, lr, **hyper)`` returns the parameter and the state after an update.
    flags
        Names of the hyperparameters that are bools. They choose the formula; all other hyperparameters are numbers in
        the formula.
    shaped
        Whether the update depends on the shape of the parameter. If not, several parameters may be updated as one
        vector.
    """

    init: Callable[..., State]
    update: Callable[..., tuple[Tensor, State]]
    flags: tuple[str, ...] = ()
    shaped: bool = False


def zero(parameter: Tensor) -> Tensor:
    """Return 0 as a scalar of a state: a 0-d float64 tensor, for any precision of `parameter`."""
    return torch.zeros((), dtype=torch.float64, device=parameter.device)


def decayed(
    parameter: Tensor, gradient: Tensor, lr: Scalar, weight_decay: Scalar, decoupled: bool
) -> tuple[Tensor, Tensor]:
    """Return w and ∇L with weight decay λ applied to one of them.

    Weight decay changes the gradient to ∇L + λw. If `decoupled`, it changes the weight to (1 − αλ)w instead. For w = 2,
    ∇L = 1, λ = 0.5 and α = 0.1 the results (w, ∇L) are (2, 2), or (1.9, 1) if `decoupled`.
    """
    if decoupled:
        return (1 - lr * weight_decay) * parameter, gradient
    return parameter, gradient + weight_decay * parameter


def at_least(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return max(tensor, bound) in the precision of `tensor`; under vmap `clamp` would not keep this precision."""
    return torch.maximum(tensor, torch.zeros_like(tensor) + bound)


def at_most(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return min(tensor, bound) in the tensor's precision."""
    return torch.minimum(tensor, torch.zeros_like(tensor) + bound)
