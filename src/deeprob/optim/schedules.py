"""Learning-rate schedules: a factor on the optimizer's `lr` for each update of the run."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from deeprob.config import number, register

Schedule = Callable[[int], float]
"""From an update's number (counted from 0) to the factor on `lr`."""


@dataclass(kw_only=True, slots=True)
class SchedulerConfig:
    """Fields of every schedule: `warmup` is the share of the run in which the rate rises linearly from 0."""

    warmup: float = number(0.0, minimum=0, below=1)

    def factor(self, progress: float) -> float:
        """Return the factor at a place in [0, 1) of the run after its warm-up."""
        raise AssertionError("a schedule defines factor()")

    def build(self, steps: int) -> Schedule:
        """Return the schedule of a run of so many updates."""
        rising = round(self.warmup * steps)

        def at(step: int) -> float:
            return (step + 1) / rising if step < rising else self.factor((step - rising) / (steps - rising))

        return at


@register("scheduler", "constant")
@dataclass(kw_only=True, slots=True)
class ConstantConfig(SchedulerConfig):
    """The same rate throughout."""

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@register("scheduler", "cosine")
@dataclass(kw_only=True, slots=True)
class CosineConfig(SchedulerConfig):
    """Half a cosine from `lr` to 0, without restarts (Loshchilov & Hutter, "SGDR", 2017)."""

    def factor(self, progress: float) -> float:
        """Return ½(1 + cos πt): 1 at t = 0, ½ at t = ½, towards 0 at t = 1."""
        return 0.5 * (1 + math.cos(math.pi * progress))
