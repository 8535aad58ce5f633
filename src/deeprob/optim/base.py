"""What every optimizer has: a config that builds it, and weight decay that spares biases."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    """An optimizer's fields are those of the torch.optim class, with its defaults."""

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return the optimizer of some parameters."""
        raise AssertionError("an optimizer defines build()")

    @property
    def deterministic(self) -> bool:
        """Whether it needs the same L(W) at each call: the full batch, and no noise."""
        return False

    @property
    def scheduled(self) -> bool:
        """Whether its step length follows the schedule."""
        return True


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups in which `weight_decay` acts on weight matrices and on nothing else."""
    everything = list(parameters)
    groups = [
        {"params": [p for p in everything if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in everything if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
