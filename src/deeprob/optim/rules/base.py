"""What an update rule is, and what several rules share."""

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
        ``init(parameter, lr, **hyper)`` returns the state before the first update; `lr` is that update's learning rate.
    update
        ``update(parameter, gradient, state, lr, **hyper)`` returns the parameter and the state after an update.
    flags
        Names of the hyperparameters that are bools and choose the formula; all others are numbers in it.
    shaped
        Whether a parameter's shape matters; otherwise several parameters may be updated as one vector.
    """

    init: Callable[..., State]
    update: Callable[..., tuple[Tensor, State]]
    flags: tuple[str, ...] = ()
    shaped: bool = False


def zero(parameter: Tensor) -> Tensor:
    """Return 0 as a state's scalar: 0-d and float64, whatever the precision of `parameter`."""
    return torch.zeros((), dtype=torch.float64, device=parameter.device)


def decayed(
    parameter: Tensor, gradient: Tensor, lr: Scalar, weight_decay: Scalar, decoupled: bool
) -> tuple[Tensor, Tensor]:
    """Return w and ∇L with weight decay λ applied to one of them.

    Weight decay changes the gradient to ∇L + λw, or, if `decoupled`, the weight to (1 − αλ)w. For w = 2, ∇L = 1,
    λ = 0.5 and α = 0.1 the results are 2 and 2, or 1.9 and 1.
    """
    if decoupled:
        return (1 - lr * weight_decay) * parameter, gradient
    return parameter, gradient + weight_decay * parameter


def at_least(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return max(tensor, bound) in the tensor's precision, which `clamp` under vmap would not keep."""
    return torch.maximum(tensor, torch.zeros_like(tensor) + bound)


def at_most(tensor: Tensor, bound: Scalar) -> Tensor:
    """Return min(tensor, bound) in the tensor's precision."""
    return torch.minimum(tensor, torch.zeros_like(tensor) + bound)
