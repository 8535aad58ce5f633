"""All that a run is at one moment: what a checkpoint holds and resumption needs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from deeprob.models import Model
from deeprob.optim import Schedule
from deeprob.training.metrics import Meters


@dataclass
class Best:
    """The best epoch so far by the monitored metric.

    Attributes
    ----------
    value, loss
        The metric, and the validation loss, which decides between equals; None before the first epoch.
    epoch
        Epochs done at that moment.
    """

    value: float | None = None
    loss: float | None = None
    epoch: int = 0


@dataclass
class TrainState:
    """Parameters, buffers, optimizer, schedule, counters, sums under way, and the best so far.

    The order of batches and all that is drawn at random are functions of `step`, so there is nothing more.

    Attributes
    ----------
    frozen
        0-d float on the device: 1 from the first loss or gradient on that is not finite.
    step
        Updates done.
    evaluations
        Times that L(W) and its gradient were computed.
    metrics
        The last value of each.
    """

    model: Model
    optimizer: Optimizer
    schedule: Schedule
    meters: Meters
    frozen: Tensor
    step: int = 0
    evaluations: int = 0
    best: Best = field(default_factory=Best)
    metrics: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.perf_counter)
    _earlier: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the run has trained, over all its sessions."""
        return self._earlier + time.perf_counter() - self._began

    def start_clock(self) -> None:
        """Let this session's seconds begin now."""
        self._began = time.perf_counter()

    @classmethod
    def start(
        cls, model: Model, optimizer: Optimizer, schedule: Schedule, device: torch.device, *, accuracy: bool = True
    ) -> "TrainState":
        """Return the state before the first update; keeps each group's rate as the one that schedules multiply."""
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return cls(model, optimizer, schedule, Meters(device, accuracy), torch.zeros((), device=device))

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters by name."""
        return dict(self.model.named_parameters())

    def observe(self, monitor: str, metrics: Mapping[str, float], epoch: int) -> bool:
        """Tell whether an epoch is the best so far by a metric (a loss is better when lower), and remember it if so."""
        value, loss = metrics[monitor], metrics["val/loss"]
        if self.best.value is None or self.best.loss is None:
            better = True
        elif value == self.best.value:
            better = loss < self.best.loss
        else:
            better = (value < self.best.value) == monitor.endswith("loss")
        if better:
            self.best = Best(value, loss, epoch)
        return better

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "meters": self.meters.state_dict(),
            "frozen": self.frozen.clone(),
            "step": self.step,
            "evaluations": self.evaluations,
            "best": [self.best.value, self.best.loss, self.best.epoch],
            "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the state that `state_dict` returned.

        Raises
        ------
        KeyError, TypeError, ValueError, RuntimeError
            When it is the state of something else.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.meters.load_state_dict(state["meters"])
        self.frozen.copy_(state["frozen"])
        self.step, self.evaluations = int(state["step"]), int(state["evaluations"])
        value, loss, epoch = state["best"]
        self.best = Best(None if value is None else float(value), None if loss is None else float(loss), int(epoch))
        self.metrics = {str(name): float(value) for name, value in state["metrics"].items()}
        self._earlier = float(state["seconds"])
        self.start_clock()
