"""Compose and check the configs of the jobs of a sweep, before any job starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from deeprob.assembly.config import TrainConfig
from deeprob.config import load
from deeprob.config.loader import CachingLoader, unresolved
from deeprob.config.overrides import check_types, explain, override_of
from deeprob.errors import UserError
from deeprob.running.trackers import check_trackers
from deeprob.running.watch import check_names
from deeprob.sweeps.job import Job
from deeprob.sweeps.template import PLAIN, Template

MOST = 256
"""The number of templates to keep. A template takes about 0.3 MB."""


class Composed(NamedTuple):
    """A job, the config from which it was made, and the name of its folder before interpolations are resolved."""

    job: Job
    config: DictConfig
    subdirectory: str


class Validation:
    """Validates the jobs of a sweep. Jobs that differ only in values share most of the work.

    Parameters
    ----------
    context
        The context of Hydra.
    sweep
        The config of the sweep.
    """

    def __init__(self, context: HydraContext, sweep: DictConfig) -> None:
        assert isinstance(context.config_loader, CachingLoader)
        self._context, self._sweep, self._loader = context, sweep, context.config_loader
        self._constant = self._loader.constant_keys(sweep)
        self._templates: dict[tuple[str, ...], Template | None] = {}
        self._keys: dict[str, str] = {}

    def job(self, number: int, words: Sequence[str]) -> Job:
        """Return the job that `validate` returns, or raise the same error."""
        plain = [PLAIN.fullmatch(word) is not None for word in words]
        keys = [self._key(word, same) for word, same in zip(words, plain, strict=True)]
        plain = [bool(key) and same for key, same in zip(keys, plain, strict=True)]
        structure = tuple(key if same else word for key, word, same in zip(keys, words, plain, strict=True))
        template = self._templates.get(structure)
        if template is not None:
            try:
                return template.job(number, words)
            except Exception:  # the job is invalid, or it cannot be made from this template
                self._templates[structure] = None
        job, config, subdirectory = compose_job(self._context, self._sweep, number, words)
        if structure not in self._templates:
            places = [place for place, same in enumerate(plain) if same]
            try:
                self._templates[structure] = Template(job, config, keys, places, subdirectory, self._constant)
            except ValueError:
                self._templates[structure] = None
            if len(self._templates) > MOST:
                del self._templates[next(iter(self._templates))]
        return job

    def _key(self, word: str, plain: bool) -> str:
        """Return the key that an override sets; empty if it chooses an option or is about Hydra."""
        key = word.partition("=")[0]
        if not plain:
            override = override_of(word)
            return override.key_or_group if self._loader.is_value(override) else ""
        if key not in self._keys:
            self._keys[key] = key if self._loader.is_value(override_of(f"{key}=0")) else ""
        return self._keys[key]


def validate(context: HydraContext, sweep: DictConfig, number: int, words: Sequence[str]) -> Job:
    """Return a job, with its number and its overrides, after its config was composed and checked (see `Validation`).

    The folder of the job is relative to the directory of the sweep.

    Raises
    ------
    UserError
        If the config is invalid. The message names the job.
    """
    return compose_job(context, sweep, number, words).job


def compose_job(context: HydraContext, sweep: DictConfig, number: int, words: Sequence[str]) -> Composed:
    """Return the job that `validate` returns, and the config from which it was made."""
    try:
        try:
            config = context.config_loader.load_sweep_config(sweep, list(words))
            with open_dict(config):
                config.hydra.job.num, config.hydra.job.id = number, str(number)
            folder = str(unresolved(config.hydra.sweep, "subdir"))
            if "${hydra:" in folder:
                HydraConfig.instance().set_config(config)  # takes milliseconds, so it is done only if it is needed
            subdirectory = str(config.hydra.sweep.subdir)
        except Exception as error:  # every exception here is caused by the overrides
            raise explain(error, words) from error
        check_types(config, words)
        with open_dict(config):
            config.pop("hydra")  # without this large part, the config is copied five times as fast
        plan = load(TrainConfig, config)
        check_names(plan.trainer.figures)
        check_trackers(plan.trainer.trackers)
        return Composed(Job(number, list(words), plan, Path(subdirectory)), config, folder)
    except UserError as error:
        raise UserError(f"job {number} ({' '.join(words)}): {error}") from error
