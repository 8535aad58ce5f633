"""The config of one job of a sweep, composed and checked before anything starts."""

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
    context, sweep
        Hydra's, and the config of the sweep.
    number, words
        The job's number and overrides.

    Returns
    -------
    Job
        Its folder is that within the sweep's.

    Raises
    ------
    UserError
        Names the job.
    """
    try:
        try:
            config = context.config_loader.load_sweep_config(sweep, list(words))
            with open_dict(config):
                config.hydra.job.num = config.hydra.job.id = number
            if "${hydra:" in str(unresolved(config.hydra.sweep, "subdir")):
                HydraConfig.instance().set_config(config)  # takes milliseconds, so only where it is asked for
            subdirectory = str(config.hydra.sweep.subdir)
        except Exception as error:  # whatever Hydra makes of the words, the words are at fault
            raise explain(error, words) from error
        check_types(config, words)
        with open_dict(config):
            config.pop("hydra")  # it is nobody else's, and a copy without it takes a fifth of the time
        plan = load(TrainConfig, config)
        check_names(plan.trainer.figures)
        return Job(number, list(words), plan, Path(subdirectory))
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(words)}): {error}") from error
