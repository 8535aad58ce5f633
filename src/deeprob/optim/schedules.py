"""Learning-rate schedules: a factor on the optimizer's `lr` for each update, known when the run starts."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deeprob.config import number, register


class Schedule:
    """A function from an update's number (counted from 0) to the factor on `lr`.

    Most schedules depend on that number alone. A schedule that also depends on the run's losses has a state.

    Parameters
    ----------
    factor
        Returns the factor for an update's number.
    """

    def __init__(self, factor: Callable[[int], float] = lambda step: 1.0) -> None:
        self.factor = factor

    def __call__(self, step: int) -> float:
        """Return the factor for an update."""
        return self.factor(step)

    def observe(self, loss: float) -> None:
        """Take the loss of an epoch: the validation loss, or the training loss without a validation split."""

    def state_dict(self) -> dict[str, Any]:
        """Return the schedule's state, as plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""


@dataclass(kw_only=True, slots=True)
class SchedulerConfig:
    """Fields of every schedule.

    Attributes
    ----------
    warmup
        The share of the run in which the learning rate rises linearly from 0.
    """

    warmup: float = number(0.0, minimum=0, below=1)

    @property
    def extendable(self) -> bool:
        """Whether a run may become longer than planned, because the factors do not depend on its planned length."""
        return False

    def factor(self, progress: float) -> float:
        """Return the factor at `progress` in [0, 1), the share done of the run after its warm-up."""
        raise AssertionError("a schedule defines factor()")

    def build(self, steps: int) -> Schedule:
        """Return the schedule of a run with `steps` updates."""
        rising = round(self.warmup * steps)

        def at(step: int) -> float:
            return (step + 1) / rising if step < rising else self.factor((step - rising) / (steps - rising))

        return Schedule(at)


@register("scheduler", "constant")
@dataclass(kw_only=True, slots=True)
class ConstantConfig(SchedulerConfig):
    """The learning rate stays the same during the run."""

    @property
    def extendable(self) -> bool:
        """Whether a run may become longer than planned."""
        return self.warmup == 0

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@register("scheduler", "cosine")
@dataclass(kw_only=True, slots=True)
class CosineConfig(SchedulerConfig):
    """The learning rate falls to 0 along half a cosine, without restarts (Loshchilov & Hutter, "SGDR", 2017)."""

    def factor(self, progress: float) -> float:
        """Return ½(1 + cos πt): 1 at t = 0, ½ at t = ½, towards 0 at t = 1."""
        return 0.5 * (1 + math.cos(math.pi * progress))


@register("scheduler", "step")
@dataclass(kw_only=True, slots=True)
class StepConfig(SchedulerConfig):
    """The learning rate drops by a factor several times, at equal intervals.

    Attributes
    ----------
    gamma
        The factor of the learning rate at each drop.
    drops
        The number of drops. They divide the run into equal parts.
    """

    gamma: float = number(0.1, above=0, maximum=1)
    drops: int = number(2, minimum=1)

    def factor(self, progress: float) -> float:
        """Return γ^k with k the number of drops so far: with two drops γ from ⅓ of the run on, γ² from ⅔ on."""
        return self.gamma ** math.floor(progress * (self.drops + 1))


@register("scheduler", "exponential")
@dataclass(kw_only=True, slots=True)
class ExponentialConfig(SchedulerConfig):
    """The learning rate falls exponentially: by the same ratio at each update.

    Attributes
    ----------
    final
        The share of the learning rate that is left at the end of the run.
    """

    final: float = number(1e-2, above=0, maximum=1)

    def factor(self, progress: float) -> float:
        """Return final^t: 1 at t = 0, √final at t = ½."""
        return float(self.final**progress)


@register("scheduler", "one_cycle")
@dataclass(kw_only=True, slots=True)
class OneCycleConfig(SchedulerConfig):
    """The learning rate rises to its highest value, then falls almost to 0, along half cosines.

    Smith & Topin, "Super-convergence", 2018; the defaults are those of torch's OneCycleLR. This schedule warms up by
    itself, so `warmup` must be 0.

    Attributes
    ----------
    peak
        The share of the run after which the learning rate is highest.
    start
        The learning rate at the start, as a share of the highest.
    final
        The learning rate at the end, as a share of the highest.
    """

    peak: float = number(0.3, above=0, below=1)
    start: float = number(0.04, above=0, maximum=1)
    final: float = number(4e-6, minimum=0, maximum=1)

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        if self.warmup:
            yield f"warmup={self.warmup}: one_cycle warms up by itself; use scheduler.peak and scheduler.start"

    def factor(self, progress: float) -> float:
        """Return start at t = 0, 1 at t = peak, towards final at t = 1."""
        if progress < self.peak:
            return _half_cosine(self.start, 1.0, progress / self.peak)
        return _half_cosine(1.0, self.final, (progress - self.peak) / (1 - self.peak))


def _half_cosine(first: float, last: float, place: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * place))
