"""Rules with a separate learning rate for each weight, computed from the size or the sign of its gradients."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from deeprob.optim.rules.base import Number, Rule, State, decaying, each, filled, is_matrix, power, some, zeros


def init_adagrad(parameter: Tensor, lr: Number, *, initial_accumulator_value: Number = 0.0, **hyper: Number) -> State:
    """Return s = `initial_accumulator_value`."""
    return {"sum": filled(initial_accumulator_value, parameter)}


def adagrad_coefficients(
    t: int,
    lr: Number,
    *,
    lr_decay: Number = 0.0,
    weight_decay: Number = 0.0,
    initial_accumulator_value: Number = 0.0,
    eps: Number = 1e-10,
) -> dict[str, Number]:
    """Return ε = `eps`, and the learning rate α in update t."""
    return {"rate": lr / (1 + (t - 1) * lr_decay), "eps": eps, **decaying(lr, weight_decay)}


def adagrad(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Make steps smaller for weights with large gradients: s ← s + ∇L², w ← w − α·∇L/(√s + ε).

    In update t, α is lr/(1 + (t − 1)·lr_decay). ε is `eps`. `weight_decay` λ adds λw to the gradient. s only grows, so
    steps shrink during the run (Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011).

    Examples
    --------
    >>> w = torch.tensor([[1.0]])
    >>> state = init_adagrad(w, 0.1)
    >>> step(ADAGRAD, w, torch.tensor([[3.0]]), state, 1, 0.1)  # s = 9, w = 1 − 0.1·3/3
    >>> step(ADAGRAD, w, torch.tensor([[4.0]]), state, 2, 0.1)  # s = 9 + 16, w = 0.9 − 0.1·4/5
    >>> w
    tensor([[0.8200]])
    """
    s = state["sum"].addcmul_(gradient, gradient)  # s ← s + ∇L²
    denominator = s.sqrt().add_(c["eps"])  # √s + ε
    parameter.addcdiv_(gradient.mul_(c["rate"]), denominator, value=-1)  # w ← w − α·∇L/(√s + ε)


ADAGRAD = Rule(init_adagrad, adagrad_coefficients, adagrad)


def init_rmsprop(
    parameter: Tensor, lr: Number, *, momentum: Number = 0.0, centered: bool = False, **hyper: Number
) -> State:
    """Return s = 0. If a run has momentum, add v = 0. If `centered`, add the mean gradient a = 0."""
    names = (("momentum_buffer",) if some(momentum) else ()) + (("grad_avg",) if centered else ())
    return zeros(parameter, "square_avg", *names)


def rmsprop_coefficients(
    t: int,
    lr: Number,
    *,
    alpha: Number = 0.99,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    momentum: Number = 0.0,
    centered: bool = False,
) -> dict[str, Number]:
    """Return 1 − ρ, ε and `lr`. If a run has momentum, also return μ. `rmsprop` explains the symbols."""
    c = {"one_minus_alpha": 1 - alpha, "eps": eps, "rate": lr, **decaying(lr, weight_decay)}
    return {**c, "momentum": momentum} if some(momentum) else c


