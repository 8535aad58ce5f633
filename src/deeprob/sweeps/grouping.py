"""JobGroup the jobs of a sweep that can train together as a stack, and choose the size of the stacks."""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from deeprob import config as configs
from deeprob.assembly.config import VARY, RunConfig, TrainConfig
from deeprob.assembly.setup import Setup
from deeprob.models import MLPConfig
from deeprob.objective.regularizers import ElasticNet, NoRegularizer
from deeprob.optim.rules import RULES
from deeprob.sweeps.job import Job
from deeprob.training.ready import may_join
from deeprob.training.training_data import TrainingData
from deeprob.training.trial import hindrance_of_stack

T = TypeVar("T")

LARGEST = {"cpu": 256, "cuda": 4096}
"""The largest number of runs in a stack, per device.

In a larger stack each run takes longer, because the tensors do not fit into the caches of the processor.
"""
FEW = 4
"""The number of examples with which parts of the user are tried in a stack."""
UNKNOWN = 2**30
"""If the system does not report its free memory, a stack may use this many bytes."""
LARGE_UPDATE = 5e7
"""If an update has more floating-point operations than this, a stack is no faster than single runs on the CPU.

Measured with one thread (docs/results.md): how many times faster a run is in a stack than as a single run.

- 5e5 operations per update: 1.6 times in a stack of two, 5 times in a stack of 16
- 7e6 operations: 1.2 times in a stack of two, about 2 times in a stack of 16
- 3e7 operations: 1.1 times in a stack of two, 1.2 times in a stack of 16
- 6e7 operations: no faster
- 1e8 operations: slower, because the tensors of the stack do not fit into the caches of the processor
"""


def structure(config: RunConfig) -> tuple[tuple[str, Any], ...]:
    """Return the keys and values that must be the same in all runs of a stack."""
    fixed = _of_one_run(config)
    kept = [
        (key, str(value))
        for key, value in configs.flat(config).items()
        if key.startswith(fixed)
        or not (
            key in VARY
            or key.startswith(("regularizer.", "scheduler."))
            or (key.startswith("optimizer.") and not isinstance(value, bool))
        )
    ]
    return (*kept, ("proximal", config.regularizer.has_proximal_step))


def _of_one_run(config: RunConfig) -> tuple[str, ...]:
    """Return the prefixes of keys in which the runs of a stack may not differ, although `VARY` has some of them.

    A stack has one model, one loss and one regularizer. Only those that say which of their attributes may be a number
    per run may differ in these numbers. The parts of users often do not say so.
    """
    names = ("class_weights", *config.loss.build().numbers)
    fixed = tuple(f"loss.{key}" for key in configs.flat(config.loss) if key not in names)
    if not isinstance(config.model, MLPConfig):
        fixed += ("model.",)
    if not isinstance(config.regularizer.build(), ElasticNet | NoRegularizer):
        fixed += ("regularizer",)
    return fixed


def hindrance(plan: TrainConfig) -> str:
    """Return the reason why a job cannot train in any stack; empty if the job can."""
    name = configs.name_of(plan.optimizer)
    if plan.optimizer.deterministic:
        return f"optimizer={name} does its own line searches"
    if plan.trainer.preflight:
        return f"trainer.preflight={plan.trainer.preflight} checks each run by itself"
    return ""


def hindrance_of(setup: Setup, largest: int | None) -> str:
    """Return the reason why runs like `setup` train one by one; empty if they train in a stack.

    Parts of the user may be impossible to stack, which a small stack shows. If `largest` gives the size of the stacks,
    runs are also stacked if a stack is not faster.
    """
    if not (setup.formulas and configs.name_of(setup.config.optimizer) in RULES):
        data = setup.prepared.training
        if reason := hindrance_of_stack(setup.learner, data.features, data.train[:FEW], setup.formulas):
            return reason
    return "" if largest is not None else hindrance_of_size(setup)


def hindrance_of_size(setup: Setup) -> str:
    """Return the reason why a stack of runs like `setup` is not faster than single runs; empty if it is faster."""
    if setup.state.device.type == "cpu" and setup.operations > LARGE_UPDATE:
        return (
            f"an update of over {LARGE_UPDATE:.0e} operations keeps the CPU busy already "
            "(hydra.launcher.max_stack=N stacks them)"
        )
    return ""


