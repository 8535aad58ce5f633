"""Normalization of hidden layers, between Wx + b and the activation."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from deeprob.models.backpropagation import Formula, Tensors


class BatchNorm(nn.BatchNorm1d):
    """Normalize over the batch: (h − mean)/√(variance + ε)·γ + β (Ioffe & Szegedy, "Batch normalization", 2015).

    Training uses the mean and the variance of the batch. Evaluation uses running means and running variances. A batch
    of one example has no variance, so training uses the running values for it too.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized units (B, H) of `input` (B, H)."""
        if self.training and len(input) > 1:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class NormFormula(Formula):
    """y = γ·n + β with normalized inputs n = (x − m)/√(v + ε).

    With g = ∂L/∂y the derivatives are ∂L/∂γ = Σ_B g·n, ∂L/∂β = Σ_B g and q = ∂L/∂n = γ·g. If m and v are constants,
    then ∂L/∂x = q/√(v + ε). If m and v are the mean and the variance of x over some dimension, then
    ∂L/∂x = (q − mean(q) − n·mean(q·n))/√(v + ε), where mean(…) is over the same dimension.

    Parameters
    ----------
    name
        The name of the module in the model.
    eps
        The number ε in the formula.
    """

    def __init__(self, name: str, eps: float) -> None:
        self.name, self.eps = name, eps
        self.weight, self.bias = f"{name}.weight", f"{name}.bias"

    def scaled(self, inputs: Tensor, normal: Tensor, tensors: Tensors) -> Tensor:
        """Return y, given x and n."""
        gamma, beta = tensors[self.weight].unsqueeze(-2), tensors[self.bias].unsqueeze(-2)
        return (normal * gamma).add_(beta).to(inputs.dtype)

    def normalized(self, inputs: Tensor, dim: int, dtype: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return n, 1/√(v + ε), and the mean m and the variance v of x over dimension `dim`."""
        inputs = inputs.to(dtype)
        mean = inputs.mean(dim, keepdim=True)
        centred = inputs - mean
        variance = (centred * centred).mean(dim, keepdim=True)
        inverse = (variance + self.eps).rsqrt()
        return centred.mul_(inverse), inverse, mean, variance

    def backward(
        self, gradient: Tensor, saved: Any, tensors: Tensors, gradients: Tensors, wanted: bool
    ) -> Tensor | None:
        """Write the gradients by γ and β, and return the gradient by x."""
        normal, inverse, dim = saved
        given, gradient = gradient, gradient.to(normal.dtype)
        gradients[self.weight].copy_((gradient * normal).sum(-2))
        gradients[self.bias].copy_(gradient.sum(-2))
        by_normal = gradient * tensors[self.weight].unsqueeze(-2)
        if dim is not None:
            by_normal = (
                by_normal - by_normal.mean(dim, keepdim=True) - normal * (by_normal * normal).mean(dim, keepdim=True)
            )
        by_inputs: Tensor = by_normal * inverse
        return by_inputs.to(given.dtype)


class BatchNormFormula(NormFormula):
    """`BatchNorm`: m and v are the mean and the variance of each unit over the batch (see `NormFormula`).

    In evaluation, and for a batch of one example, m and v are the running mean and the running variance instead. Then
    m and v are constants.
    """

    def __init__(self, name: str, module: BatchNorm) -> None:
        super().__init__(name, module.eps)
        assert module.momentum is not None
        self.momentum = module.momentum

    def forward(self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None) -> tuple[Tensor, Any]:
        """Return y. In training, also update the running mean and the running variance."""
        mean, variance = tensors[f"{self.name}.running_mean"], tensors[f"{self.name}.running_var"]
        count = inputs.shape[-2]
        if training and count > 1:
            normal, inverse, own_mean, own_variance = self.normalized(inputs, -2, mean.dtype)
            mean.lerp_(own_mean.squeeze(-2), self.momentum)
            variance.lerp_(own_variance.squeeze(-2) * (count / (count - 1)), self.momentum)
            tensors[f"{self.name}.num_batches_tracked"].add_(1)
            return self.scaled(inputs, normal, tensors), (normal, inverse, -2)
        inverse = (variance + self.eps).rsqrt().unsqueeze(-2)
        normal = (inputs - mean.unsqueeze(-2)) * inverse
        return self.scaled(inputs, normal, tensors), (normal, inverse, None)


class LayerNormFormula(NormFormula):
    """Layer norm: m and v are the mean and the variance of each example over the units (see `NormFormula`).

    Ba, Kiros & Hinton, "Layer normalization", 2016.
    """

    def __init__(self, name: str, module: nn.LayerNorm) -> None:
        super().__init__(name, module.eps)

    def forward(self, inputs: Tensor, tensors: Tensors, training: bool, key: Tensor | None) -> tuple[Tensor, Any]:
        """Return y."""
        normal, inverse, _, _ = self.normalized(inputs, -1, tensors[self.weight].dtype)
        return self.scaled(inputs, normal, tensors), (normal, inverse, -1)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda units: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,
}


def norm_formulas(name: str, module: nn.Module) -> list[Formula]:
    """Return a list with the formula of a norm layer, where `name` is its name in the model. Empty for ``none``."""
    if isinstance(module, BatchNorm):
        return [BatchNormFormula(name, module)]
    return [LayerNormFormula(name, module)] if isinstance(module, nn.LayerNorm) else []
