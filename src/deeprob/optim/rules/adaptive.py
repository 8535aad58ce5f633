"""Rules that compute a separate learning rate for each weight from the size or the sign of its gradients."""

import torch
from torch import Tensor

from deeprob.optim.rules.base import Scalar, State, at_least, at_most, zero


def init_adagrad(parameter: Tensor, lr: Scalar, *, initial_accumulator_value: Scalar = 0.0, **hyper: Scalar) -> State:
    """Return the state before the first update: s = `initial_accumulator_value`."""
    return {"step": zero(parameter), "sum": torch.zeros_like(parameter) + initial_accumulator_value}


def adagrad(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    lr_decay: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    initial_accumulator_value: Scalar = 0.0,
    eps: Scalar = 1e-10,
) -> tuple[Tensor, State]:
    """AdaGrad makes steps smaller for weights with large gradients: s ← s + ∇L², w ← w − α·∇L/(√s + ε).

    In update t, α = lr/(1 + (t − 1)·lr_decay). ε = `eps`. `weight_decay` λ adds λw to the gradient. s only grows, so
    steps only shrink (Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011).

    Examples
    --------
    >>> w = torch.tensor([1.0])
    >>> w, state = adagrad(w, torch.tensor([3.0]), init_adagrad(w, 0.1), 0.1)  # s = 9, w = 1 − 0.1·3/3
    >>> w, state = adagrad(w, torch.tensor([4.0]), state, 0.1)  # s = 9 + 16, w = 0.9 − 0.1·4/5
    >>> w
    tensor([0.8200])
    """
    g = gradient + weight_decay * parameter
    s = state["sum"] + g * g
    alpha = lr / (1 + state["step"] * lr_decay)
    return parameter - alpha * g / (s.sqrt() + eps), {"step": state["step"] + 1, "sum": s}


def init_rmsprop(parameter: Tensor, lr: Scalar, *, centered: bool = False, **hyper: Scalar) -> State:
    """Return the state before the first update: s = 0, v = 0, and a = 0 if `centered`."""
    names = ("square_avg", "momentum_buffer", *(("grad_avg",) if centered else ()))
    return {name: torch.zeros_like(parameter) for name in names}


def rmsprop(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.0,
    centered: bool = False,
) -> tuple[Tensor, State]:
    """Leaky AdaGrad: s ← ρs + (1 − ρ)∇L², v ← μv + ∇L/(√s + ε), w ← w − lr·v.

    ρ = `alpha`, ε = `eps`, μ = `momentum`. `weight_decay` λ adds λw to the gradient. If `centered`, the variance
    s − a² replaces s in the step. Here a ← ρa + (1 − ρ)∇L is the mean gradient (Tieleman & Hinton, "Lecture 6.5:
    RMSProp", 2012; Graves, "Generating sequences", 2013).

    Examples
    --------
    >>> w = torch.tensor([1.0])
    >>> w, state = rmsprop(w, torch.tensor([3.0]), init_rmsprop(w, 0.1), 0.1, alpha=0.75)  # s = 9/4, w = 1 − 0.1·3/1.5
    >>> w
    tensor([0.8000])
    """
    g = gradient + weight_decay * parameter
    s = variance = alpha * state["square_avg"] + (1 - alpha) * g * g
    new = {"square_avg": s}
    if centered:
        a = new["grad_avg"] = alpha * state["grad_avg"] + (1 - alpha) * g
        variance = s - a * a
    v = new["momentum_buffer"] = momentum * state["momentum_buffer"] + g / (variance.sqrt() + eps)
    return parameter - lr * v, new


