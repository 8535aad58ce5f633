"""Twelve problems for L-BFGS: functions with a bad condition, softmax regressions, small networks.

Each is a starting point and L(x) of one vector, of which autograd has the gradient; the same seeds give the same
numbers in both precisions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """A start (n,) in double precision, L of a vector (n,) and of data of its type, and the type to solve it in."""

    name: str
    start: Tensor
    data: tuple[Tensor, ...]
    value: Callable[..., Tensor]
    dtype: torch.dtype

    def loss(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Return L with its data in a type of numbers."""
        data = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in self.data]
        return lambda x: self.value(x, *data)


def rosenbrock(x: Tensor) -> Tensor:
    """Return Σ 100(x_{i+1} − x_i²)² + (1 − x_i)² over neighbours: 0 at x = 1."""
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def quadratic(x: Tensor, scales: Tensor, centre: Tensor) -> Tensor:
    """Return ½Σ h_i(x_i − c_i)²: 0 at x = c."""
    return 0.5 * (scales * (x - centre).square()).sum()


def softmax_regression(x: Tensor, inputs: Tensor, targets: Tensor, strength: Tensor) -> Tensor:
    """Return mean cross-entropy of scores Wx + b, and strength·ΣW²; x holds W (C, D) and then b (C,)."""
    outputs = x.numel() // (inputs.shape[1] + 1)
    weight, bias = x[:-outputs].view(outputs, -1), x[-outputs:]
    return F.cross_entropy(inputs @ weight.T + bias, targets) + strength * weight.square().sum()


def network(x: Tensor, inputs: Tensor, targets: Tensor, strength: Tensor) -> Tensor:
    """Return mean cross-entropy of a tanh network with 8 hidden units, and strength·Σx²."""
    (_, d), c, h = inputs.shape, int(targets.max()) + 1, 8
    w1, b1, w2, b2 = x.split([h * d, h, c * h, c])
    scores = torch.tanh(inputs @ w1.view(h, d).T + b1) @ w2.view(c, h).T + b2
    return F.cross_entropy(scores, targets) + strength * x.square().sum()


def blobs(count: int, inputs: int, classes: int, distance: float) -> tuple[Tensor, Tensor]:
    """Return normal clouds (N, D) around one centre a class, and class numbers; far apart they are separable."""
    rng = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % classes
    centres = distance * torch.randn(classes, inputs, generator=rng, dtype=torch.float64)
    return centres[targets] + torch.randn(count, inputs, generator=rng, dtype=torch.float64), targets


def problems() -> list[Problem]:
    """Return the twelve."""
    rng = torch.Generator().manual_seed(1)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=rng, dtype=torch.float64)

    single, double = torch.float32, torch.float64
    strength = [torch.tensor(value, dtype=double) for value in (0.0, 1e-3, 1e-4)]
    mixed, apart = blobs(300, 10, 4, 0.5), blobs(200, 6, 3, 4.0)
    stretched = (mixed[0] * torch.logspace(-1.5, 1.5, 10, dtype=double), mixed[1])
    angles = torch.linspace(0.2, 3.5, 60, dtype=double).repeat(3)
    arms = torch.arange(3).repeat_interleave(60)
    turned = angles + arms * 2 * torch.pi / 3
    spiral = (torch.stack([angles * turned.cos(), angles * turned.sin()], 1) / 3.5, arms)
    valley = torch.tensor([-1.2, 1.0], dtype=double)
    weak, strong = torch.logspace(-2, 4, 50, dtype=double), torch.logspace(-1, 3, 30, dtype=double)
    small_net, spiral_net = normal(8 * 10 + 8 + 4 * 8 + 4, scale=0.5), normal(8 * 2 + 8 + 3 * 8 + 3, scale=0.5)
    return [
        Problem("Rosenbrock, 2", valley, (), rosenbrock, double),
        Problem("Rosenbrock, 2", valley, (), rosenbrock, single),
        Problem("Rosenbrock, 20", valley.repeat(10), (), rosenbrock, double),
        Problem("quadratic, condition 1e6", normal(50), (weak, normal(50)), quadratic, double),
        Problem("quadratic, condition 1e4", normal(30), (strong, normal(30)), quadratic, single),
        Problem("softmax, mixed", torch.zeros(44, dtype=double), (*mixed, strength[0]), softmax_regression, double),
        Problem("softmax, mixed", torch.zeros(44, dtype=double), (*mixed, strength[0]), softmax_regression, single),
        Problem("softmax, separable", torch.zeros(21, dtype=double), (*apart, strength[0]), softmax_regression, double),
        Problem("softmax, separable", torch.zeros(21, dtype=double), (*apart, strength[0]), softmax_regression, single),
        Problem(
            "softmax, stretched", torch.zeros(44, dtype=double), (*stretched, strength[1]), softmax_regression, single
        ),
        Problem("network, blobs", small_net, (*mixed, strength[1]), network, double),
        Problem("network, spiral", spiral_net, (*spiral, strength[2]), network, single),
    ]
