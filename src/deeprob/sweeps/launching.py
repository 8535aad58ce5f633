"""The work of the launcher: train the jobs of a sweep in this process, or in portions on workers."""

import dataclasses
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig

from deeprob.config import options_in
from deeprob.config.own_modules import MAIN
from deeprob.errors import UserError
from deeprob.sweeps import grouping
from deeprob.sweeps.engines import ENGINES, SIZED, capacity, check_engine, cores, start
from deeprob.sweeps.job import Job
from deeprob.sweeps.portion import DATA, Portion
from deeprob.sweeps.portioning import Cost, affordable, costs, portioned
from deeprob.sweeps.stacks import Metrics, Stacks, best_now, returned, run_alone
from deeprob.sweeps.task import SweepTask
from deeprob.sweeps.validation import validate
from deeprob.sweeps.workers import Workers
from deeprob.tracking import console
from deeprob.tracking.ownership import Owner

FOLDER = ".workers"
"""The folder in the directory of a sweep with the files that the sweep and its workers exchange."""
CPU = torch.device("cpu")


@runtime_checkable
class Stacking(Protocol):
    """The interface of the launcher of stacks. The launcher is in `hydra_plugins`, where Hydra looks for launchers."""

    max_stack: int | str
    workers: int | str
    engine: str
    cluster: str
    resources: dict[str, Any]
    hydra_context: HydraContext | None
    config: DictConfig | None
    task_function: Any

    def alone(self, words: Sequence[str], number: int) -> JobReturn:
        """Run one job as Hydra's basic launcher does."""


