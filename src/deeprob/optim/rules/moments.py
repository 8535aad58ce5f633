"""Adam and related rules, which track running means of gradients and of squared gradients."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from deeprob.optim.rules.base import Number, Rule, State, decaying, each, power, root, scalar, zeros

LEAST_RATE = 1e-37
"""The least rate of Adam that moves a weight. The inverse of a smaller rate would be infinite in float32."""


def init_adam(parameter: Tensor, lr: Number, *, amsgrad: bool = False, **hyper: Number | bool) -> State:
    """Return m = 0 and v = 0. If `amsgrad`, add 0 as the largest v so far."""
    return zeros(parameter, "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ()))


def adam_coefficients(
    t: int,
    lr: Number,
    *,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
    bias_correction: bool = True,
) -> dict[str, Number]:
    """Return the numbers for w ← w − m/(a√v + b), which equals Adam's rule w ← w − α·m̂/(√v̂ + ε).

    With c = √(1 − β₂ᵗ), √v̂ is √v/c. So a is 1/r and b is εc/r, where r = αc/(1 − β₁ᵗ). If r is below `LEAST_RATE`, then
    a is 0 and b is infinite, and w does not change.
    """
    correction1 = 1 - power(beta1, t) if bias_correction else 1.0
    correction2 = root(1 - power(beta2, t)) if bias_correction else 1.0
    rate = lr * correction2 / correction1
    return {
        "one_minus_beta1": 1 - beta1,
        "one_minus_beta2": 1 - beta2,
        "a": each(lambda r: 1 / r if r > LEAST_RATE else 0.0, rate),
        "b": each(lambda r, e: e / r if r > LEAST_RATE else math.inf, rate, eps * correction2),
        **decaying(lr, weight_decay, decoupled_weight_decay),
    }


def adam(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """RMSProp with momentum and bias correction: w ← w − α·m̂/(√v̂ + ε).

    The means m ← β₁m + (1 − β₁)∇L and v ← β₂v + (1 − β₂)∇L² start at 0, so they are too small at first. Bias correction
    makes them larger: m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ). Without `bias_correction`, m̂ is m and v̂ is v; this rule is
    called "almost Adam" (Kingma & Ba, "Adam: a method for stochastic optimization", 2015). `weight_decay` λ adds λw to
    the gradient. Decoupled weight decay shrinks w instead (see `adamw_coefficients`). `amsgrad` replaces v by the
    largest v so far (Reddi, Kale & Kumar, "On the convergence of Adam and beyond", 2018).

    Examples
    --------
    >>> w = torch.tensor([[1.0]])
    >>> step(ADAM, w, torch.tensor([[5.0]]), init_adam(w, 0.1), 1, 0.1)  # m̂ = 5, v̂ = 25: w = 1 − 0.1·5/5
    >>> w
    tensor([[0.9000]])
    >>> w = torch.tensor([[1.0]])
    >>> step(ADAM, w, torch.tensor([[5.0]]), init_adam(w, 0.1), 1, 0.1, bias_correction=False)
    >>> w  # m = 0.5, v = 0.025: w = 1 − 0.1·3.16
    tensor([[0.6838]])
    """
    m = mean(gradient, state, c)
    v = mean_square(gradient, state, c)
    if "max_exp_avg_sq" in state:
        v = torch.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
    denominator = torch.sqrt(v, out=gradient).mul_(c["a"]).add_(c["b"])  # a√v + b
    parameter.addcdiv_(m, denominator, value=-1)  # w ← w − m/(a√v + b)


def mean(gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> Tensor:
    """Update the mean of gradients, m ← β₁m + (1 − β₁)∇L, and return it."""
    return state["exp_avg"].lerp_(gradient, c["one_minus_beta1"])


def mean_square(gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> Tensor:
    """Update the mean of squared gradients, v ← β₂v + (1 − β₂)∇L², and return it. `gradient` is squared in place."""
    return state["exp_avg_sq"].lerp_(gradient.mul_(gradient), c["one_minus_beta2"])


ADAM = Rule(init_adam, adam_coefficients, adam, flags=("amsgrad", "decoupled_weight_decay"))


def adamw_coefficients(
    t: int,
    lr: Number,
    *,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 1e-2,
    amsgrad: bool = False,
) -> dict[str, Number]:
    """Adam with decoupled weight decay λ: w ← (1 − αλ)w, then Adam's step.

    In Adam, λw is part of the gradient, so it is also divided by √v̂. Here every weight shrinks by the same share
    (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019). Return the coefficients of `adam` for this.

    Examples
    --------
    >>> w = torch.tensor([[1.0]])
    >>> step(ADAMW, w, torch.tensor([[5.0]]), init_adam(w, 0.1), 1, 0.1, weight_decay=0.5)  # (1 − 0.05)·1 − 0.1
    >>> w
    tensor([[0.8500]])
    """
    return adam_coefficients(
        t, lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled_weight_decay=True
    )


ADAMW = Rule(init_adam, adamw_coefficients, adam, flags=("amsgrad",))


def init_nadam(parameter: Tensor, lr: Number, **hyper: Number | bool) -> State:
    """Return m = 0, v = 0, and the product μ₁⋯μₜ, which is 1 for t = 0."""
    return init_adam(parameter, lr) | {"mu_product": scalar(1.0, parameter)}


def nadam_coefficients(
    t: int,
    lr: Number,
    *,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    momentum_decay: Number = 4e-3,
    decoupled_weight_decay: bool = False,
) -> dict[str, Number]:
    """Return the numbers for the rule of `nadam`. Both rates include the bias correction of v, but not of m."""
    correction2 = root(1 - power(beta2, t))
    mu, next_mu = (beta1 * (1 - 0.5 * power(0.96, time * momentum_decay)) for time in (t, t + 1))
    return {
        "one_minus_beta1": 1 - beta1,
        "one_minus_beta2": 1 - beta2,
        "eps": eps * correction2,
        "mu": mu,
        "next_mu": next_mu,
        "rate_of_gradient": lr * correction2 * (1 - mu),
        "rate_of_mean": lr * correction2 * next_mu,
        **decaying(lr, weight_decay, decoupled_weight_decay),
    }


def nadam(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Adam with Nesterov's momentum: w ← w − α·m̂/(√v̂ + ε), where m and v̂ are computed as in Adam.

    m̂ = μₜ₊₁·m/(1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·∇L/(1 − μ₁⋯μₜ) with μₜ = β₁(1 − ½·0.96^(t·momentum_decay))
    (Dozat, "Incorporating Nesterov momentum into Adam", 2016).
    """
    m = mean(gradient, state, c)
    kept = state["mu_product"]
    product = kept.mul_(c["mu"].to(kept.dtype)).double()  # μ₁⋯μₜ, rounded as torch does
    of_gradient = c["rate_of_gradient"] / (1 - product)  # α(1 − μₜ)/(1 − μ₁⋯μₜ)
    of_mean = c["rate_of_mean"] / (1 - product * c["next_mu"])  # αμₜ₊₁/(1 − μ₁⋯μₜ₊₁)
    direction = (gradient * of_gradient.to(m.dtype)).addcmul_(m, of_mean.to(m.dtype))  # α·m̂
    v = mean_square(gradient, state, c)
    denominator = torch.sqrt(v, out=gradient).add_(c["eps"])  # √v + ε', see `adam_coefficients`
    parameter.addcdiv_(direction, denominator, value=-1)  # w ← w − α·m̂/(√v + ε')


