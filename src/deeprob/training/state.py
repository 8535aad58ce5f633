"""All that a run is at one moment: what a checkpoint holds and resumption needs."""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from deeprob.models import Model
from deeprob.optim import Schedule
from deeprob.tracking.checkpoint_file import alike, copied
from deeprob.tracking.run_dir import COLUMNS
from deeprob.training.metrics import Meters


@dataclass(frozen=True)
class Best:
    """The best epoch so far by a metric.

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

    def or_better(self, monitor: str, metrics: Mapping[str, float], epoch: int) -> "Best":
        """Return an epoch if it is better by a metric (a loss is better when lower), else this one."""
        value, loss = metrics[monitor], metrics["val/loss"]
        if self.value is None or self.loss is None:
            better = True
        elif value == self.value:
            better = loss < self.loss
        else:
            better = (value < self.value) == monitor.endswith("loss")
        return Best(value, loss, epoch) if better else self


@dataclass(frozen=True)
class Snapshot:
    """What an update changes, as it was after `step` updates: the states of model and optimizer, or None of both.

    `schedule` is the state of the schedule then, which the end of an epoch may change.
    """

    step: int
    evaluations: int
    schedule: dict[str, Any]
    states: dict[str, Any] | None


@dataclass
class TrainState:
    """Parameters, buffers, optimizer, schedule, counters, sums under way, and the best so far.

    The order of batches and all that is drawn at random are functions of `step`, so there is nothing more.

    Attributes
    ----------
    frozen
        0-d float on the device: 1 from the first update on in which a number was not finite.
    step
        Updates done.
    evaluations
        Times that L(W) and its gradient were computed.
    best
        The epoch of the best checkpoint, by ``trainer.monitor``.
    improved
        The last epoch that was better than all before it by ``trainer.patience_monitor``.
    metrics
        Those of the last whole epoch, and what the run has cost.
    """

    model: Model
    optimizer: Optimizer
    schedule: Schedule
    meters: Meters
    frozen: Tensor
    step: int = 0
    evaluations: int = 0
    best: Best = Best()
    improved: Best = Best()
    metrics: dict[str, float] = field(default_factory=dict)
    _fresh: dict[str, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.perf_counter)
    _earlier: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the run has trained, over all its sessions."""
        return self._earlier + time.perf_counter() - self._began

    def start_clock(self) -> None:
        """Let this session's seconds begin now."""
        self._began = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Do not count seconds that went into something else."""
        self._began += seconds

    @classmethod
    def start(
        cls, model: Model, optimizer: Optimizer, schedule: Schedule, device: torch.device, *, accuracy: bool = True
    ) -> "TrainState":
        """Return the state before the first update; keeps each group's rate as the one that schedules multiply."""
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        state = cls(model, optimizer, schedule, Meters(device, accuracy), torch.zeros((), device=device))
        state._fresh = copied(
            {"state": optimizer.state_dict()["state"]}
        )  # empty, but for optimizers that fill it at once
        return state

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters by name."""
        return dict(self.model.named_parameters())

    @property
    def finished(self) -> bool:
        """Whether another update would change nothing, because the optimizer has converged or cannot go on."""
        return bool(getattr(self.optimizer, "finished", False))

    @property
    def reason(self) -> str:
        """Why the optimizer ended its last update, if it is one that has reasons."""
        return str(getattr(self.optimizer, "reason", ""))

    def observe(self, monitor: str, patience_monitor: str, metrics: Mapping[str, float], epoch: int) -> bool:
        """Tell whether an epoch is the best so far by a metric, and remember that of both metrics."""
        before = self.best
        self.best = before.or_better(monitor, metrics, epoch)
        self.improved = self.improved.or_better(patience_monitor, metrics, epoch)
        return self.best is not before

    def snapshot(self, *, tensors: bool) -> Snapshot:
        """Return what an update changes, with copies of the `tensors` or without."""
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()["state"]}
        schedule = self.schedule.state_dict()
        return Snapshot(self.step, self.evaluations, schedule, copied(states) if tensors else None)

    def restore(self, snapshot: Snapshot) -> None:
        """Become what a snapshot has of the state."""
        if snapshot.states is not None:
            states = copied(snapshot.states)
            self.model.load_state_dict(states["model"])
            self._set_optimizer(states["optimizer"])
        self.go_back(snapshot.step, snapshot.evaluations)

    def go_back(self, step: int, evaluations: int) -> None:
        """Count so many updates and evaluations, and nothing measured since the last reading."""
        self.step, self.evaluations = step, evaluations
        self.meters.reset()
        self.frozen.zero_()
        if step == 0:
            self.optimizer.state.clear()
            self._set_optimizer(copied(self._fresh)["state"])
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.schedule(max(0, step - 1))  # that of the last update

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
            "improved": [self.improved.value, self.improved.loss, self.improved.epoch],
            "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the state that `state_dict` returned; the optimizer's settings stay those of the config.

        Raises
        ------
        ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
            When it is the state of something else.
        """
        own = self.state_dict()
        for name in ("model", "schedule", "meters", "frozen", "step", "evaluations", "seconds"):
            if not alike(state[name], own[name]):
                raise ValueError(f"{name} of another run")
        meters, metrics = state["meters"], state["metrics"]
        sums = [] if state["frozen"] else meters["sums"].tolist()  # a run that diverges is noticed at the next reading
        numbers = [*sums, *meters["epoch"], *metrics.values(), state["seconds"]]
        if not all(map(math.isfinite, numbers)) or not set(metrics) <= set(COLUMNS):
            raise ValueError("metrics of no run")
        self.model.load_state_dict(state["model"])
        self._load_optimizer(state["optimizer"]["state"])
        for group, saved in zip(self.optimizer.param_groups, state["optimizer"]["param_groups"], strict=True):
            if type(saved["lr"]) is not float or not math.isfinite(saved["lr"]):
                raise ValueError("lr of no run")
            group["lr"] = saved["lr"]  # that of the last update, which the next one replaces
        self.schedule.load_state_dict(state["schedule"])
        self.meters.load_state_dict(state["meters"])
        self.frozen.copy_(state["frozen"])
        self.step, self.evaluations = state["step"], state["evaluations"]
        self.best = _best(state["best"])
        # checkpoints of earlier versions: patience counts from the best epoch, whatever its metric was
        self.improved = _best(state.get("improved", [None, None, self.best.epoch]))
        self.metrics = {str(name): float(value) for name, value in state["metrics"].items()}
        self._earlier = state["seconds"]
        self.start_clock()

    def _load_optimizer(self, state: dict[int, dict[str, Any]]) -> None:
        """Take each parameter's part of the optimizer's state; kernels trust the shapes in it."""
        expected = self.optimizer_after_an_update()
        for index, values in state.items():
            for name, value in values.items():
                items = value if isinstance(value, list) else [value]
                plain = all(isinstance(item, Tensor | int | float | None) for item in items)
                example = expected[index].get(name)
                if not plain or (isinstance(example, Tensor) and not alike(value, example)):
                    raise ValueError(f"{name} of another optimizer")
        self._set_optimizer(state)
        self.optimizer_after_an_update()  # whatever else is wrong with it shows here

    def optimizer_after_an_update(self) -> dict[int, dict[str, Any]]:
        """Return what the optimizer's state would be after one more update, by gradients that are the weights."""
        parameters = list(self.model.parameters())
        weights, state = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()["state"]))

        def closure() -> float:
            for parameter in parameters:
                parameter.grad = parameter.detach().clone()
            return sum(parameter.detach().square().sum().item() / 2 for parameter in parameters)

        self.optimizer.step(closure)
        self.optimizer.zero_grad()
        after: dict[int, dict[str, Any]] = self.optimizer.state_dict()["state"]
        self.model.load_state_dict(weights)
        self._set_optimizer(state)
        return after

    def _set_optimizer(self, state: dict[int, dict[str, Any]]) -> None:
        """Give the optimizer a state, every number in its own precision, where torch would take the parameter's."""
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for index, values in state.items():
            taken = self.optimizer.state[parameters[index]]
            taken |= {name: value.to(taken[name].device) for name, value in values.items() if isinstance(value, Tensor)}


def _best(values: Sequence[Any]) -> Best:
    value, loss, epoch = values
    return Best(None if value is None else float(value), None if loss is None else float(loss), int(epoch))
