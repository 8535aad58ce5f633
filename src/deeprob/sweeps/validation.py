"""Compose and check the config of one job of a sweep, before any job starts."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from deeprob.assembly.config import TrainConfig
from deeprob.config import load
from deeprob.config.loader import unresolved
from deeprob.config.overrides import check_types, explain
from deeprob.errors import UserError
from deeprob.running.watch import check_names
from deeprob.sweeps.job import Job


def validate(context: HydraContext, sweep: DictConfig, number: int, words: Sequence[str]) -> Job:
    """Compose and check one job's config without running it.

    Parameters
    ----------
    context
        The context of Hydra.
    sweep
        The config of the sweep.
    number
        The number of the job.
    words
        The overrides of the job.

    Returns
    -------
    Job
        The job. Its folder is relative to the directory of the sweep.

    Raises
    ------
    UserError
        If the config is invalid. The message names the job.
    """
    try:
        try:
            config = context.config_loader.load_sweep_config(sweep, list(words))
            with open_dict(config):
                config.hydra.job.num, config.hydra.job.id = number, str(number)
            if "${hydra:" in str(unresolved(config.hydra.sweep, "subdir")):
                HydraConfig.instance().set_config(config)  # takes milliseconds, so it is done only if it is needed
            subdirectory = str(config.hydra.sweep.subdir)
        except Exception as error:  # every exception here is caused by the overrides
            raise explain(error, words) from error
        check_types(config, words)
        with open_dict(config):
            config.pop("hydra")  # without this large part, the config is copied five times as fast
        plan = load(TrainConfig, config)
        check_names(plan.trainer.figures)
        return Job(number, list(words), plan, Path(subdirectory))
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(words)}): {error}") from error
