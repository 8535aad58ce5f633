"""The training state of a run, which checkpoints store."""

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
from deeprob.tracking.metric_names import more_is_better
from deeprob.tracking.run_dir import is_column
from deeprob.training.metrics import Meters


@dataclass(frozen=True)
class Best:
    """The epoch with the best value of a metric so far.

    Attributes
    ----------
    value
        The metric in the best epoch; None before the first epoch.
    loss
        The validation loss in the best epoch; None before the first epoch.
    epoch
        The number of the best epoch, counted from 1; 0 before the first epoch.
    """

    value: float | None = None
    loss: float | None = None
    epoch: int = 0

    def or_better(self, monitor: str, metrics: Mapping[str, float], epoch: int) -> "Best":
        """Compare this best epoch with a new epoch, and return the better of the two.

        The metric `monitor` decides (see `more_is_better`). If the metrics are equal, the epoch
        with the lower validation loss is better. If these losses are equal too, the earlier epoch is better.
        """
        value, loss = metrics[monitor], metrics["val/loss"]
        if self.value is None or self.loss is None:
            better = True
        elif value == self.value:
            better = loss < self.loss
        else:
            better = (value > self.value) == more_is_better(monitor)
        return Best(value, loss, epoch) if better else self


@dataclass
class TrainState:
    """Everything that a checkpoint must store to resume a run.

    This is the model, the optimizer, the schedule, the counters, the sums of measurements and the best epochs. The
    order of the examples and all random numbers depend only on the seed and `step`, so they need not be stored.

    Attributes
    ----------
    step
        The number of updates so far.
    evaluations
        The number of times that L(W) and its gradient were computed.
    best
        The best epoch according to the metric ``trainer.monitor``.
    improved
        The best epoch according to the metric ``trainer.patience_monitor``.
    metrics
        The metrics of the last complete epoch, and the cost of the run so far.
    """

    model: Model
    optimizer: Optimizer
    schedule: Schedule
    meters: Meters
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
        """The training time of the run in seconds, including the time before it was resumed."""
        return self._earlier + time.perf_counter() - self._began

    def start_clock(self) -> None:
        """Start to count training time now."""
        self._began = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Subtract `seconds` from the training time."""
        self._began += seconds

    @classmethod
    def start(
        cls, model: Model, optimizer: Optimizer, schedule: Schedule, device: torch.device, *, accuracy: bool = True
    ) -> "TrainState":
        """Return the state before the first update.

        Each parameter group gets the entry ``initial_lr``: the learning rate before the schedule multiplies it.
        """
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        state = cls(model, optimizer, schedule, Meters(device, accuracy))
        # some optimizers fill their state before the first update
        state._fresh = copied({"state": optimizer.state_dict()["state"]})
        return state

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.model.parameters()).device

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters by name."""
        return dict(self.model.named_parameters())

    @property
    def finished(self) -> bool:
        """Whether the optimizer has converged or cannot go on. Then another update would change nothing."""
        return bool(getattr(self.optimizer, "finished", False))

    @property
    def reason(self) -> str:
        """The reason why L-BFGS ended its last update; empty for other optimizers."""
        return str(getattr(self.optimizer, "reason", ""))

    def observe(self, monitor: str, patience_monitor: str, metrics: Mapping[str, float], epoch: int) -> bool:
        """Update `best` and `improved` with the metrics of an epoch. Return whether this epoch is the new `best`."""
        before = self.best
        self.best = before.or_better(monitor, metrics, epoch)
        self.improved = self.improved.or_better(patience_monitor, metrics, epoch)
        return self.best is not before

    def go_back(self, step: int, evaluations: int) -> None:
        """Set `step` and `evaluations`, and clear the measurements. If `step` is 0, also reset the optimizer."""
        self.step, self.evaluations = step, evaluations
        self.meters.reset()
        if step == 0:
            self.optimizer.state.clear()
            self.set_optimizer(copied(self._fresh)["state"])
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.schedule(max(0, step - 1))  # the rate of the last update

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "meters": self.meters.state_dict(),
            "frozen": torch.zeros((), device=self.device),  # of earlier versions, which can read this checkpoint
            "step": self.step,
            "evaluations": self.evaluations,
            "best": [self.best.value, self.best.loss, self.best.epoch],
            "improved": [self.improved.value, self.improved.loss, self.improved.epoch],
            "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned. The hyperparameters of the optimizer do not change.

        Raises
        ------
        ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
            If the state does not belong to this run.
        """
        own = self.state_dict()
        for name in ("model", "schedule", "meters", "step", "evaluations", "seconds"):
            if not alike(state[name], own[name]):
                raise ValueError(f"{name} of another run")
        meters, metrics = state["meters"], state["metrics"]
        numbers = [*meters["epoch"], *metrics.values(), state["seconds"]]  # sums may be infinite: the run then fails
        if not all(map(math.isfinite, numbers)) or not all(map(is_column, metrics)):
            raise ValueError("metrics of no run")
        self.model.load_state_dict(state["model"])
        self._load_optimizer(state["optimizer"]["state"])
        for group, saved in zip(self.optimizer.param_groups, state["optimizer"]["param_groups"], strict=True):
            if type(saved["lr"]) is not float or not math.isfinite(saved["lr"]):
                raise ValueError("lr of no run")
            group["lr"] = saved["lr"]  # the rate of the last update; the next update replaces it
        self.schedule.load_state_dict(state["schedule"])
        self.meters.load_state_dict(state["meters"])
        self.step, self.evaluations = state["step"], state["evaluations"]
        self.best = _best(state["best"])
        # checkpoints of earlier versions lack "improved"; for them, patience counts from the best epoch
        self.improved = _best(state.get("improved", [None, None, self.best.epoch]))
        self.metrics = {str(name): float(value) for name, value in state["metrics"].items()}
        self._earlier = state["seconds"]
        self.start_clock()

    def _load_optimizer(self, state: dict[int, dict[str, Any]]) -> None:
        """Check the shapes in an optimizer state and load it. torch's kernels would not check the shapes."""
        expected = self.optimizer_after_an_update()
        for index, values in state.items():
            for name, value in values.items():
                items = value if isinstance(value, list) else [value]
                plain = all(isinstance(item, Tensor | int | float | None) for item in items)
                example = expected[index].get(name)
                if not plain or (isinstance(example, Tensor) and not alike(value, example)):
                    raise ValueError(f"{name} of another optimizer")
        self.set_optimizer(state)
        self.optimizer_after_an_update()  # raises for anything else that is wrong with the state

    def optimizer_after_an_update(self) -> dict[int, dict[str, Any]]:
        """Make an update, undo it, and return the state that the optimizer had after the update.

        In this update, the gradient of each parameter equals the parameter.
        """
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
        self.set_optimizer(state)
        return after

    def set_optimizer(self, state: dict[int, dict[str, Any]]) -> None:
        """Load a state into the optimizer, and keep the precision of every tensor.

        torch's own method would convert the tensors to the precision of the parameters.
        """
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for index, values in state.items():
            taken = self.optimizer.state[parameters[index]]
            taken |= {name: value.to(taken[name].device) for name, value in values.items() if isinstance(value, Tensor)}


def _best(values: Sequence[Any]) -> Best:
    value, loss, epoch = values
    return Best(None if value is None else float(value), None if loss is None else float(loss), int(epoch))
