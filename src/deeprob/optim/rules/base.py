"""The class of an update rule, one whole update, and functions that several rules share.

The bits of a run do not depend on the other runs of its stack, on the CPU with one thread. So rules use only kernels
whose result for an entry does not depend on the place of the entry (+ − × ÷ √, lerp, addcmul, addcdiv, max, min, clamp,
where), and means within one run. Coefficients are tensors even if all runs share them, and powers are computed on the
host.
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
"""The tensors that an optimizer keeps per parameter, under torch's names. `step` is not one of them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer as three functions, for R runs at once; a run alone is R = 1.

    Parameters are (R, P): one row per run. If the rule is `shaped`, vectors are (R, K) and matrices are (R, H, D).

    Attributes
    ----------
    init
        ``init(parameter, lr, **hyper)`` returns the state before the first update; `lr` is the learning rate of the
        first update.
    coefficients
        ``coefficients(t, lr, **hyper)`` returns all numbers that update number t (1, 2, …) needs, computed in float64
        without tensors. `lr` and the hyperparameters are numbers of all runs or of each run; flags are bools.
    update
        ``update(parameter, gradient, state, c)`` changes `parameter` and `state` in place, and may overwrite
        `gradient`. `c` holds the coefficients as tensors, see `columns`. Weight decay is not part of it, see `decay`.
    flags
        Names of the hyperparameters that are bools. They choose the formula; all other hyperparameters are numbers in
        the formula. All runs of a stack have the same flags.
    shaped
        Whether the update depends on the shape of the parameter. If not, several parameters may be updated as one
        vector.
    wide
        Names of coefficients that `update` takes in float64 for any precision of the parameter. They are multiplied
        with states of one number per run (NAdam's ∏μ, ASGD's η and μ), which torch computes in float64 and keeps in
        the default precision.
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
    """Make update number t in place, with weight decay on the whole parameter; `gradient` may be overwritten.

    Only matrices have weight decay if the rule is shaped.
    """
    c = columns(rule.coefficients(t, lr, **hyper), parameter, rule.wide)
    if not rule.shaped or is_matrix(parameter):
        decay(parameter, gradient, c)
    rule.update(parameter, gradient, state, c)


def columns(coefficients: Mapping[str, Number], like: Tensor, wide: Collection[str] = ()) -> dict[str, Tensor]:
    """Return the coefficients as tensors that broadcast with `like`, which is (R, P) or (R, H, D).

    Each tensor is (R, 1) or (R, 1, 1), with 1 in place of R for a number that all runs share. The dtype is that of
    `like`; coefficients named in `wide` are float64.
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
    """Return the coefficient that `decay` needs for weight decay λ; none if λ is 0 for all runs."""
    if not some(weight_decay):
        return {}
    return {"shrink": 1 - lr * weight_decay} if decoupled else {"weight_decay": weight_decay}


def decay(weights: Tensor, gradient: Tensor, c: Mapping[str, Tensor]) -> None:
    """Apply weight decay λ in place: ∇L ← ∇L + λw, or w ← (1 − αλ)w if it is decoupled from the gradient.

    The caller calls it before the update, with the entries of weight matrices only. Biases and norm parameters have no
    weight decay (see `deeprob.optim.base.decay_groups`). For w = 2, ∇L = 1, λ = 0.5 and α = 0.1 the results (w, ∇L) are
    (2, 2), or (1.9, 1) if decoupled.
    """
    if "weight_decay" in c:
        gradient.addcmul_(weights, c["weight_decay"])
    elif "shrink" in c:
        weights.mul_(c["shrink"])


def some(number: Number) -> bool:
    """Return whether a number is not 0, in at least one run."""
    return bool(number.any()) if isinstance(number, np.ndarray) else number != 0


def power(base: Number, exponent: Number) -> Number:
    """Return base**exponent, with the same bits for a run alone and in a stack."""
    return each(pow, base, exponent)


def root(number: Number) -> Number:
    """Return the square root, which is correctly rounded everywhere."""
    return np.sqrt(number) if isinstance(number, np.ndarray) else math.sqrt(number)


def each(function: Callable[..., float], *numbers: Number) -> Number:
    """Return a function of floats, run by run.

    Powers need this: those of numpy may be rounded in another way in the middle of an array than at its end.
    """
    if not any(isinstance(number, np.ndarray) for number in numbers):
        return function(*numbers)
    rows = [row.tolist() for row in np.broadcast_arrays(*numbers)]
    return np.array([function(*of_run) for of_run in zip(*rows, strict=True)])


def zeros(parameter: Tensor, *names: str) -> State:
    """Return a state of tensors like `parameter`, all 0."""
    return {name: torch.zeros_like(parameter) for name in names}


def filled(number: Number, like: Tensor) -> Tensor:
    """Return a tensor like `like` with `number` everywhere, or with one number per run."""
    return torch.zeros_like(like) + column(number, like, like.dtype)


def scalar(number: Number, parameter: Tensor) -> Tensor:
    """Return a state of one number per run: (R, 1), in the precision in which torch keeps it."""
    return filled(number, parameter.new_zeros((len(parameter), 1), dtype=torch.get_default_dtype()))


def is_matrix(parameter: Tensor) -> bool:
    """Return whether a parameter of a shaped rule is a matrix: (R, H, D)."""
    return parameter.dim() > 2
