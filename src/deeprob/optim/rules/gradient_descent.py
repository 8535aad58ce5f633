"""Rules whose steps follow the gradient or its running sum."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from deeprob.optim.rules.base import Number, Rule, State, decaying, power, scalar, some, zeros


def init_sgd(parameter: Tensor, lr: Number, *, momentum: Number = 0.0, **hyper: Number | bool) -> State:
    """Return v = 0. If no run has momentum, return an empty state."""
    return zeros(parameter, "momentum_buffer") if some(momentum) else {}


def sgd_coefficients(
    t: int,
    lr: Number,
    *,
    momentum: Number = 0.0,
    dampening: Number = 0.0,
    weight_decay: Number = 0.0,
    nesterov: bool = False,
) -> dict[str, Number]:
    """Return α = `lr`. If a run has momentum, also return ρ = `momentum` and 1 − d with d = `dampening`.

    In the first update, and in runs without momentum, d is 0.
    """
    c = {"rate": lr, **decaying(lr, weight_decay)}
    if some(momentum):
        c["momentum"] = momentum
        c["one_minus_dampening"] = 1.0 if t == 1 else 1 - dampening * (momentum != 0)
        if nesterov:
            c["look_ahead"] = momentum
    return c


def sgd(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Gradient descent with momentum: v ← ρv + ∇L, w ← w − αv.

    α is `lr` and ρ is `momentum`. Without momentum, v is ∇L. `weight_decay` λ adds λw to the gradient. With `dampening`
    d and momentum, the formula is v ← ρv + (1 − d)∇L from the second update on.

    With `nesterov`, the step is −α(∇L + ρv) with the new v. The original rule is v ← ρv − α∇L(w + ρv), w ← w + v. It
    takes the gradient at the point w + ρv. Here this point is called w (Sutskever et al., "On the importance of
    initialization and momentum in deep learning", 2013).

    Examples
    --------
    >>> w, g = torch.tensor([[1.0]]), torch.tensor([[1.0]])
    >>> state = init_sgd(w, 0.1, momentum=0.9)
    >>> step(SGD, w, g, state, 1, 0.1, momentum=0.9)  # v = 1, w = 1 − 0.1
    >>> step(SGD, w, g, state, 2, 0.1, momentum=0.9)  # v = 0.9 + 1, w = 0.9 − 0.19
    >>> w
    tensor([[0.7100]])
    """
    direction = gradient
    if "momentum" in c:
        v = state["momentum_buffer"]
        v.mul_(c["momentum"]).addcmul_(gradient, c["one_minus_dampening"])  # v ← ρv + (1 − d)∇L
        direction = gradient.addcmul_(v, c["look_ahead"]) if "look_ahead" in c else v  # ∇L + ρv or v
    parameter.addcmul_(direction, c["rate"], value=-1)  # w ← w − α·direction


SGD = Rule(init_sgd, sgd_coefficients, sgd, flags=("nesterov",))


def init_asgd(parameter: Tensor, lr: Number, **hyper: Number) -> State:
    """Return η = `lr`, μ = 1 and w̄ = 0. The first update replaces w̄."""
    return {"eta": scalar(lr, parameter), "mu": scalar(1.0, parameter), **zeros(parameter, "ax")}


def asgd_coefficients(
    t: int,
    lr: Number,
    *,
    lambd: Number = 1e-4,
    alpha: Number = 0.75,
    t0: Number = 1e6,
    weight_decay: Number = 0.0,
) -> dict[str, Number]:
    """Return `lambd`, and the values of η and μ after update t."""
    eta = lr / power(1 + lambd * lr * t, alpha)
    return {"next_eta": eta, "next_mu": 1 / np.maximum(1, t - t0), "lambd": lambd, **decaying(lr, weight_decay)}


def asgd(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Gradient descent that averages w: w ← (1 − lambd·η)w − η∇L, w̄ ← w̄ + μ(w − w̄).

    After update t, η is lr/(1 + lambd·lr·t)^alpha and μ is 1/max(1, t − t0). As in torch, the next update uses these
    values. Up to update `t0`, the average w̄ (``ax``) is equal to w. Afterwards w̄ is the mean of w over the updates
    after `t0` (Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992; Bottou's form of η).
    `weight_decay` λ adds λw to the gradient.
    """
    dtype, eta, mu = parameter.dtype, state["eta"], state["mu"]
    parameter.mul_((1 - c["lambd"] * eta).to(dtype))  # w ← (1 − lambd·η)w
    parameter.addcmul_(gradient, eta.to(dtype), value=-1)  # w ← w − η∇L
    state["ax"].lerp_(parameter, mu.to(dtype))  # w̄ ← w̄ + μ(w − w̄)
    eta.copy_(c["next_eta"])
    mu.copy_(c["next_mu"])


ASGD = Rule(init_asgd, asgd_coefficients, asgd, wide=("lambd", "next_eta", "next_mu"))
