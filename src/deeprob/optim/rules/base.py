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
    """Return 0 as a 0-d float64 tensor on the device of `parameter`, for use in a state."""
    return torch.zeros((), dtype=torch.float64, device=parameter.device)


def decayed(
    parameter: Tensor, gradient: Tensor, lr: Scalar, weight_decay: Scalar, decoupled: bool
) -> tuple[Tensor, Tensor]:
    """Apply weight decay λ, and return w and ∇L.

    Weight decay changes the gradient to ∇L + λw. If `decoupled`, it changes the weight to (1 − αλ)w instead. Example:
    with w = 2, ∇L = 1, λ = 0.5 and α = 0.1 the result is (2, 2), or (1.9, 1) if `decoupled`.
    """
    if decoupled:
        return (1 - lr * weight_decay) * parameter, gradient
    return parameter, gradient + weight_decay * parameter


def at_least(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return max(tensor, bound) in the precision of `tensor`."""
    # under vmap, `clamp` would not keep this precision
    return torch.maximum(tensor, torch.zeros_like(tensor) + bound)


def at_most(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return min(tensor, bound) in the precision of `tensor`."""
    return torch.minimum(tensor, torch.zeros_like(tensor) + bound)
