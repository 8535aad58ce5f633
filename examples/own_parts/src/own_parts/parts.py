"""Own parts for deeprob: a model and an optimizer. `pyproject.toml` lists both."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deeprob.parts import Model, ModelConfig, OptimizerConfig, number, register


class ResMLP(Model):
    """A network of residual blocks."""

    def __init__(self, inputs: int, outputs: int, blocks: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …)."""
        hidden = self.first(inputs.flatten(1))
        for block in self.blocks:
            hidden = hidden + block(hidden).relu()
        scores: Tensor = self.last(hidden)
        return scores


@register("model", "resmlp")
@dataclass(kw_only=True)
class ResMLPConfig(ModelConfig):
    """A network of residual blocks h ← h + relu(Wh + b).

    Attributes
    ----------
    blocks
        The number of blocks.
    width
        The number of units of each block.
    """

    blocks: int = number(3, minimum=1)
    width: int = number(32, minimum=1)

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> ResMLP:
        """Return the network with random weights."""
        return ResMLP(inputs, outputs, self.blocks, self.width)


class Signum(torch.optim.Optimizer):
    """Steps w ← w − lr·sign(m), where m is the running mean of gradients."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        """Compute the gradients with `closure`, and make a step."""
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                    mean.lerp_(p.grad, 1 - group["momentum"])
                    p.sub_(mean.sign(), alpha=group["lr"])
        return loss


@register("optimizer", "signum")
@dataclass(kw_only=True)
class SignumConfig(OptimizerConfig):
    """Steps of the same length in each weight, in the direction of the mean gradient's signs."""

    lr: float = number(3e-3, above=0)
    momentum: float = number(0.9, minimum=0, below=1)

    def build(self, params: Iterable[nn.Parameter]) -> Signum:
        """Return the optimizer of `params`."""
        return Signum(params, self.lr, self.momentum)