def init_adadelta(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: s = 0 and u = 0."""
    return {"square_avg": torch.zeros_like(parameter), "acc_delta": torch.zeros_like(parameter)}


def adadelta(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
) -> tuple[Tensor, State]:
    """RMSProp whose steps have the same units as the weights: d = √(u + ε)/√(s + ε)·∇L, w ← w − lr·d.

    Before the step, s ← ρs + (1 − ρ)∇L². After the step, u ← ρu + (1 − ρ)d². ρ is `rho` and ε is `eps`. `weight_decay`
    λ adds λw to the gradient (Zeiler, "Adadelta: an adaptive learning rate method", 2012).
    """
    g = gradient + weight_decay * parameter
    s = rho * state["square_avg"] + (1 - rho) * g * g
    d = (state["acc_delta"] + eps).sqrt() / (s + eps).sqrt() * g
    u = rho * state["acc_delta"] + (1 - rho) * d * d
    return parameter - lr * d, {"square_avg": s, "acc_delta": u}


def init_adafactor(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: all second moments are 0.

    A matrix has one second moment for each row (rows × 1) and one for each column (1 × columns). A vector has one for
    each entry.
    """
    second = torch.zeros_like(parameter)
    if parameter.dim() < 2:
        return {"step": zero(parameter), "variance": second}
    return {"step": zero(parameter), "row_var": second[..., :1], "col_var": second[..., :1, :]}


def adafactor(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    eps1: Scalar,
    beta2_decay: Scalar = -0.8,
    eps2: Scalar = 1e-3,
    d: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
) -> tuple[Tensor, State]:
    """Adam without momentum, with one second moment for each row and each column of a matrix.

    In update t, with β = 1 − t^beta2_decay and α = max(ε₂, rms(w))·min(lr, 1/√t):

        r ← βr + (1 − β)·(mean of ∇L² over each row)
        c ← βc + (1 − β)·(mean of ∇L² over each column)
        v = r·c/mean(r)
        x = ∇L/max(√v, ε₁)
        w ← (1 − lr·λ)w − α·x/max(1, rms(x)/d)

    For a vector, v ← βv + (1 − β)∇L² replaces the first three lines. rms is the root of the mean square. ε₁ = `eps1`,
    ε₂ = `eps2`, λ = `weight_decay` (Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear memory cost",
    2018).
    """
    t = state["step"] + 1
    fresh = t**beta2_decay  # 1 − β
    square = gradient * gradient
    if parameter.dim() < 2:
        v = (1 - fresh) * state["variance"] + fresh * square
        new = {"step": t, "variance": v}
    else:
        r = (1 - fresh) * state["row_var"] + fresh * square.mean(-1, keepdim=True)
        c = (1 - fresh) * state["col_var"] + fresh * square.mean(-2, keepdim=True)
        v = r * c / at_least(r.mean(-2, keepdim=True), eps1)
        new = {"step": t, "row_var": r, "col_var": c}
    x = gradient / at_least(v.sqrt(), eps1)
    x = x / at_least(_rms(x) / d, 1.0)
    alpha = at_least(_rms(parameter), eps2) * at_most(t**-0.5, lr)
    return (1 - lr * weight_decay) * parameter - alpha * x, new


def _rms(values: Tensor) -> Tensor:
    """Return the root of the mean square. Example: (1, −7) gives 5."""
    return (values * values).mean().sqrt()


def init_rprop(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: step lengths Δ = `lr`, and a previous gradient of 0."""
    return {"prev": torch.zeros_like(parameter), "step_size": torch.zeros_like(parameter) + lr}


def rprop(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    eta1: Scalar = 0.5,
    eta2: Scalar = 1.2,
    step_size1: Scalar = 1e-6,
    step_size2: Scalar = 50.0,
) -> tuple[Tensor, State]:
    """Use only the signs of gradients: w ← w − Δ·sign(∇L), with a step length Δ for each weight.

    Δ is multiplied by `eta2` if the gradient keeps its sign, and by `eta1` if the sign flips. Δ stays between
    `step_size1` and `step_size2`. In an update where the sign flips, the weight does not move. `lr` is only the initial
    Δ (Riedmiller & Braun, "The RPROP algorithm", 1993).

    Examples
    --------
    >>> w, state = torch.tensor([1.0]), init_rprop(torch.tensor([1.0]), 0.1)
    >>> for g in (7.0, 0.3, -0.3):  # Δ = 0.1, then 0.12, then 0.06 and no step
    ...     w, state = rprop(w, torch.tensor([g]), state, 0.1)
    >>> w, state["step_size"]
    (tensor([0.7800]), tensor([0.0600]))
    """
    agreement = gradient * state["prev"]
    size = state["step_size"]
    size = torch.where(agreement > 0, eta2 * size, torch.where(agreement < 0, eta1 * size, size))
    size = at_most(at_least(size, step_size1), step_size2)
    g = torch.where(agreement < 0, 0.0, gradient)
    return parameter - size * g.sign(), {"prev": g, "step_size": size}