def rmsprop(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Leaky AdaGrad: s ← ρs + (1 − ρ)∇L², v ← μv + ∇L/(√s + ε), w ← w − lr·v.

    ρ is `alpha`, ε is `eps` and μ is `momentum`. `weight_decay` λ adds λw to the gradient. If `centered`, the variance
    s − a² replaces s under the root, with the mean gradient a ← ρa + (1 − ρ)∇L
    (Tieleman & Hinton, "Lecture 6.5: RMSProp", 2012; Graves, "Generating sequences", 2013).

    Examples
    --------
    >>> w = torch.tensor([[1.0]])
    >>> step(RMSPROP, w, torch.tensor([[3.0]]), init_rmsprop(w, 0.1), 1, 0.1, alpha=0.75)  # s = 9/4, w = 1 − 0.1·3/1.5
    >>> w
    tensor([[0.8000]])
    """
    s = state["square_avg"].lerp_(gradient * gradient, c["one_minus_alpha"])  # s ← ρs + (1 − ρ)∇L²
    if "grad_avg" in state:
        a = state["grad_avg"].lerp_(gradient, c["one_minus_alpha"])  # a ← ρa + (1 − ρ)∇L
        denominator = s.addcmul(a, a, value=-1).sqrt_().add_(c["eps"])  # √(s − a²) + ε
    else:
        denominator = s.sqrt().add_(c["eps"])  # √s + ε
    if "momentum" in c:
        v = state["momentum_buffer"].mul_(c["momentum"]).addcdiv_(gradient, denominator)  # v ← μv + ∇L/(√s + ε)
    else:
        v = gradient.div_(denominator)
    parameter.addcmul_(v, c["rate"], value=-1)  # w ← w − lr·v


RMSPROP = Rule(init_rmsprop, rmsprop_coefficients, rmsprop, flags=("centered",))


def init_adadelta(parameter: Tensor, lr: Number, **hyper: Number) -> State:
    """Return s = 0 and u = 0."""
    return zeros(parameter, "square_avg", "acc_delta")


def adadelta_coefficients(
    t: int,
    lr: Number,
    *,
    rho: Number = 0.9,
    eps: Number = 1e-6,
    weight_decay: Number = 0.0,
) -> dict[str, Number]:
    """Return 1 − ρ with ρ = `rho`, ε = `eps`, and `lr`."""
    return {"one_minus_rho": 1 - rho, "eps": eps, "rate": lr, **decaying(lr, weight_decay)}


def adadelta(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """RMSProp with steps in units of the weights: d = √(u + ε)/√(s + ε)·∇L, w ← w − lr·d.

    Before the step, s ← ρs + (1 − ρ)∇L². After the step, u ← ρu + (1 − ρ)d². ρ is `rho` and ε is `eps`. `weight_decay`
    λ adds λw to the gradient (Zeiler, "Adadelta: an adaptive learning rate method", 2012).
    """
    u = state["acc_delta"]
    s = state["square_avg"].lerp_(gradient * gradient, c["one_minus_rho"])  # s ← ρs + (1 − ρ)∇L²
    ratio = (u + c["eps"]).div_(s + c["eps"])  # (u + ε)/(s + ε)
    d = gradient.mul_(ratio.sqrt_())  # d = √ratio·∇L
    u.lerp_(d * d, c["one_minus_rho"])  # u ← ρu + (1 − ρ)d²
    parameter.addcmul_(d, c["rate"], value=-1)  # w ← w − lr·d


ADADELTA = Rule(init_adadelta, adadelta_coefficients, adadelta)


def init_adafactor(parameter: Tensor, lr: Number, **hyper: Number) -> State:
    """Return second moments that are all 0.

    A matrix (R, H, D) has second moments (R, H, 1) of its rows and (R, 1, D) of its columns. A vector has one second
    moment for each entry.
    """
    if is_matrix(parameter):
        return zeros(parameter[..., :1], "row_var") | zeros(parameter[..., :1, :], "col_var")
    return zeros(parameter, "variance")


def adafactor_coefficients(
    t: int,
    lr: Number,
    *,
    eps1: Number,
    beta2_decay: Number = -0.8,
    eps2: Number = 1e-3,
    d: Number = 1.0,
    weight_decay: Number = 0.0,
) -> dict[str, Number]:
    """Return 1 − β, min(lr, 1/√t), ε₁, ε₂ and d (see `adafactor`). With weight decay λ, add 1/|1 − lr·λ|."""
    c = {
        "one_minus_beta": power(t, beta2_decay),
        "rate": np.minimum(lr, 1 / math.sqrt(t)),
        "eps1": eps1,
        "eps2": eps2,
        "d": d,
        **decaying(lr, weight_decay, decoupled=True),
    }
    if "shrink" in c:
        c["unshrink"] = each(lambda share: 1 / abs(share) if share else 0.0, c["shrink"])
    return c


def adafactor(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Adam without momentum. A matrix has one second moment per row and one per column.

    For a matrix: r ← βr + (1 − β)·(mean of ∇L² in each row), c ← βc + (1 − β)·(mean of ∇L² in each column), and
    v = r·c/mean(r). For a vector: v ← βv + (1 − β)∇L². Then w ← (1 − lr·λ)w − α·x/max(1, rms(x)/d) with
    x = ∇L/max(√v, ε₁), α = max(ε₂, rms(w))·min(lr, 1/√t) and β = 1 − t^beta2_decay. rms is the root of the mean square.
    ε₁ is `eps1`, ε₂ is `eps2` and λ is `weight_decay` (Shazeer & Stern, "Adafactor: adaptive learning rates with
    sublinear memory cost", 2018).

    rms(w) in α means w before weight decay. But when a matrix is passed to this function, the caller has multiplied it
    by 1 − lr·λ already. So rms(w) of a matrix is divided by |1 − lr·λ|.
    """
    square = gradient * gradient
    if is_matrix(parameter):
        row = state["row_var"].lerp_(square.mean(-1, keepdim=True), c["one_minus_beta"])  # r
        column = state["col_var"].lerp_(square.mean(-2, keepdim=True), c["one_minus_beta"])  # c
        v = row / torch.maximum(row.mean(-2, keepdim=True), c["eps1"]) * column  # v = r·c/mean(r)
        root = v.sqrt_()
    else:
        root = state["variance"].lerp_(square, c["one_minus_beta"]).sqrt()  # v ← βv + (1 − β)∇L²
    x = gradient.div_(torch.maximum(root, c["eps1"], out=root))  # x = ∇L/max(√v, ε₁)
    size = rms(parameter)
    if is_matrix(parameter) and "unshrink" in c:
        size.mul_(c["unshrink"])
    alpha = torch.maximum(size, c["eps2"]).mul_(c["rate"])  # α = max(ε₂, rms(w))·min(lr, 1/√t)
    alpha.div_(torch.clamp(rms(x).div_(c["d"]), min=1))  # α/max(1, rms(x)/d)
    parameter.addcmul_(x, alpha, value=-1)


def rms(values: Tensor) -> Tensor:
    """Return the root of the mean square of each run. Example: 5 for (1, −7).

    The result is (R, 1) for values (R, K), and (R, 1, 1) for values (R, H, D).
    """
    return (values * values).mean(tuple(range(1, values.dim())), keepdim=True).sqrt_()


ADAFACTOR = Rule(init_adafactor, adafactor_coefficients, adafactor, shaped=True)


def init_rprop(parameter: Tensor, lr: Number, **hyper: Number) -> State:
    """Return `lr` as the step length of each weight, and 0 as the previous gradient."""
    return {**zeros(parameter, "prev"), "step_size": filled(lr, parameter)}


def rprop_coefficients(
    t: int,
    lr: Number,
    *,
    eta1: Number = 0.5,
    eta2: Number = 1.2,
    step_size1: Number = 1e-6,
    step_size2: Number = 50.0,
) -> dict[str, Number]:
    """Return the four hyperparameters unchanged."""
    return {"eta1": eta1, "eta2": eta2, "step_size1": step_size1, "step_size2": step_size2}


def rprop(parameter: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """Use only the signs of gradients: w ← w − Δ·sign(∇L), with a step length Δ for each weight.

    If the gradient keeps its sign, Δ is multiplied by `eta2`. If the sign flips, Δ is multiplied by `eta1`, and the
    weight does not move in this update. Δ stays between `step_size1` and `step_size2`. `lr` is the initial Δ
    (Riedmiller & Braun, "The RPROP algorithm", 1993).

    Examples
    --------
    >>> w = torch.tensor([[1.0]])
    >>> state = init_rprop(w, 0.1)
    >>> for t, g in enumerate((7.0, 0.3, -0.3), 1):  # Δ = 0.1, then 0.12, then 0.06 and no step
    ...     step(RPROP, w, torch.tensor([[g]]), state, t, 0.1)
    >>> w, state["step_size"]
    (tensor([[0.7800]]), tensor([[0.0600]]))
    """
    size = state["step_size"]
    agreement = gradient * state["prev"]  # > 0 if the sign stays, < 0 if it flips
    flips = agreement < 0
    factor = torch.where(agreement > 0, c["eta2"], torch.where(flips, c["eta1"], 1.0))
    size.mul_(factor).clamp_(c["step_size1"], c["step_size2"])
    g = state["prev"].copy_(gradient).masked_fill_(flips, 0.0)  # no step where the sign flips
    parameter.addcmul_(g.sign(), size, value=-1)  # w ← w − Δ·sign(g)


RPROP = Rule(init_rprop, rprop_coefficients, rprop)
