"""A sweep from its overrides to its table: validate every job, launch them all, write ``summary.csv``."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction

from deeprob.assembly.config import RunConfig
from deeprob.config import digest, read
from deeprob.config.application import own_directory
from deeprob.config.loader import BasicSweeper
from deeprob.errors import CheckFailed, UserError, one_line
from deeprob.running.resume import complete
from deeprob.sweeps.conclusion import Conclusion
from deeprob.sweeps.job import Job, failure, outcome
from deeprob.sweeps.jobs import Jobs
from deeprob.sweeps.stacks import Stacking, check_settings
from deeprob.sweeps.table import SweepTable
from deeprob.sweeps.task import SweepTask
from deeprob.sweeps.validation import validate
from deeprob.tracking.run_dir import RunDirectory


def sweep(sweeper: BasicSweeper, task: TaskFunction, arguments: Sequence[str]) -> list[JobReturn]:
    """Run every combination of some overrides, and return what became of the jobs that ended well.

    Parameters
    ----------
    sweeper, task, arguments
        Hydra's sweeper, what it was given to run for each job (a `SweepTask`), and the words that it is to sweep.

    Raises
    ------
    UserError
        Before anything is written, if a job is not valid; names the job.
    CheckFailed
        When jobs or claims failed; names them.
    """
    assert sweeper.config is not None
    assert sweeper.launcher is not None
    assert isinstance(task, SweepTask)
    if isinstance(sweeper.launcher, Stacking):
        check_settings(sweeper.launcher)
    jobs, swept = planned(sweeper, arguments)
    first = jobs[0].config
    conclusion = Conclusion.of(first.sweep, first.run)
    resume = sweeper.config.get("resume") == "auto"
    with own_directory(sweeper.config, "sweep", resume=resume) as directory:
        table = SweepTable([job.words for job in jobs], swept, [job.config.run for job in jobs], first.sweep.columns)
        jobs = [dataclasses.replace(job, folder=directory / job.folder) for job in jobs]
        for job, summary in finished(directory, jobs) if resume else ():
            jobs[job.number] = job
            table.set_outcome(job.number, summary)
            table.print_job(job.number)
        task.jobs, task.on_end = dict(enumerate(jobs)), table.take
        try:
            results = launch(sweeper.launcher, jobs, table)
            refuted, failed = conclusion.conclude(table, directory, [job.folder for job in jobs])
        except (KeyboardInterrupt, SystemExit):  # the second where nobody reads the table
            interrupt(table)
            raise
        finally:
            table.write(directory / "summary.csv")
            print(f"\nsweep      {directory}")
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(map(str, failed))}")
    if refuted:
        raise CheckFailed(f"{len(refuted)} of {len(conclusion.claims)} claims failed: {'; '.join(refuted)}")
    return [result for result in results if result.status is JobStatus.COMPLETED]


def planned(sweeper: BasicSweeper, arguments: Sequence[str]) -> tuple[list[Job], list[str]]:
    """Return the jobs of some overrides, each validated, and the keys in which they may differ.

    Raises
    ------
    UserError
        Names a job that is not valid, or has no folder of its own.
    """
    assert sweeper.config is not None
    assert sweeper.hydra_context is not None
    overrides, swept = Jobs.of(sweeper, arguments)
    jobs = [validate(sweeper.hydra_context, sweeper.config, number, words) for number, words in enumerate(overrides)]
    taken: set[Path] = set()
    for job in jobs:
        if job.folder in taken or job.folder == Path() or ".." in job.folder.parts:
            raise UserError(
                f"hydra.sweep.subdir: job {job.number} would write to {str(job.folder)!r}; "
                "each needs a folder of its own"
            )
        taken.add(job.folder)
    return jobs, swept


def finished(directory: Path, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Yield the jobs whose config is that of a complete run in a directory, each in that run's folder, and its summary.

    A job may have had another number, and so another folder, when it ran.
    """
    done = {}
    for path in sorted(directory.glob("*/config.yaml")):
        try:
            config = read(RunConfig, path)
        except UserError:
            continue  # it is run again, and then named
        summary = RunDirectory(path.parent).read_json("summary")
        if complete(summary, config.trainer.epochs):
            done[digest(config)] = path.parent, summary
    for job in jobs:
        if (found := done.get(digest(job.config.run.resolved()))) is not None:
            folder, summary = found
            yield dataclasses.replace(job, folder=folder), summary


def launch(launcher: Launcher, jobs: Sequence[Job], table: SweepTable) -> list[JobReturn]:
    """Run what is open of a table's jobs, whatever becomes of each."""
    results: list[JobReturn] = []
    while open_jobs := table.open:
        first = open_jobs[0]
        count = next((place for place, number in enumerate(open_jobs) if number != first + place), len(open_jobs))
        try:
            batch = launcher.launch([list(job.words) for job in jobs[first : first + count]], initial_job_idx=first)
        except Exception as error:  # of what Hydra does around a job, such as making its folder
            number = table.open[0]
            print(f"error: job {number}: {one_line(error)}", file=sys.stderr)
            table.set_outcome(number, failure(error))
            table.print_job(number)
            continue
        for number, result in enumerate(batch, first):
            # a launcher of other processes has changed their tables, not this one
            table.set_outcome(number, outcome(result._return_value))
        results += batch
    return results


def interrupt(table: SweepTable) -> None:
    """Let the first open job of a table be the interrupted one and the others skipped; print the means over seeds."""
    cut = any(row["status"] == "interrupted" for row in table.rows)  # those of a stack
    for place, number in enumerate(table.open):
        if place or cut:
            table.set_outcome(number, {"status": "skipped"})
        else:
            table.set_outcome(number, {"status": "interrupted"})
            table.print_job(number)
    table.print_means()
