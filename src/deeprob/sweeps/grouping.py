"""Which jobs of a sweep can train as one stack, and how large stacks are."""

import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from deeprob import config as configs
from deeprob.assembly.assembly import Experiment
from deeprob.assembly.config import VARY, RunConfig, TrainConfig
from deeprob.optim.rules import RULES, hyper_of

LARGEST = {"cpu": 256, "cuda": 4096}
"""Runs in a stack: more than that take longer each, as what they compute with no longer fits the caches."""
LARGE_UPDATE = 1e8
"""Floating-point operations of an update from which on one run alone keeps a CPU as busy as several do."""


def structure(config: RunConfig) -> tuple[tuple[str, Any], ...]:
    """Return what must be the same in all runs of a stack."""
    flat = configs.flat(config)
    own = ("regularizer.", "scheduler.")
    kept = [
        (key, str(value))
        for key, value in flat.items()
        if key not in VARY
        and not key.startswith(own)
        and not (key.startswith("optimizer.") and not isinstance(value, bool))
    ]
    return (*kept, ("proximal", config.regularizer.has_proximal_step))


def differences(plans: Sequence[RunConfig]) -> set[str]:
    """Return the names of the numbers of optimizer, loss and regularizer in which runs differ."""
    optimizers = [hyper_of(plan.optimizer) for plan in plans]
    names = {name for name in optimizers[0] if len({of_run[name] for of_run in optimizers}) > 1}
    for parts in ([plan.loss.build() for plan in plans], [plan.regularizer.build() for plan in plans]):
        for name in {name for part in parts for name in part.numbers}:
            if len({getattr(part, name, 0.0) for part in parts}) > 1:
                names.add(name)
    return names


def hindrance(plan: TrainConfig) -> str:
    """Return why a job must train alone, whatever the others are; empty if nothing is in the way."""
    name = configs.name_of(plan.optimizer)
    if plan.optimizer.deterministic:
        return f"optimizer={name} searches along lines of its own"
    if name not in RULES:
        return f"optimizer={name} has no rule in deeprob.optim.rules"
    if plan.trainer.preflight:
        return f"trainer.preflight={plan.trainer.preflight} checks each run by itself"
    if plan.sweep.isolate:
        return "sweep.isolate=true gives each job a process of its own"
    return ""


def hindrance_of_size(experiment: Experiment, forced: bool) -> str:
    """Return why runs of this size do not train as a stack; `forced` leaves out what would only be of no use."""
    if experiment.batch_size > experiment.chunk_size:
        return f"its batches of {experiment.batch_size} are split into chunks of {experiment.chunk_size}"
    work = operations(experiment)
    if not forced and experiment.state.frozen.device.type == "cpu" and work > LARGE_UPDATE:
        return f"an update of {work:.1e} operations keeps the CPU busy by itself (hydra.launcher.max_stack=N stacks it)"
    return ""


def operations(experiment: Experiment) -> float:
    """Return about how many floating-point operations an update takes."""
    return 6.0 * experiment.batch_size * experiment.parameters


def fitting(experiment: Experiment) -> int:
    """Return how many runs like one fit into a stack: by memory, and by what is fast."""
    device = experiment.state.frozen.device
    return max(1, min(LARGEST[device.type], int(free_memory(device) // memory(experiment))))


def memory(experiment: Experiment) -> int:
    """Return about how many bytes a run of a stack takes: parameters with gradient and states, and activations."""
    weights = [p for p in experiment.predictor.model.parameters() if p.dim() >= 2]
    units = experiment.predictor.features.output_count + sum(weight.shape[0] for weight in weights)
    numbers = 10 * experiment.parameters + 6 * experiment.batch_size * units + len(experiment.splits.train)
    return numbers * weights[0].element_size()


def free_memory(device: torch.device) -> int:
    """Return half of the bytes that are free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def portions(places: Sequence[int], largest: int) -> list[Sequence[int]]:
    """Split places into as few portions of at most so many as there can be, all about as large: 10 by 4 as 3, 3, 4."""
    count = -(-len(places) // largest)
    edges = [number * len(places) // count for number in range(count + 1)]
    return [places[start:end] for start, end in itertools.pairwise(edges)]


def grouped(plans: Iterable[tuple[int, TrainConfig]]) -> tuple[list[list[int]], dict[str, list[int]]]:
    """Return the numbers of jobs that may train together, and by reason those of jobs that may not."""
    groups: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    alone: dict[str, list[int]] = {}
    for number, plan in plans:
        if reason := hindrance(plan):
            alone.setdefault(reason, []).append(number)
        else:
            groups.setdefault(structure(plan.run.resolved()), []).append(number)
    return list(groups.values()), alone
