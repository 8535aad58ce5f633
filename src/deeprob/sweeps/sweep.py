"""Run a sweep: validate all jobs, launch them, and write ``summary.csv``."""

import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction

from deeprob.assembly.automatic import DECIDED
from deeprob.assembly.config import RunConfig
from deeprob.compare.past_runs import read_run
from deeprob.config import flat, read
from deeprob.config.application import own_directory
from deeprob.config.loader import BasicLauncher, BasicSweeper
from deeprob.errors import CheckFailed, DeeprobError, Interrupted, Skipped, UserError
from deeprob.running.falling import ADVICE, STILL_FALLING
from deeprob.running.resume import begun, complete
from deeprob.sweeps.conclusion import Conclusion
from deeprob.sweeps.grouping import named_jobs
from deeprob.sweeps.job import Job, failure, outcome
from deeprob.sweeps.jobs import Jobs
from deeprob.sweeps.launching import Stacking, check_jobs, check_settings
from deeprob.sweeps.resumption import print_sweep
from deeprob.sweeps.table import SweepTable
from deeprob.sweeps.task import SweepTask
from deeprob.sweeps.validation import Validation
from deeprob.sweeps.workers import cause
from deeprob.tracking import console
from deeprob.tracking.ownership import Ownership
from deeprob.tracking.run_dir import RunDirectory, read_json
from deeprob.tracking.signals import Interruption

UNFINISHED = ("", "interrupted", "not started")
"""The statuses of jobs that a resumed sweep runs."""


def sweep(sweeper: BasicSweeper, task: TaskFunction, arguments: Sequence[str]) -> list[JobReturn]:
    """Run every combination of the overrides' values, and return the results of the jobs that ended well.

    Parameters
    ----------
    sweeper
        Hydra's sweeper.
    task
        The function that runs one job: a `SweepTask`.
    arguments
        The overrides to sweep.

    Raises
    ------
    UserError
        If a job is invalid. The error is raised before anything is written, and names the job.
    CheckFailed
        If jobs or claims failed. The message names them.
    """
    assert sweeper.config is not None
    assert sweeper.launcher is not None
    assert isinstance(task, SweepTask)
    if isinstance(sweeper.launcher, Stacking):
        check_settings(sweeper.launcher)
    jobs, swept = planned(sweeper, arguments)
    if isinstance(sweeper.launcher, Stacking):
        check_jobs(sweeper.launcher, jobs)
    first = jobs[0].config
    conclusion = Conclusion.of(first.sweep, first.run)
    resume = sweeper.config.get("resume") == "auto"
    with own_directory(sweeper.config, "sweep", resume=resume) as directory, Ownership(directory), task:
        jobs = [dataclasses.replace(job, folder=directory / job.folder) for job in jobs]
        table = SweepTable(
            jobs, swept, [job.config.run for job in jobs], first.sweep.columns, directory / "summary.csv"
        )
        for job, summary in finished(directory, jobs) if resume else ():
            jobs[job.number] = job
            table.take(job, outcome(summary))
        task.jobs, task.table, task.on_end = dict(enumerate(jobs)), table, table.take
        try:
            results = launch(sweeper.launcher, task, jobs, table)
            falling = [job for job in jobs if table.rows[job.number].get(STILL_FALLING)]
            if falling and not conclusion.claims:  # whoever claims something has chosen the number of epochs for it
                console.note(f"trainer.epochs: in {named_jobs(falling)}, {ADVICE}")
            refuted, failed = conclusion.conclude(table, directory, [job.folder for job in jobs])
        except (KeyboardInterrupt, SystemExit):  # SystemExit is raised if the reader of the output has closed the pipe
            interrupt(table)
            raise
        finally:
            table.write()
            print_sweep(directory, finished=not any(row["status"] in UNFINISHED for row in table.rows))
    if failed:
        raise CheckFailed("; ".join(shortfall(failed, table, len(jobs))))
    if refuted:
        raise CheckFailed(f"{len(refuted)} of {len(conclusion.claims)} claims failed: {'; '.join(refuted)}")
    return [result for result in results if result.status is JobStatus.COMPLETED]


def planned(sweeper: BasicSweeper, arguments: Sequence[str]) -> tuple[list[Job], list[str]]:
    """Return the validated jobs of a sweep, and the keys in which they may differ.

    Raises
    ------
    UserError
        If a job is invalid, or if its folder belongs to another job or is not inside the sweep's directory. The
        message names the job.
    """
    assert sweeper.config is not None
    assert sweeper.hydra_context is not None
    overrides, swept = Jobs.of(sweeper, arguments)
    validation = Validation(sweeper.hydra_context, sweeper.config)
    jobs = [validation.job(number, words) for number, words in enumerate(overrides)]
    taken: set[Path] = set()
    for job in jobs:
        if job.folder in taken or job.folder == Path() or ".." in job.folder.parts:
            raise UserError(
                f"hydra.sweep.subdir: job {job.number} would write to {str(job.folder)!r}; "
                "each job needs its own folder"
            )
        taken.add(job.folder)
    return jobs, swept


def config_hash(values: Mapping[str, Any], without: Iterable[str] = ()) -> bytes:
    """Return a hash of a run's values, without some keys.

    ``trainer.gradient`` is always left out, because runs of earlier versions do not have this key.
    """
    kept = {**values, "trainer.gradient": "auto"} | dict.fromkeys(without, "auto")
    return hashlib.sha256(repr(sorted(kept.items())).encode("utf-8", "surrogatepass")).digest()


