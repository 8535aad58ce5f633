"""The clauses of a schedule."""

import copy
import math
from collections.abc import Sequence

from deeprob.optim import Schedule
from deeprob.parts.part_trial import Clause, PartTrial, clause, concerns, expect, expect_same

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

LOSSES = [1.0, 0.5, *[0.5] * 30, 0.2, *[0.3] * 20]
"""Losses of epochs, which fall and then stop falling."""


def _schedule_of(trial: PartTrial, steps: int) -> Schedule:
    """Return the schedule of a run with `steps` updates."""
    built: Schedule = trial.part.build(steps)
    expect(isinstance(built, Schedule), "build() to return a deeprob.parts.Schedule", type(built).__name__)
    return built


def _factors_of(schedule: Schedule, steps: int | Sequence[int]) -> list[float]:
    """Return the factors of some updates."""
    return [schedule(step) for step in (range(steps) if isinstance(steps, int) else steps)]


@clause(CLAUSES, "The factor of each update is a finite number, 0 or more, in runs of 1 update and of many")
def _values(trial: PartTrial) -> None:
    for steps in (1, 2, 3, 100):
        for step, factor in enumerate(_factors_of(_schedule_of(trial, steps), steps)):
            right = isinstance(factor, int | float) and math.isfinite(factor) and factor >= 0
            expect(right, f"a number, 0 or more, for update {step} of {steps}", repr(factor))


@clause(CLAUSES, "Some update has a factor greater than 0, so that the run learns")
def _starts(trial: PartTrial) -> None:
    expect(max(_factors_of(_schedule_of(trial, 100), 100)) > 0, "a factor greater than 0", "only 0")


@clause(CLAUSES, "The factor depends on the number of the update, not on earlier calls")
def _pure(trial: PartTrial) -> None:
    once, again = _schedule_of(trial, 20), _schedule_of(trial, 20)
    expect_same(_factors_of(once, 20)[::-1], _factors_of(again, range(19, -1, -1)), "in another order of calls")


@clause(CLAUSES, "Its state is complete: a new schedule that loads state_dict() goes on with the same factors")
def _state(trial: PartTrial) -> None:
    first = _schedule_of(trial, 60)
    for loss in LOSSES[:40]:
        first.observe(loss)
    second = _schedule_of(trial, 60)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number, loss in enumerate(LOSSES):
        expect_same(first(number), second(number), f"of factor {number} after load_state_dict()")
        first.observe(loss)
        second.observe(loss)


@clause(CLAUSES, "A schedule that says extendable has the same factors in a longer run")
def _longer(trial: PartTrial) -> None:
    concerns(trial.part.extendable, "it does not")
    expect_same(_factors_of(_schedule_of(trial, 10), 10), _factors_of(_schedule_of(trial, 20), 10), "in a longer run")
