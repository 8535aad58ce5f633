"""Choose the number of workers for a sweep, and split its jobs into portions, by the estimated time of the runs."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from deeprob.assembly.setup import Setup
from deeprob.sweeps import grouping
from deeprob.sweeps.grouping import JobGroup
from deeprob.sweeps.job import Job
from deeprob.sweeps.stacks import Stacks

PORTIONS = 2
"""The number of portions per worker, if memory allows. With two, a worker that ends early has something left to do."""
EFFICIENT = 32
"""In a stack of fewer runs each run takes longer. A worker gets one such stack instead of two smaller ones."""
BUNDLE = 1.0
"""Short jobs that cannot be stacked are bundled until a portion takes about this many seconds."""
REPAY = 10.0
"""With ``workers=auto``, a sweep gets one worker for each so many seconds of work.

A worker needs 3 to 4 seconds to start, most of it for the import of torch (docs/results.md).
"""
SAMPLED = 3
"""The number of groups whose time is estimated by building a run. The other groups get the mean of these."""
RUN, UPDATE, STACKED_UPDATE, RATE = 0.01, 2e-4, 2.5e-5, 3e10
"""The seconds that a run takes for its files, and an update alone and in a stack, and the operations per second of an
update with one thread."""


@dataclass(frozen=True)
class Cost:
    """The cost of a group's runs.

    Attributes
    ----------
    seconds
        The estimated time of one run with one thread.
    largest
        The largest number of jobs in a portion. None: the worker decides how large its stacks are.
    together
        Whether the jobs train in a stack.
    memory
        The estimated memory of one run in bytes.
    on_gpu
        Whether the run trains on a GPU.
    """

    seconds: float
    largest: int | None
    together: bool
    memory: float = 0.0
    on_gpu: bool = False


def run_seconds(setup: Setup, *, together: bool) -> float:
    """Return the estimated time of one run with one thread, in a stack or alone."""
    evaluations = getattr(setup.config.optimizer, "max_iter", 1)  # L-BFGS evaluates L(W) several times per update
    update = (STACKED_UPDATE if together else UPDATE) + setup.operations / RATE
    return RUN + setup.steps * evaluations * update


def costs(groups: Sequence[JobGroup], stacks: Stacks) -> list[Cost]:
    """Return the cost of each group, estimated from its first run that is neither complete nor invalid.

    If no run can be built here, for example because only the workers have a GPU, all groups cost the same.
    """
    found = [_cost(group, stacks) if place < SAMPLED else None for place, group in enumerate(groups)]
    known = [cost for cost in found if cost is not None]
    mean = statistics.fmean(cost.seconds for cost in known) if known else 1.0
    others = [Cost(mean, None if group.together else 1, group.together) for group in groups]
    return [other if cost is None else cost for cost, other in zip(found, others, strict=True)]


def _cost(group: JobGroup, stacks: Stacks) -> Cost | None:
    sample = stacks.sample(group.jobs)
    if sample is None:
        return None
    reason = group.reason
    if group.together:
        reason = grouping.hindrance_of(sample, stacks.largest)
    together = group.together and not reason
    stacks.note_alone(group.jobs, reason)
    time, on_gpu = run_seconds(sample, together=together), sample.state.device.type == "cuda"
    memory = 0.0 if on_gpu else grouping.memory(sample)
    if together:
        return Cost(time, stacks.largest or grouping.fitting(sample), together, memory, on_gpu)
    isolated = group.jobs[0].config.sweep.isolate
    return Cost(time, 1 if isolated else max(1, int(BUNDLE / time)), together, memory, on_gpu)


def affordable(groups: Sequence[JobGroup], costs: Sequence[Cost], cores: int, memory: float) -> int:
    """Return the number of workers that repay their start, at most `cores` and as many as fit into `memory` bytes."""
    total = sum(len(group.jobs) * cost.seconds for group, cost in zip(groups, costs, strict=True))
    largest = max(cost.memory for cost in costs)
    return max(1, min(cores, int(total / REPAY), int(memory // largest) if largest else cores))


def portioned(
    groups: Sequence[JobGroup], costs: Sequence[Cost], workers: int, memory: float = math.inf
) -> list[tuple[Sequence[Job], Cost]]:
    """Split groups into portions of about the same time, and return the jobs and the cost of each portion.

    The longest portions come first. `memory` is the number of bytes that all workers together may use for stacks.
    """
    share = sum(len(group.jobs) * cost.seconds for group, cost in zip(groups, costs, strict=True)) / PORTIONS / workers
    portions: list[tuple[Sequence[Job], Cost]] = []
    for group, cost in zip(groups, costs, strict=True):
        size = max(1, round(share / cost.seconds))
        if cost.together:
            size = max(size, min(EFFICIENT, round(PORTIONS * share / cost.seconds)))
        if cost.largest is not None:
            size = min(size, cost.largest)
        if cost.together and cost.memory:
            size = max(1, int(min(size, memory / cost.memory / workers)))
        portions += [(jobs, cost) for jobs in grouping.portions(group.jobs, size)]
    return sorted(portions, key=lambda portion: -len(portion[0]) * portion[1].seconds)