def finished(directory: Path, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Yield each job that has a complete run in the directory, and the summary of this run.

    The run is found by its config, because the numbers of the jobs may have changed. In the keys `DECIDED`, ``auto``
    stands for any number that no other job gives. The yielded job has the folder of the run.
    """
    values = [flat(job.config.run.resolved()) for job in jobs]
    keys = {frozenset(of_job) for of_job in values}
    automatic = [frozenset(key for key in DECIDED if of_job.get(key) == "auto") for of_job in values]
    identities = [(keys, config_hash(of_job, keys)) for keys, of_job in zip(automatic, values, strict=True)]
    wanted, done = set(identities), {}
    fewest_first = sorted(set(automatic), key=len)
    for path in sorted(directory.glob("*/config.yaml")):
        try:
            found = read_run(path.parent).values
            if frozenset(found) not in keys:  # a run of an earlier version lacks new keys, which then have defaults
                found = flat(read(RunConfig, path))
        except UserError:
            continue  # the job runs again, and then reports the error
        which = next((key for each in fewest_first if (key := (each, config_hash(found, each))) in wanted), None)
        if which is not None:
            summary = read_json(path.parent, "summary")
            if complete(summary, found["trainer.epochs"]):
                done[which] = path.parent, summary
    for job, identity in zip(jobs, identities, strict=True):
        if identity in done:
            folder, summary = done[identity]
            yield dataclasses.replace(job, folder=folder), summary


def launch(launcher: Launcher, task: SweepTask, jobs: Sequence[Job], table: SweepTable) -> list[JobReturn]:
    """Run the jobs of a table that have not ended, and return their results. A failed job does not stop the sweep.

    Some launchers run jobs in other processes. If one of these processes is killed, the launcher ends all of them. Then
    this function reads the files of the jobs to find out which jobs had begun. It resumes these jobs one by one. If a
    process is killed again, its job is the cause, and has failed.

    A signal reaches the other processes too. They save their states, and then the sweep ends.
    """
    results: list[JobReturn] = []
    alone = any(kind.__name__ == BasicLauncher.__name__ for kind in type(launcher).__mro__)  # Hydra imports it twice
    while open_jobs := table.open:
        first = next((number for number in open_jobs if number in task.going_on), open_jobs[0])
        batch = [number for place, number in enumerate(open_jobs) if number == open_jobs[0] + place]
        if first in task.going_on:
            batch = [first]
        try:
            with nullcontext() if alone else Interruption() as interruption:
                ended = launcher.launch([list(jobs[number].words) for number in batch], initial_job_idx=first)
        except UserError:
            raise
        except Exception as error:
            take_stock(error, task, [jobs[number] for number in batch], table)
            continue
        for number, result in zip(batch, ended, strict=True):
            # a job in another process has changed only its copy of the table
            if not (interruption is not None and interruption() and isinstance(result._return_value, Skipped)):
                table.set_outcome(number, outcome(result._return_value))
        results += ended
        if interruption is not None and interruption.number is not None:
            raise Interrupted(interruption.number)
    return results


def take_stock(error: Exception, task: SweepTask, jobs: Sequence[Job], table: SweepTable) -> None:
    """Find out what happened to jobs after their launcher raised an error.

    First, the outcomes of complete jobs are added to the table. Then there are two cases:

    - The launcher had several jobs, and some of them have begun but not ended. They are marked, to be resumed one by
      one.
    - In all other cases, the first job that has not ended is marked as failed.
    """
    for job in jobs:
        summary = RunDirectory(job.folder).read_json("summary")
        if job.number in table.open and complete(summary, job.config.trainer.epochs):
            table.take(job, outcome(summary))
    open_jobs = [job for job in jobs if job.number in table.open]
    cut_short = [job.number for job in open_jobs if begun(job.folder)]
    if len(jobs) > 1 and cut_short:
        console.note(f"{cause(error)}; jobs {', '.join(map(str, cut_short))} had started, and continue one by one")
        task.going_on |= set(cut_short)
    elif open_jobs:  # this also covers errors of Hydra outside the job, for example when it makes the job's folder
        task.going_on.discard(open_jobs[0].number)
        print(f"error: job {open_jobs[0].number}: {cause(error)}", file=sys.stderr)
        table.take(open_jobs[0], failure(DeeprobError(cause(error))))


def shortfall(failed: Sequence[int], table: SweepTable, total: int) -> Iterator[str]:
    """Yield a message with the count and the numbers of the failed jobs, and another one for the skipped jobs."""
    kinds: dict[str, list[int]] = {"failed": [], "skipped": []}
    for number in failed:
        kinds["skipped" if table.rows[number]["status"] == Skipped.outcome else "failed"].append(number)
    for kind, numbers in kinds.items():
        if numbers:
            yield f"{len(numbers)} of {total} jobs {kind}: {', '.join(map(str, numbers))}"


def interrupt(table: SweepTable) -> None:
    """Mark the jobs that have not ended as interrupted or not started, and print the means over seeds."""
    for number in table.open:
        if begun(table.rows[number]["directory"]):
            table.set_outcome(number, {"status": "interrupted"})
            table.print_job(number)
        else:
            table.set_outcome(number, {"status": "not started"})
    table.print_means()
    if missing := sum(row["status"] == "not started" for row in table.rows):
        console.note(f"{missing} of {len(table.rows)} jobs not started")
