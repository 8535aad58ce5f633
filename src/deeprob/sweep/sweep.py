"""A sweep from its overrides to its table: validate every job, launch them all, write ``summary.csv``."""

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf import open_dict

from deeprob.config import load
from deeprob.errors import UserError
from deeprob.experiment import RunConfig
from deeprob.hydra_app import own_directory, without_hydra
from deeprob.overrides import check_types, explain, parse
from deeprob.sweep.table import SweepTable


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
    given = {override.key_or_group for override in parse(arguments, sweeper.hydra_context.config_loader)}
    params = [f"{key}={value}" for key, value in (sweeper.params or {}).items() if key not in given]
    words = [*params, *arguments]
    overrides = parse(words, sweeper.hydra_context.config_loader)
    try:
        jobs = sweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise UserError(f"{' '.join(words)}: {error}; give the values, as in key=1,2,3") from error
    if not jobs:
        raise UserError(f"{' '.join(words)}: a sweep over no values; give at least one")
    subdirectories, configs = zip(*(validate(sweeper, number, job) for number, job in enumerate(jobs)), strict=True)
    for number, subdirectory in enumerate(subdirectories):
        if subdirectory in subdirectories[:number] or not subdirectory or ".." in Path(subdirectory).parts:
            raise UserError(
                f"hydra.sweep.subdir: job {number} would write to {subdirectory!r}; each needs a folder of its own"
            )
    with own_directory(sweeper.config, "sweep") as directory:
        swept = list(dict.fromkeys(override.key_or_group for override in overrides if override.is_sweep_override()))
        table = SweepTable(jobs, swept, configs)
        sweeper.hydra_context.callbacks.callbacks.append(table)
        results = list(sweeper.launcher.launch(jobs, initial_job_idx=0))
        table.write(directory / "summary.csv", results)
    table.compare()
    print(f"\nsweep      {directory}")
    return results


def validate(sweeper: BasicSweeper, number: int, job: Sequence[str]) -> tuple[str, RunConfig]:
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
        return subdirectory, load(RunConfig, without_hydra(config))
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(job)}): {error}") from error