def fitting(setup: Setup) -> int:
    """Return the largest number of runs like `setup` that fit into memory as one stack, but at most `LARGEST`."""
    device = setup.state.device
    return max(1, min(LARGEST[device.type], int(free_memory(device) // memory(setup))))


def memory(setup: Setup) -> int:
    """Return an estimate of the memory for one run of a stack, in bytes.

    The estimate counts the parameters with their gradients and optimizer states, and the activations.
    """
    weights = [p for p in setup.predictor.model.parameters() if p.dim() >= 2]
    units = setup.predictor.features.output_count + sum(weight.shape[0] for weight in weights)
    numbers = 10 * setup.parameters + 6 * min(setup.batch_size, setup.chunk_size) * units + len(setup.splits.train)
    return numbers * weights[0].element_size()


def free_memory(device: torch.device) -> int:
    """Return half of the free memory in bytes. If only the total memory is known, return an eighth of the total."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    for name, share in (("SC_AVPHYS_PAGES", 2), ("SC_PHYS_PAGES", 8)):  # macOS reports only the total
        try:
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") // share
        except (AttributeError, OSError, ValueError):
            continue
    return UNKNOWN


def portions(members: Sequence[T], largest: int) -> list[Sequence[T]]:
    """Split members into the smallest number of portions with at most `largest` members each.

    The portions have about the same size. Example: with `largest` = 4, ten members become portions of 3, 3 and 4.
    """
    count = -(-len(members) // largest)
    edges = [number * len(members) // count for number in range(count + 1)]
    return [members[start:end] for start, end in itertools.pairwise(edges)]


@dataclass(frozen=True)
class JobGroup:
    """Jobs that train in the same way.

    Attributes
    ----------
    jobs
        The jobs.
    together
        Whether the jobs can train together in a stack.
    reason
        The reason why they cannot. Empty if they can, or if the user has asked for separate jobs.
    """

    jobs: Sequence[Job]
    together: bool = True
    reason: str = ""


def grouped(jobs: Iterable[Job]) -> list[JobGroup]:
    """JobGroup jobs that can train together, and jobs that train one by one for the same reason.

    The groups have the order of their first jobs.
    """
    together: dict[tuple[tuple[str, Any], ...], list[Job]] = {}
    alone: dict[str, list[Job]] = {}
    for job in jobs:
        reason = hindrance(job.config)
        if reason or job.config.sweep.isolate:
            alone.setdefault(reason, []).append(job)
        else:
            together.setdefault(structure(job.config.run.resolved()), []).append(job)
    groups = [JobGroup(of_one, len(of_one) > 1) for of_one in together.values()]
    groups += [JobGroup(of_one, False, reason) for reason, of_one in alone.items()]
    return sorted(groups, key=lambda group: group.jobs[0].number)


def by_shape(setups: Sequence[Setup]) -> list[list[int]]:
    """Return the indices of the setups that can train in one stack, as groups in the order of their first setups.

    Runs with different splits, such as the folds of a cross-validation, can train in one stack if the splits have the
    same shapes, are small, and are not augmented.
    """
    shapes: dict[tuple[object, ...], list[int]] = {}
    for place, setup in enumerate(setups):
        shapes.setdefault(setup.prepared.training.shapes, []).append(place)
    groups: list[list[int]] = []
    for places in shapes.values():
        by_data: dict[TrainingData, list[int]] = {}
        for place in places:
            by_data.setdefault(setups[place].prepared.training, []).append(place)
        settings = setups[places[0]].settings
        whole = settings.batch_size >= len(setups[places[0]].splits.train)
        joined = settings.augment is None and may_join(list(by_data), len(places), whole)
        groups += [places] if joined else by_data.values()
    return groups


def named_jobs(jobs: Sequence[Job]) -> str:
    """Return ``job 3``, or ``jobs 0, 1, 2 and 5 more``."""
    if len(jobs) == 1:
        return f"job {jobs[0].number}"
    more = len(jobs) - 3
    return f"jobs {', '.join(str(job.number) for job in jobs[:3])}" + (f" and {more} more" if more > 0 else "")
