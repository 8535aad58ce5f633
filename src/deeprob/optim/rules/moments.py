"""Adam and related rules, which keep running means of gradients and of squared gradients."""

import torch
from torch import Tensor

from deeprob.optim.rules.base import Scalar, State, decayed, zero


def init_adam(parameter: Tensor, lr: Scalar, *, amsgrad: bool = False, **hyper: Scalar) -> State:
    """Return the state before the first update: m = 0, v = 0, and 0 as the largest v if `amsgrad`."""
    names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ()))
    return {"step": zero(parameter)} | {name: torch.zeros_like(parameter) for name in names}


def adam(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
    bias_correction: bool = True,
) -> tuple[Tensor, State]:
    """RMSProp with momentum and bias correction: w ← w − α·m̂/(√v̂ + ε).

    The means m ← β₁m + (1 − β₁)∇L and v ← β₂v + (1 − β₂)∇L² start at 0, so they are too small at first. Bias correction
    makes them larger: m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) (Kingma & Ba, "Adam: a method for stochastic optimization",
    2015). Without `bias_correction`, m̂ = m and v̂ = v; this rule is called "almost Adam".

    `weight_decay` λ adds λw to the gradient. If `decoupled_weight_decay`, it shrinks w instead (see `adamw`).
    With `amsgrad`, the largest v so far replaces v (Reddi, Kale & Kumar, "On the convergence of Adam and beyond",
    2018).

    Examples
    --------
    >>> w, g = torch.tensor([1.0]), torch.tensor([5.0])
    >>> adam(w, g, init_adam(w, 0.1), 0.1)[0]  # m̂ = 5, v̂ = 25: w = 1 − 0.1·5/5
    tensor([0.9000])
    >>> adam(w, g, init_adam(w, 0.1), 0.1, bias_correction=False)[0]  # m = 0.5, v = 0.025: w = 1 − 0.1·3.16
    tensor([0.6838])
    """
    w, g = decayed(parameter, gradient, lr, weight_decay, decoupled_weight_decay)
    t = state["step"] + 1
    m = beta1 * state["exp_avg"] + (1 - beta1) * g
    v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
    new = {"step": t, "exp_avg": m, "exp_avg_sq": v}
    if amsgrad:
        v = new["max_exp_avg_sq"] = torch.maximum(state["max_exp_avg_sq"], v)
    if bias_correction:
        m, v = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m / (v.sqrt() + eps), new


def adamw(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
    amsgrad: bool = False,
) -> tuple[Tensor, State]:
    """Adam with decoupled weight decay λ: w ← (1 − αλ)w, then Adam's step.

    In Adam, λw is part of the gradient, so λw is divided by √v̂ too. Here every weight shrinks by the same share
    (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019).

    Examples
    --------
    >>> w, g = torch.tensor([1.0]), torch.tensor([5.0])
    >>> adamw(w, g, init_adam(w, 0.1), 0.1, weight_decay=0.5)[0]  # (1 − 0.05)·1 − 0.1
    tensor([0.8500])
    """
    w = (1 - lr * weight_decay) * parameter
    return adam(w, gradient, state, lr, beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad)


def init_nadam(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: m = 0, v = 0, and 1 as the product of all μ."""
    return init_adam(parameter, lr) | {"mu_product": zero(parameter) + 1}


def nadam(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
) -> tuple[Tensor, State]:
    """Adam with Nesterov's momentum: w ← w − α·m̂/(√v̂ + ε), where m̂ uses the momentum of the next update.

    m̂ = μₜ₊₁·m/(1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·∇L/(1 − μ₁⋯μₜ) with μₜ = β₁(1 − ½·0.96^(t·momentum_decay)). m and v̂ are those
    of Adam (Dozat, "Incorporating Nesterov momentum into Adam", 2016).
    """
    w, g = decayed(parameter, gradient, lr, weight_decay, decoupled_weight_decay)
    t = state["step"] + 1
    m = beta1 * state["exp_avg"] + (1 - beta1) * g
    v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
    mu, ahead = (beta1 * (1 - 0.5 * 0.96 ** (time * momentum_decay)) for time in (t, t + 1))
    single = torch.get_default_dtype()  # torch keeps the product in this precision
    product = (state["mu_product"] * mu.to(single)).to(single).double()
    m_hat = ahead / (1 - product * ahead) * m + (1 - mu) / (1 - product) * g
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat.sqrt() + eps), {"step": t, "exp_avg": m, "exp_avg_sq": v, "mu_product": product}


def radam(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    decoupled_weight_decay: bool = False,
) -> tuple[Tensor, State]:
    """Adam with rectified variance: w ← w − α·r·m̂/√v̂, or w ← w − α·m̂ while v̂ is unreliable.

    v̂ is a mean of about ρₜ = ρ − 2tβ₂ᵗ/(1 − β₂ᵗ) squared gradients. ρₜ rises to ρ = 2/(1 − β₂) − 1. v̂ is reliable if
    ρₜ > 5. Then r = √((ρₜ − 4)(ρₜ − 2)ρ / ((ρ − 4)(ρ − 2)ρₜ)), which rises to 1. As in torch, √v̂ is
    (√v + ε)/√(1 − β₂ᵗ) (Liu et al., "On the variance of the adaptive learning rate and beyond", 2020).
    """
    w, g = decayed(parameter, gradient, lr, weight_decay, decoupled_weight_decay)
    t = state["step"] + 1
    m = beta1 * state["exp_avg"] + (1 - beta1) * g
    v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    root = (v.sqrt() + eps) / (1 - beta2**t).sqrt()
    rho = 2 / (1 - beta2) - 1
    rho_t = rho - 2 * t * beta2**t / (1 - beta2**t)
    r = ((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)).sqrt()
    direction = torch.where(rho_t > 5, r * m_hat / root, m_hat)
    return w - lr * direction, {"step": t, "exp_avg": m, "exp_avg_sq": v}


def init_adamax(parameter: Tensor, lr: Scalar, **hyper: Scalar) -> State:
    """Return the state before the first update: m = 0 and u = 0."""
    return {"step": zero(parameter), "exp_avg": torch.zeros_like(parameter), "exp_inf": torch.zeros_like(parameter)}


def adamax(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    lr: Scalar,
    *,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
) -> tuple[Tensor, State]:
    """Adam with the infinity norm: w ← w − α·m̂/u with u ← max(β₂u, |∇L| + ε).

    m̂ is that of Adam. `weight_decay` λ adds λw to the gradient (Kingma & Ba 2015, section 7.1).
    """
    g = gradient + weight_decay * parameter
    t = state["step"] + 1
    m = beta1 * state["exp_avg"] + (1 - beta1) * g
    u = torch.maximum(beta2 * state["exp_inf"], g.abs() + eps)
    m_hat = m / (1 - beta1**t)
    return parameter - lr * m_hat / u, {"step": t, "exp_avg": m, "exp_inf": u}
