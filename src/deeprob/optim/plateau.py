"""The schedule that lowers the learning rate when the loss stops falling."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deeprob.config import number, register
from deeprob.optim.schedules import Schedule, SchedulerConfig


@register("scheduler", "plateau")
@dataclass(kw_only=True, slots=True)
class PlateauConfig(SchedulerConfig):
    """The learning rate drops by a factor whenever the loss has not fallen for some epochs.

    If the loss has not fallen for more than `patience` epochs, the learning rate is multiplied by `gamma`. The loss is
    the validation loss, or the training loss if there is no validation split. It counts as fallen if it is less than
    (1 − `threshold`) times its lowest value so far. torch calls this schedule ReduceLROnPlateau; the defaults are
    torch's.

    Attributes
    ----------
    gamma
        The factor by which each drop multiplies the learning rate.
    patience
        The number of epochs without a lower loss that change nothing. After one more such epoch the rate drops.
    threshold
        The smallest relative decrease that counts. With 0.01, the loss must fall more than 1 % below its lowest value.
    """

    gamma: float = number(0.1, above=0, below=1)
    patience: int = number(10, minimum=0)
    threshold: float = number(1e-4, minimum=0, below=1)

    @property
    def extendable(self) -> bool:
        """Whether a run may become longer than planned: only without a warm-up."""
        return self.warmup == 0

    def factor(self, progress: float) -> float:
        """Return 1: the drops depend on the losses, not on `progress`."""
        return 1.0

    def build(self, steps: int) -> "Plateau":
        """Return the schedule, before the first epoch."""
        rising = super(PlateauConfig, self).build(steps)  # slots=True breaks super() without arguments
        return Plateau(rising, self.gamma, self.patience, self.threshold)


class Plateau(Schedule):
    """The schedule of `PlateauConfig`; `rising` returns the factor of the warm-up."""

    def __init__(self, rising: Callable[[int], float], gamma: float, patience: int, threshold: float) -> None:
        super().__init__(rising)
        self.gamma, self.patience, self.threshold = gamma, patience, threshold
        self.drops, self.lowest, self.waited = 0, math.inf, 0

    def __call__(self, step: int) -> float:
        """Return γ^k times the factor of the warm-up, where γ = `gamma` and k is the number of drops so far."""
        return self.factor(step) * self.gamma**self.drops

    def observe(self, loss: float) -> None:
        """Store the loss of an epoch.

        If the loss has not fallen for more than `patience` epochs, count a drop of the learning rate.
        """
        if loss < self.lowest * (1 - self.threshold):
            self.lowest, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return three numbers: drops, lowest loss, and epochs since the last drop or the last new lowest loss."""
        return {"drops": self.drops, "lowest": self.lowest, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.drops, self.lowest, self.waited = state["drops"], state["lowest"], state["waited"]
