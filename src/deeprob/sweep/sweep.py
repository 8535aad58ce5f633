"""A sweep from its overrides to its table: validate every job, launch them all, write ``summary.csv``."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import open_dict

from deeprob.config import load
from deeprob.errors import UserError
from deeprob.experiment import RunConfig
from deeprob.hydra_app import own_directory, without_hydra
from deeprob.overrides import check_types, explain, parse
from deeprob.tracking import console
from deeprob.tracking.run_dir import COLUMNS

METRICS = (*COLUMNS[2:], "test/loss", "test/accuracy")


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
    words = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *arguments]
    overrides = parse(words, sweeper.hydra_context.config_loader)
    try:
        jobs = sweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise UserError(f"{' '.join(words)}: {error}; give the values, as in key=1,2,3") from error
    if not jobs:
        raise UserError(f"{' '.join(words)}: a sweep over no values; give at least one")
    subdirectories = [validate(sweeper, number, job) for number, job in enumerate(jobs)]
    for number, subdirectory in enumerate(subdirectories):
        if subdirectory in subdirectories[:number] or not subdirectory or ".." in Path(subdirectory).parts:
            raise UserError(
                f"hydra.sweep.subdir: job {number} would write to {subdirectory!r}; each needs a folder of its own"
            )
    with own_directory(sweeper.config, "sweep") as directory:
        results = list(sweeper.launcher.launch(jobs, initial_job_idx=0))
        swept = list(dict.fromkeys(override.key_or_group for override in overrides if override.is_sweep_override()))
        rows = [summary_row(job, swept, result) for job, result in zip(jobs, results, strict=True)]
        write_summary(directory / "summary.csv", swept, rows)
    show_summary(swept, rows)
    return results


def validate(sweeper: BasicSweeper, number: int, job: Sequence[str]) -> str:
    """Compose and check one job's config without running it, and return the name of its folder."""
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
        load(RunConfig, without_hydra(config))
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(job)}): {error}") from error
    return subdirectory


def summary_row(job: Sequence[str], swept: Sequence[str], result: JobReturn) -> dict[str, Any]:
    """Return a job's row: swept values as typed, status, error, metrics."""
    values = {key.lstrip("+"): value for key, value in (word.split("=", 1) for word in job)}
    row: dict[str, Any] = {key: values[key] for key in swept}
    if result.status is JobStatus.COMPLETED:
        return row | {"status": result.return_value["status"], "error": "", **result.return_value}
    error = result._return_value
    return row | {"status": getattr(error, "outcome", "failed"), "error": f"{error}" or type(error).__name__}


def write_summary(path: Path, swept: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write ``summary.csv``: a row a job."""
    metrics = [name for name in METRICS if any(name in row for row in rows)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*swept, "status", "error", *metrics], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def show_summary(swept: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Print the sweep's table."""
    names = [n for n in ("train/accuracy", "val/accuracy", "test/accuracy") if any(n in row for row in rows)]
    table = [
        (
            str(number),
            *(str(row[key]) for key in swept),
            str(row["status"]),
            *(f"{100 * row[name]:.2f} %" if name in row else "" for name in names),
        )
        for number, row in enumerate(rows)
    ]
    console.table(table, ("job", *swept, "status", *names))
