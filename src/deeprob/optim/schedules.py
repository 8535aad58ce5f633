"""Learning-rate schedules: a schedule returns a factor for each update, and `lr` is multiplied by this factor."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deeprob.config import number, register


def unchanged(step: int) -> float:
    """Return 1: `lr` stays as it is."""
    return 1.0


class Schedule:
    """A function from the number of an update (counted from 0) to a factor. The update multiplies `lr` by this factor.

    Most schedules depend only on the number of the update. If a schedule also depends on the losses, it has a state.

    Parameters
    ----------
    factor
        The function that returns the factor, given the number of an update.
    """

    def __init__(self, factor: Callable[[int], float] = unchanged) -> None:
        self.factor = factor

    def __call__(self, step: int) -> float:
        """Return the factor for update number `step`."""
        return self.factor(step)

    def observe(self, loss: float) -> None:
        """Store the loss of an epoch if the schedule needs it. Without a validation split, it is the training loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the schedule."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""


@dataclass(kw_only=True, slots=True)
class SchedulerConfig:
    """Base class of schedule configs, with the fields that all schedules have.

    `deeprob.parts.protocols` says what a schedule has to keep.

    Attributes
    ----------
    warmup
        The length of the warm-up, as a share of the run. In the warm-up, the learning rate rises linearly from 0.
    """

    warmup: float = number(0.0, minimum=0, below=1)

    @property
    def extendable(self) -> bool:
        """Whether a run may become longer than planned. This is so only if the factors do not depend on its length."""
        return False

    def factor(self, progress: float) -> float:
        """Return the factor at `progress`.

        `progress` is in [0, 1): the number of past updates, divided by all updates. Neither includes the warm-up.
        """
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
        """Whether a run may become longer than planned: only without a warm-up."""
        return self.warmup == 0

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@register("scheduler", "cosine")
@dataclass(kw_only=True, slots=True)
class CosineConfig(SchedulerConfig):
    """The learning rate falls to 0 along half a cosine, without restarts (Loshchilov & Hutter, "SGDR", 2017)."""

    def factor(self, progress: float) -> float:
        """Return ½(1 + cos πt), where t is `progress`: 1 at t = 0, ½ at t = ½, and almost 0 at the end."""
        return 0.5 * (1 + math.cos(math.pi * progress))


@register("scheduler", "step")
@dataclass(kw_only=True, slots=True)
class StepConfig(SchedulerConfig):
    """The learning rate drops by a factor several times, at equal intervals.

    Attributes
    ----------
    gamma
        The factor by which each drop multiplies the learning rate.
    drops
        The number of drops. The drops divide the run into drops + 1 equal parts.
    """

    gamma: float = number(0.1, above=0, maximum=1)
    drops: int = number(2, minimum=1)

    def factor(self, progress: float) -> float:
        """Return γ^k, where γ = `gamma` and k is the number of drops so far.

        Example: if the run has two drops, the factor is γ after ⅓ of the run and γ² after ⅔.
        """
        return self.gamma ** math.floor(progress * (self.drops + 1))


@register("scheduler", "exponential")
@dataclass(kw_only=True, slots=True)
class ExponentialConfig(SchedulerConfig):
    """The learning rate falls exponentially: each update multiplies it by the same factor.

    Attributes
    ----------
    final
        The learning rate at the end of the run, as a share of `optimizer.lr`.
    """

    final: float = number(1e-2, above=0, maximum=1)

    def factor(self, progress: float) -> float:
        """Return final^t, where t is `progress`: 1 at t = 0, and √final at t = ½."""
        return float(self.final**progress)


@register("scheduler", "one_cycle")
@dataclass(kw_only=True, slots=True)
class OneCycleConfig(SchedulerConfig):
    """The learning rate rises to its highest value and then falls almost to 0, each time along half a cosine.

    Smith & Topin, "Super-convergence", 2018; the defaults are those of torch's OneCycleLR. This schedule has its own
    warm-up, so `warmup` must be 0.

    Attributes
    ----------
    peak
        The share of the run after which the learning rate is highest.
    start
        The learning rate at the start, as a share of the highest learning rate.
    final
        The learning rate at the end, as a share of the highest learning rate.
    """

    peak: float = number(0.3, above=0, below=1)
    start: float = number(0.04, above=0, maximum=1)
    final: float = number(4e-6, minimum=0, maximum=1)

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        if self.warmup:
            yield f"warmup={self.warmup}: one_cycle warms up by itself; use scheduler.peak and scheduler.start"

    def factor(self, progress: float) -> float:
        """Return the factor at t = `progress`: `start` at t = 0, 1 at t = `peak`, and almost `final` at the end."""
        if progress < self.peak:
            return _half_cosine(self.start, 1.0, progress / self.peak)
        return _half_cosine(1.0, self.final, (progress - self.peak) / (1 - self.peak))


def _half_cosine(first: float, last: float, place: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * place))
