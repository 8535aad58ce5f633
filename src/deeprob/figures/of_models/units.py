"""First-layer units as functions of raw inputs, and the strengths with which they feed the scores.

A unit feeds a score if its activation raises the score.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from deeprob.features import Standardize
from deeprob.models import Model
from deeprob.models.mlp import MLP
from deeprob.models.norms import BatchNorm


@torch.no_grad()
def first_layer(model: Model, standardize: Standardize | None = None) -> tuple[Tensor, Tensor]:
    """Return the units of the first layer as linear functions vᵀx + c of the features x before standardisation.

    The inputs of the layer are (x − m)/d. Therefore wᵀ((x − m)/d) + b = vᵀx + c with the template v = w/d and
    c = b − vᵀm. If batch norm follows the layer, v and c include it. With its running statistics, batch norm is a
    linear function (s − μ)/√(σ² + ε)·γ + β. It scales v, and changes the sign of v if γ is negative.

    Returns
    -------
    Tensor, Tensor
        v (U, P, D) and c (U, P) in double precision, for U units with P pieces. In a linear model, a unit is a class.
        Only maxout units have more than one piece.
    """
    layer = model.linear_layers[0]
    v = layer.weight.detach().double().cpu()
    c = v.new_zeros(len(v)) if layer.bias is None else layer.bias.detach().double().cpu()
    norm = model.norms[0] if isinstance(model, MLP) and len(model.norms) else None
    if isinstance(norm, BatchNorm):
        mean, variance, gamma, beta = (
            values.detach().double().cpu()
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            if values is not None
        )
        scale = gamma / (variance + norm.eps).sqrt()
        v, c = v * scale[:, None], (c - mean) * scale + beta
    if standardize is not None:
        mean, deviation = (
            values.double()
            .cpu()
            .flatten()
            .repeat_interleave(v.shape[1] // values.numel())  # one value per channel, for each of its pixels
            for values in (standardize.mean, standardize.deviation)
        )
        v, c = v / deviation, c - v @ (mean / deviation)
    pieces = model.pieces if isinstance(model, MLP) and len(model.norms) else 1
    return v.view(-1, pieces, v.shape[1]), c.view(-1, pieces)


@torch.enable_grad()
def differentiable_stages(model: Model, inputs: Tensor) -> list[tuple[str, Tensor]]:
    """Return the stages of a model in evaluation mode for inputs (N, …). Autograd can differentiate the stages."""
    training = model.training
    model.eval()
    stages = list(model.stages(inputs.detach().requires_grad_()))
    model.train(training)
    return stages


@torch.enable_grad()
def mean_derivatives(model: Model, inputs: Tensor, scores: Sequence[int]) -> Tensor:
    """Return the strengths (S, U) with which first-layer units feed some scores.

    A strength is the derivative of a score with respect to the activation of a unit, as a mean over the inputs (N, …).
    In a network of two layers, this is W₂ for all inputs.
    """
    _, (_, activations), *_, (_, found) = differentiable_stages(model, inputs)
    sums = [found[:, score].sum() for score in scores]
    rows = [torch.autograd.grad(score, activations, retain_graph=True)[0].mean(0) for score in sums]
    return torch.stack(rows).double().cpu()


def recombined(v: Tensor, weights: Tensor) -> Tensor:
    """Return the sums (C, …) of templates (U, P, …), weighted by the second layer's `weights` (C, U).

    All units count, as if all were active. If a unit has several pieces, the mean of their templates is used.
    """
    return (weights @ v.mean(1).flatten(1)).view(-1, *v.shape[2:])
