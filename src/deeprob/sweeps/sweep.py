"""A sweep from its overrides to its table: validate every job, launch them all, write ``summary.csv``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from deeprob.assembly.config import RunConfig
from deeprob.config import digest, read
from deeprob.config.application import own_directory
from deeprob.errors import CheckFailed, UserError, one_line
from deeprob.running.resume import complete
from deeprob.sweeps.conclusion import Conclusion
from deeprob.sweeps.jobs import Jobs
from deeprob.sweeps.stacks import Job, Stacking, check_settings
from deeprob.sweeps.table import SweepTable, failure, outcome
from deeprob.sweeps.validation import validate
from deeprob.tracking.run_dir import RunDirectory


def sweep(sweeper: BasicSweeper, arguments: Sequence[str]) -> list[JobReturn]:
    """Run every combination of some overrides.

    Raises
    ------
    UserError
        Before anything is written, if a job is not valid; names the job.
    """
    assert sweeper.config is not None
    assert sweeper.launcher is not None
    assert sweeper.hydra_context is not None
    if isinstance(sweeper.launcher, Stacking):
        check_settings(sweeper.launcher)
    jobs, swept = Jobs.of(sweeper, arguments)
    subdirectories, plans = zip(
        *(validate(sweeper.hydra_context, sweeper.config, number, job) for number, job in enumerate(jobs)), strict=True
    )
    configs = [plan.run for plan in plans]
    conclusion = Conclusion.of(plans[0].sweep, configs[0])
    for number, subdirectory in enumerate(subdirectories):
        if subdirectory in subdirectories[:number] or not subdirectory or ".." in Path(subdirectory).parts:
            raise UserError(
                f"hydra.sweep.subdir: job {number} would write to {subdirectory!r}; each needs a folder of its own"
            )
    resume = sweeper.config.get("resume") == "auto"
    with own_directory(sweeper.config, "sweep", resume=resume) as directory:
        table = SweepTable(jobs, swept, configs, plans[0].sweep.columns)
        folders = [directory / subdirectory for subdirectory in subdirectories]
        for number, (folder, summary) in finished(directory, configs).items() if resume else ():
            folders[number] = folder
            table.ended(number, summary)
        sweeper.hydra_context.callbacks.callbacks.append(table)
        if isinstance(sweeper.launcher, Stacking):
            sweeper.launcher.jobs = dict(enumerate(map(Job, jobs, plans, folders)))
            sweeper.launcher.told = lambda number, result: table.ended(number, outcome(result._return_value))
        try:
            results = launch(sweeper.launcher, jobs, table)
            refuted, failed = conclusion.conclude(table, directory, folders)
        except KeyboardInterrupt:
            cut = any(row["status"] == "interrupted" for row in table.rows)  # those of a stack
            for place, number in enumerate(table.open):
                table.ended(number, {"status": "skipped" if place or cut else "interrupted"}, told=not (place or cut))
            table.compare()
            raise
        finally:
            table.write(directory / "summary.csv")
            print(f"\nsweep      {directory}")
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(map(str, failed))}")
    if refuted:
        raise CheckFailed(f"{len(refuted)} of {len(conclusion.claims)} claims failed: {'; '.join(refuted)}")
    return [result for result in results if result.status is JobStatus.COMPLETED]


def finished(directory: Path, configs: Sequence[RunConfig]) -> dict[int, tuple[Path, dict[str, Any]]]:
    """Return folder and summary of the jobs whose config is that of a run in a directory that is complete."""
    done = {}
    for path in sorted(directory.glob("*/config.yaml")):
        try:
            config = read(RunConfig, path)
        except UserError:
            continue  # it is run again, and then named
        summary = RunDirectory(path.parent).read_json("summary")
        if complete(summary, config):
            done[digest(config)] = path.parent, summary
    found = {number: done.get(digest(config.resolved())) for number, config in enumerate(configs)}
    return {number: run for number, run in found.items() if run is not None}


def launch(launcher: Launcher, jobs: Sequence[Sequence[str]], table: SweepTable) -> list[JobReturn]:
    """Run what is open of a table's jobs, whatever becomes of each."""
    results: list[JobReturn] = []
    while open_jobs := table.open:
        first = open_jobs[0]
        count = next((place for place, number in enumerate(open_jobs) if number != first + place), len(open_jobs))
        try:
            batch = launcher.launch([list(job) for job in jobs[first : first + count]], initial_job_idx=first)
        except Exception as error:  # of what Hydra does around a job, such as making its folder
            number = table.open[0]
            print(f"error: job {number}: {one_line(error)}", file=sys.stderr)
            table.ended(number, failure(error))
            continue
        for number, result in enumerate(batch, first):
            # a launcher of other processes has told nothing yet
            table.ended(number, outcome(result._return_value), told=False)
        results += batch
    return results