NADAM = Rule(
    init_nadam,
    nadam_coefficients,
    nadam,
    flags=("decoupled_weight_decay",),
    wide=("mu", "next_mu", "rate_of_gradient", "rate_of_mean"),
)


def radam_coefficients(
    t: int,
    lr: Number,
    *,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    decoupled_weight_decay: bool = False,
) -> dict[str, Number]:
    """Return the numbers for the rule w ← w − rate·m/(a√v + b), with a as ``reliable`` and b as ``offset``.

    While v̂ is unreliable (see `radam`), a is 0 and b is 1. Later, a is 1 and b is ε.
    """
    rectification = each(rectified, t, beta2)
    reliable = (rectification != 0) * 1.0
    scale = rectification * root(1 - power(beta2, t)) + (1 - reliable)  # r·√(1 − β₂ᵗ), or 1
    return {
        "one_minus_beta1": 1 - beta1,
        "one_minus_beta2": 1 - beta2,
        "rate": lr * scale / (1 - power(beta1, t)),
        "reliable": reliable,
        "offset": reliable * eps + (1 - reliable),
        **decaying(lr, weight_decay, decoupled_weight_decay),
    }


def rectified(t: int, beta2: float) -> float:
    """Return the factor r of `radam`; return 0 while v̂ is unreliable."""
    rho = 2 / (1 - beta2) - 1
    rho_t = rho - 2 * t * beta2**t / (1 - beta2**t)
    if rho_t <= 5:
        return 0.0
    return math.sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))


def radam(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Adam with rectified variance: w ← w − α·r·m̂/√v̂, or w ← w − α·m̂ while v̂ is unreliable.

    v̂ is a mean of about ρₜ = ρ − 2tβ₂ᵗ/(1 − β₂ᵗ) squared gradients. ρₜ rises to ρ = 2/(1 − β₂) − 1. While ρₜ ≤ 5, v̂ is
    unreliable. Later, r = √((ρₜ − 4)(ρₜ − 2)ρ / ((ρ − 4)(ρ − 2)ρₜ)) rises to 1. As in torch, √v̂ is (√v + ε)/√(1 − β₂ᵗ)
    (Liu et al., "On the variance of the adaptive learning rate and beyond", 2020).
    """
    m = mean(gradient, state, c)
    v = mean_square(gradient, state, c)
    denominator = torch.addcmul(c["offset"], torch.sqrt(v, out=gradient), c["reliable"])  # √v + ε, or 1
    parameter.addcdiv_(m * c["rate"], denominator, value=-1)  # w ← w − rate·m/denominator


RADAM = Rule(init_adam, radam_coefficients, radam, flags=("decoupled_weight_decay",))


def init_adamax(parameter: Tensor, lr: Number, **hyper: Number) -> State:
    """Return m = 0 and u = 0."""
    return zeros(parameter, "exp_avg", "exp_inf")


def adamax_coefficients(
    t: int,
    lr: Number,
    *,
    beta1: Number = 0.9,
    beta2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
) -> dict[str, Number]:
    """Return 1 − β₁, β₂, ε and α/(1 − β₁ᵗ), where α is `lr`."""
    return {
        "one_minus_beta1": 1 - beta1,
        "beta2": beta2,
        "eps": eps,
        "rate": lr / (1 - power(beta1, t)),
        **decaying(lr, weight_decay),
    }


def adamax(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Adam with the infinity norm: w ← w − α·m̂/u with u ← max(β₂u, |∇L| + ε).

    m̂ is computed as in Adam. `weight_decay` λ adds λw to the gradient (Kingma & Ba 2015, section 7.1).
    """
    m = mean(gradient, state, c)
    u = state["exp_inf"].mul_(c["beta2"])
    torch.maximum(u, gradient.abs_().add_(c["eps"]), out=u)  # u ← max(β₂u, |∇L| + ε)
    parameter.addcdiv_(m * c["rate"], u, value=-1)  # w ← w − rate·m/u


ADAMAX = Rule(init_adamax, adamax_coefficients, adamax)
