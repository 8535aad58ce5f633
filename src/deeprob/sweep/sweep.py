"""A sweep from its overrides to its table: validate every job, launch them all, write ``summary.csv``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import open_dict

from deeprob.config import digest, load, read
from deeprob.errors import CheckFailed, UserError, one_line
from deeprob.experiment import RunConfig, TrainConfig
from deeprob.hydra_app import own_directory, without_hydra
from deeprob.overrides import check_types, explain
from deeprob.run import complete
from deeprob.sweep.conclusion import Conclusion
from deeprob.sweep.jobs import Jobs
from deeprob.sweep.table import SweepTable, failure, outcome
from deeprob.tracking.run_dir import RunDirectory
from deeprob.watch import check_names


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
    jobs, swept = Jobs.of(sweeper, arguments)
    subdirectories, plans = zip(*(validate(sweeper, number, job) for number, job in enumerate(jobs)), strict=True)
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
        try:
            results = launch(sweeper.launcher, jobs, table)
            refuted, failed = conclusion.conclude(table, directory, folders)
        except KeyboardInterrupt:
            for place, number in enumerate(table.open):
                table.ended(number, {"status": "skipped" if place else "interrupted"}, told=not place)
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
            table.ended(number, outcome(result), told=False)  # a launcher of other processes has told nothing yet
        results += batch
    return results


def validate(sweeper: BasicSweeper, number: int, job: Sequence[str]) -> tuple[str, TrainConfig]:
    """Compose and check one job's config without running it, and return the name of its folder, and the config."""
    assert sweeper.hydra_context is not None
    assert sweeper.config is not None
    try:
        try:
            config = sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, list(job))
            with open_dict(config):
                config.hydra.job.num = config.hydra.job.id = number
            if "${hydra:" in str(config.hydra.sweep._get_node("subdir")._value()):
                HydraConfig.instance().set_config(config)  # takes milliseconds, so only where it is asked for
            subdirectory = str(config.hydra.sweep.subdir)
        except Exception as error:  # whatever Hydra makes of the words, the words are at fault
            raise explain(error, job) from error
        check_types(config, job)
        plan = load(TrainConfig, without_hydra(config))
        check_names(plan.trainer.figures)
        return subdirectory, plan
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(job)}): {error}") from error
