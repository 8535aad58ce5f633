"""The class of update rules, a function that makes one update, and functions that several rules share.

On a CPU with one thread, the bits of a run must not depend on the other runs of its stack. So rules use only kernels
that round every entry of a tensor in the same way (+ − × ÷ √, lerp, addcmul, addcdiv, max, min, clamp, where), and
means within one run. Coefficients are tensors, even if all runs share them. Powers are computed without tensors.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Number = float | npt.NDArray[np.float64]
"""One number that all runs share, or an array (R,) with one number per run."""

State = dict[str, Tensor]
"""The tensors that an optimizer keeps for a parameter. The keys are torch's names; torch's entry `step` is left out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer, as three functions that update R runs together. For a single run, R is 1.

    The parameters of all runs are one tensor (R, P) with one row per run. If the rule is `shaped`, each parameter has a
    tensor of its own: (R, K) for a vector, (R, H, D) for a matrix.

    Attributes
    ----------
    init
        ``init(parameter, lr, **hyper)`` returns the state before the first update. `lr` is the learning rate in the
        first update.
    coefficients
        ``coefficients(t, lr, **hyper)`` returns all numbers that update number t (1, 2, …) needs, computed in float64
        without tensors. `lr` and each hyperparameter is a float, or an array (R,). Flags are bools.
    update
        ``update(parameter, gradient, state, c)`` changes `parameter` and `state` in place, and may overwrite
        `gradient`. `c` holds the coefficients as tensors (see `columns`). The caller applies weight decay before the
        update (see `decay`).
    flags
        Names of the hyperparameters that are bools. They choose the formula. All other hyperparameters are numbers in
        the formula. All runs of a stack have the same flags.
    shaped
        Whether the update depends on the shape of the parameter. If not, several parameters may be updated as one
        vector.
    wide
        Names of coefficients that `update` takes in float64, also if the parameters are float32. NAdam multiplies such
        a coefficient by its state ∏μ, ASGD by its states η and μ. torch computes these states in float64.
    """

    init: Callable[..., State]
    coefficients: Callable[..., dict[str, Number]]
    update: Callable[..., None]
    flags: tuple[str, ...] = ()
    shaped: bool = False
    wide: tuple[str, ...] = ()


def step(
    rule: Rule, parameter: Tensor, gradient: Tensor, state: State, t: int, lr: Number, **hyper: Number | bool
) -> None:
    """Make update number t in place, with weight decay. `gradient` may be overwritten.

    Weight decay acts on the whole parameter. But if the rule is `shaped`, weight decay leaves out vectors.
    """
    c = columns(rule.coefficients(t, lr, **hyper), parameter, rule.wide)
    if not rule.shaped or is_matrix(parameter):
        decay(parameter, gradient, c)
    rule.update(parameter, gradient, state, c)


def columns(coefficients: Mapping[str, Number], like: Tensor, wide: Collection[str] = ()) -> dict[str, Tensor]:
    """Return the coefficients as tensors that broadcast with `like`, which is (R, P) or (R, H, D).

    Each tensor is (R, 1) or (R, 1, 1). If all runs share a number, its tensor is (1, 1) or (1, 1, 1). Coefficients
    named in `wide` are float64. All others have the dtype of `like`.
    """
    return {
        name: column(number, like, torch.float64 if name in wide else like.dtype)
        for name, number in coefficients.items()
    }


def column(number: Number, like: Tensor, dtype: torch.dtype) -> Tensor:
    """Return one number, or one number per run, as a tensor that broadcasts with `like`."""
    ones = (1,) * (like.dim() - 1)
    if isinstance(number, np.ndarray):
        return torch.from_numpy(number).to(like.device, dtype).view(-1, *ones)
    return like.new_full((1, *ones), number, dtype=dtype)


def decaying(lr: Number, weight_decay: Number, decoupled: bool = False) -> dict[str, Number]:
    """Return the coefficient that `decay` needs. Empty if `weight_decay` is 0 in all runs."""
    if not some(weight_decay):
        return {}
    return {"shrink": 1 - lr * weight_decay} if decoupled else {"weight_decay": weight_decay}


def decay(weights: Tensor, gradient: Tensor, c: Mapping[str, Tensor]) -> None:
    """Apply weight decay λ in place: ∇L ← ∇L + λw, or w ← (1 − αλ)w if it is decoupled.

    Call this function before the update, and only with the entries of weight matrices. Biases and norm parameters have
    no weight decay (see `deeprob.optim.base.decay_groups`). Example: for w = 2, ∇L = 1, λ = 0.5 and α = 0.1 the results
    are w = 2 and ∇L = 2. With decoupled weight decay they are w = 1.9 and ∇L = 1.
    """
    if "weight_decay" in c:
        gradient.addcmul_(weights, c["weight_decay"])
    elif "shrink" in c:
        weights.mul_(c["shrink"])


def some(number: Number) -> bool:
    """Return whether a number is not 0 in at least one run."""
    return bool(number.any()) if isinstance(number, np.ndarray) else number != 0


def power(base: Number, exponent: Number) -> Number:
    """Return base**exponent, with the same bits for a run alone and in a stack."""
    return each(pow, base, exponent)


def root(number: Number) -> Number:
    """Return the square root of each number. IEEE arithmetic always rounds it correctly."""
    return np.sqrt(number) if isinstance(number, np.ndarray) else math.sqrt(number)


def each(function: Callable[..., float], *numbers: Number) -> Number:
    """Call a function of floats for each run separately, and return the results.

    Powers need this: numpy may round the power of a number differently at different positions in an array.
    """
    if not any(isinstance(number, np.ndarray) for number in numbers):
        return function(*numbers)
    rows = [row.tolist() for row in np.broadcast_arrays(*numbers)]
    return np.array([function(*of_run) for of_run in zip(*rows, strict=True)])


def zeros(parameter: Tensor, *names: str) -> State:
    """Return a state in which each entry is a tensor of zeros like `parameter`."""
    return {name: torch.zeros_like(parameter) for name in names}


def filled(number: Number, like: Tensor) -> Tensor:
    """Return a tensor like `like` in which all entries of a run are the run's number."""
    return torch.zeros_like(like) + column(number, like, like.dtype)


def scalar(number: Number, parameter: Tensor) -> Tensor:
    """Return one number per run as a tensor (R, 1). The dtype is torch's default dtype, as in torch.optim."""
    return filled(number, parameter.new_zeros((len(parameter), 1), dtype=torch.get_default_dtype()))


def is_matrix(parameter: Tensor) -> bool:
    """Return whether a parameter (R, …) of a shaped rule is a matrix (R, H, D)."""
    return parameter.dim() > 2