def check_settings(launcher: Stacking) -> None:
    """Raise a `UserError` if a launcher setting is invalid, or if the package of its engine is not installed."""
    key = "hydra.launcher"
    if launcher.max_stack != "auto" and (type(launcher.max_stack) is not int or launcher.max_stack < 1):
        raise UserError(f"{key}.max_stack={launcher.max_stack}: expected a whole number at least 1, or auto")
    if launcher.workers != "auto" and (type(launcher.workers) is not int or launcher.workers == 0):
        raise UserError(
            f"{key}.workers={launcher.workers}: expected a whole number at least 1, -1 for all cores, -2 for all "
            "cores but one, or auto"
        )
    if launcher.engine not in ENGINES:
        raise UserError(f"{key}.engine={launcher.engine}: expected {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    if launcher.engine == "processes":
        for name, value, default in (("cluster", launcher.cluster, "auto"), ("resources", launcher.resources, {})):
            if value != default:
                raise UserError(f"{key}.{name}: only engine=ray and engine=submitit have it; set {key}.engine")
    elif (launcher.engine not in SIZED) if isinstance(launcher.workers, str) else launcher.workers < 1:
        raise UserError(f"{key}.workers: engine={launcher.engine} needs the number of workers; set {key}.workers=N")
    check_engine(launcher.engine, launcher.cluster, launcher.resources)


def check_jobs(launcher: Stacking, jobs: Sequence[Job]) -> None:
    """Raise a `UserError` if the user wants workers, but they cannot import the class of an option."""
    wanted = launcher.engine != "processes" or launcher.workers not in ("auto", 1)
    if wanted and (option := only_here(jobs)):
        raise UserError(
            f"hydra.launcher.workers={launcher.workers}: workers cannot import {option}, because its class is in a "
            "notebook or a script; put it into a module, or set hydra.launcher.workers=1"
        )


def only_here(jobs: Iterable[Job]) -> str:
    """Return an option of some jobs that only this process knows, such as ``model=mine``; empty if there is none."""
    mine = options_in(MAIN)
    if not mine:
        return ""
    return "=".join(next((choice for job in jobs for choice in job.config.choices() if choice in mine), ()))


def launch(launcher: Stacking, words: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run jobs, and return their results in the order of the jobs.

    Parameters
    ----------
    launcher
        The launcher that Hydra called.
    words
        The overrides of each job.
    first
        The number of the first job. The others have the next numbers.

    Raises
    ------
    UserError
        If a job is invalid and the sweeper does not search. The message names the job.
    """
    check_settings(launcher)
    task = launcher.task_function
    assert isinstance(task, SweepTask)
    jobs, refused = [], {}
    for number, job in enumerate(words, first):
        try:
            jobs.append(task.jobs.get(number) or composed(launcher, number, job))
        except UserError as error:
            if not task.searching:
                raise
            reason = error.__cause__ or error  # the cause does not repeat the job's number and words
            task.refuse(number, job, sweep_folder(launcher), reason)
            refused[number] = returned(job, "", reason)
    check_jobs(launcher, jobs)
    results = refused | train(launcher, task, jobs)
    return [results[number] for number in sorted(results)]


def train(launcher: Stacking, task: SweepTask, jobs: Sequence[Job]) -> dict[int, JobReturn]:
    """Train jobs, and return their results by job number."""
    assert launcher.config is not None
    largest = launcher.max_stack if isinstance(launcher.max_stack, int) else None

    @contextmanager
    def progress(title: str) -> Iterator[RunsBar]:
        visible = jobs[0].config.trainer.progress
        with console.Bar(len(jobs), title, "runs", done=len(stacks.results), visible=visible, rarely=True) as bar:
            yield RunsBar(bar)

    if reason := hindrance_of_hydra(launcher.config):
        stacks = Stacks(task, lambda job: launcher.alone(job.words, job.number), largest, progress)
        groups = [grouping.JobGroup(jobs, False, reason)] if jobs else []
        if launcher.workers != "auto":
            task.shared.note_once(f"hydra.launcher.workers={launcher.workers}: not used, because {reason}")
    else:
        stacks = Stacks(task, lambda job: run_alone(task, job), largest, progress)
        groups = grouping.grouped(jobs)
        if may_have_workers(launcher, groups):
            found = costs(groups, stacks)
            count = number_of_workers(launcher, groups, found)
            if count > 1 or launcher.engine != "processes":
                if launcher.engine == "processes" and launcher.workers == "auto":
                    task.shared.note_once(
                        f"hydra.launcher.workers=auto: {count} worker processes (1 trains in this process)"
                    )
                stacks.release()
                return on_workers(launcher, task, count, groups, found)
    shapes, shape = sum(group.together for group in groups), 0
    for group in groups:
        shape += group.together
        stacks.train(group, f"shape {shape} of {shapes}, " if shapes > 1 else "")
    return stacks.results


def may_have_workers(launcher: Stacking, groups: Sequence[grouping.JobGroup]) -> bool:
    """Return whether jobs may train on workers. If so, their costs decide.

    With ``sweep.isolate=true``, this process starts a fork for each job. Then it must not compute before, so the costs
    are not estimated.
    """
    if not groups or launcher.engine != "processes":
        return bool(groups)
    if launcher.workers == "auto":
        isolated = any(group.jobs[0].config.sweep.isolate for group in groups)
        possible = not isolated and (os.cpu_count() or 1) > 1 and not only_here(job for g in groups for job in g.jobs)
    else:
        possible = launcher.workers != 1
    return possible and sum(len(group.jobs) for group in groups) > 1


def number_of_workers(launcher: Stacking, groups: Sequence[grouping.JobGroup], costs: Sequence[Cost]) -> int:
    """Return the number of workers that the launcher starts."""
    jobs, workers = sum(len(group.jobs) for group in groups), launcher.workers
    if isinstance(workers, str) and launcher.engine != "processes":
        workers = capacity(launcher.engine, launcher.cluster, launcher.resources)
    if isinstance(workers, str):
        if any(cost.on_gpu for cost in costs):  # several processes on one GPU are no faster
            return 1
        count = affordable(groups, costs, min(jobs, os.cpu_count() or 1), grouping.free_memory(CPU))
        return count if count == 1 else min(count, cores())
    return min(jobs, workers if workers > 0 else max(1, cores() + 1 + workers))


def on_workers(
    launcher: Stacking, task: SweepTask, count: int, groups: Sequence[grouping.JobGroup], costs: Sequence[Cost]
) -> dict[int, JobReturn]:
    """Train jobs on workers, and return their results by job number."""
    local = launcher.engine == "processes"
    if task.engine is None:
        above = sweep_folder(launcher).absolute() / FOLDER
        above.mkdir(parents=True, exist_ok=True)
        task.exchange = Path(tempfile.mkdtemp(dir=above))
        task.resources.callback(shutil.rmtree, above, ignore_errors=True)
        task.engine = task.resources.enter_context(
            start(launcher.engine, count, launcher.cluster, dict(launcher.resources), task.exchange / "engine")
        )
    task.shared.write(task.exchange / DATA)
    largest = launcher.max_stack if isinstance(launcher.max_stack, int) else None
    portions = [
        Portion(
            jobs=tuple(jobs),
            together=cost.together and len(jobs) > 1,
            largest=len(jobs) if local and cost.largest is not None else largest,
            command=tuple(task.command),
            searching=task.searching,
            folder=task.exchange,
            parent=os.getpid() if local else 0,
            attempt=attempt_at(jobs),
        )
        for jobs, cost in portioned(groups, costs, count, grouping.free_memory(CPU) if local else math.inf)
    ]
    return Workers(task, task.engine, count, task.exchange).train(portions)


def attempt_at(jobs: Sequence[Job]) -> int:
    """Return an attempt that may take over the directories of jobs from workers of an earlier sweep.

    If this earlier sweep was killed, its workers may still run on other machines.
    """
    owners = [owner for job in jobs if (owner := Owner.of(job.folder)) is not None]
    return max((owner.attempt + 1 for owner in owners), default=0)


@dataclasses.dataclass(frozen=True)
class RunsBar:
    """A progress bar that counts runs, and shows the best metric of all runs."""

    bar: console.Bar

    def advance(self, count: float, metrics: Metrics) -> None:
        """Add `count` runs, and show the best of these metrics."""
        self.bar.advance(count, best_now(metrics))


def composed(launcher: Stacking, number: int, words: Sequence[str]) -> Job:
    """Compose and validate a job. This is necessary if the sweeper has not done it."""
    assert launcher.hydra_context is not None
    assert launcher.config is not None
    job = validate(launcher.hydra_context, launcher.config, number, words)
    return dataclasses.replace(job, folder=sweep_folder(launcher) / job.folder)


def sweep_folder(launcher: Stacking) -> Path:
    """Return the directory of a launcher's sweep."""
    assert launcher.config is not None
    return Path(str(launcher.config.hydra.sweep.dir))


def hindrance_of_hydra(config: DictConfig) -> str:
    """Return the reason why Hydra's settings make jobs train one by one; empty if there is none."""
    hydra = config.hydra
    if hydra.output_subdir is not None:
        return f"hydra.output_subdir={hydra.output_subdir} stores Hydra's files of each job"
    if (logging := hydra.runtime.choices.get("hydra/job_logging")) not in ("none", None):
        return f"hydra/job_logging={logging} logs each job by itself"
    if hydra.get("callbacks"):
        return "hydra.callbacks are called for each job"
    if hydra.job.env_set:
        return "hydra.job.env_set sets the environment of each job"
    return ""
