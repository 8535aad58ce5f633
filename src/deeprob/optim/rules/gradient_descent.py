"""Rules whose steps are proportional to the gradient, or to a running sum of gradients."""

import torch
from torch import Tensor

from deeprob.optim.rules.base import Scalar, State, at_least, at_most, zero


def init_sgd(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: v = 0."""
    return {"step": zero(parameter), "momentum_buffer": torch.zeros_like(parameter)}


def sgd(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    momentum: Scalar = 0.0,
    dampening: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    nesterov: bool = False,
) -> tuple[Tensor, State]:
    """Gradient descent with momentum: v ← ρv + ∇L, w ← w − αv.

    α = `lr`, ρ = `momentum`; without momentum v is ∇L. `weight_decay` λ adds λw to the gradient. With
    momentum, `dampening` d changes the formula to v ← ρv + (1 − d)∇L from the second update on.

    With `nesterov` the step is −α(∇L + ρv), where v is the new v. Another form of the same rule is
    v ← ρv − α∇L(w + ρv), w ← w + v. Its point w + ρv, where the gradient is computed, is the weight w of this function
    (Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013).

    Examples
    --------
    >>> w, g = torch.tensor([1.0]), torch.tensor([1.0])
    >>> w, state = sgd(w, g, init_sgd(w, 0.1), 0.1, momentum=0.9)  # v = 1, w = 1 − 0.1
    >>> w, state = sgd(w, g, state, 0.1, momentum=0.9)  # v = 0.9 + 1, w = 0.9 − 0.19
    >>> w
    tensor([0.7100])
    """
    g = gradient + weight_decay * parameter
    d = dampening * at_most(state["step"], 1.0) * (momentum != 0)
    v = momentum * state["momentum_buffer"] + (1 - d) * g
    direction = g + momentum * v if nesterov else v
    return parameter - lr * direction, {"step": state["step"] + 1, "momentum_buffer": v}


def init_asgd(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: η = `lr`, μ = 1 and w̄ = 0."""
    number = zero(parameter)
    return {"step": number, "eta": number + lr, "mu": number + 1, "ax": torch.zeros_like(parameter)}


def asgd(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
    weight_decay: Scalar = 0.0,
) -> tuple[Tensor, State]:
    """Gradient descent that averages w: w ← (1 − lambd·η)w − η∇L, w̄ ← w̄ + μ(w − w̄).

    After update t, η = lr/(1 + lambd·lr·t)^alpha and μ = 1/max(1, t − t0). The average w̄ is ``ax`` in the state. Up to
    update `t0` it is w itself. Afterwards it is the mean of w over the updates after `t0` (Polyak & Juditsky,
    "Acceleration of stochastic approximation by averaging", 1992; Bottou's form of η). As in torch, an update uses the
    η that the previous update computed.
    """
    g = gradient + weight_decay * parameter
    w = (1 - lambd * state["eta"]) * parameter - state["eta"] * g
    average = state["ax"] + state["mu"] * (w - state["ax"])
    t = state["step"] + 1
    eta = lr / (1 + lambd * lr * t) ** alpha
    mu = 1 / at_least(t - t0, 1.0)
    return w, {"step": t, "eta": eta, "mu": mu, "ax": average}
