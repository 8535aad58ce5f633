"""Sweeps that search for the best values, for example with Optuna: the values of a job depend on earlier results."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deeprob.assembly.config import TrainConfig
from deeprob.config.application import Application, own_directory, typed_words
from deeprob.config.overrides import explain, parse
from deeprob.errors import CheckFailed, UserError, one_line
from deeprob.sweeps.job import Job, failure
from deeprob.sweeps.resumption import print_sweep
from deeprob.sweeps.table import SweepTable
from deeprob.sweeps.task import SweepTask
from deeprob.tracking import console
from deeprob.tracking.metric_names import more_is_better
from deeprob.tracking.ownership import Ownership

_COUNTS = {"n_trials": "how many jobs there are", "n_jobs": "how many of them train together"}


def search(application: Application, config: DictConfig, task: SweepTask) -> list[JobReturn]:
    """Run a sweep that searches for the best values, and write one row per job to ``summary.csv``.

    Raises
    ------
    UserError
        If a setting is not allowed in a search. The error is raised before anything is written.
    CheckFailed
        If jobs failed, diverged or were invalid. The message gives their numbers.
    """
    words = typed_words(config, "task")
    searched = [override.key_or_group for override in parse(words) if override.is_sweep_override()]
    swept = list(dict.fromkeys([*(config.hydra.sweeper.get("params") or {}), *searched]))
    plan: TrainConfig = application.load(config, words)
    check(config, swept, plan)
    with own_directory(config, "sweep") as directory, Ownership(directory), task:
        found = Found(swept, plan.sweep.columns, directory / "summary.csv")
        task.on_end, task.plan = found.take, plan
        try:
            with without_chatter():
                jobs = application.sweep(config, task)
        except (HydraException, OmegaConfBaseException) as error:  # some launchers compose a config just before its job
            line = f"job {len(found.ended)}: {explain(error, words)}; the search ended there"
            raise CheckFailed(line) from error
        except Exception as error:
            if found.raised(error):
                early = len(found.ended) != config.hydra.sweeper.get("n_trials")
                line = "; the search ended there, see hydra.sweeper.max_failure_rate"
                raise CheckFailed(found.shortfall + line * early) from error
            if found.exhausted(error):
                raise CheckFailed(found.shortfall) from error
            if isinstance(error, TypeError | ValueError) and found.table is None:  # an error of the sweeper
                raise UserError(f"{' '.join(words)}: {one_line(error)}") from error
            raise
        finally:
            found.conclude()
            task.table = found.table
        if found.failed:
            raise CheckFailed(found.shortfall)
        return jobs


@contextmanager
def without_chatter() -> Iterator[None]:
    """Inside this context, suppress the messages of Hydra and its sweepers about jobs. deeprob prints others."""

    def quiet_result(job: JobReturn) -> Any:
        if job.status is not JobStatus.COMPLETED:
            raise job._return_value
        return job._return_value

    loggers = [logging.getLogger(name) for name in ("optuna.storages", "hydra_plugins.hydra_optuna_sweeper")]
    before = [logger.level for logger in loggers]
    loud: property = vars(JobReturn)["return_value"]  # the original writes to standard error
    with mock.patch.object(JobReturn, "return_value", property(quiet_result, loud.fset)):
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def check(config: DictConfig, swept: Sequence[str], plan: TrainConfig) -> None:
    """Raise a `UserError` if a setting of a search is invalid.

    A search needs a metric of the validation split, and a direction that fits this metric.

    Parameters
    ----------
    config
        The config of the sweep.
    swept
        The keys that the sweep searches.
    plan
        The part of the config that all jobs share.
    """
    sweeper, monitor = config.hydra.sweeper, plan.run.resolved().trainer.monitor
    for key, meaning in _COUNTS.items():
        if key in sweeper and (type(sweeper[key]) is not int or sweeper[key] < 1):
            raise UserError(f"hydra.sweeper.{key}={sweeper[key]}: expected a whole number at least 1, {meaning}")
    rate = sweeper.get("max_failure_rate", 0)
    if not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise UserError(f"hydra.sweeper.max_failure_rate={rate}: expected a number from 0 to 1")
    direction = getattr(sweeper.direction, "name", str(sweeper.direction))
    right = "maximize" if more_is_better(monitor) else "minimize"
    if "trainer.monitor" in swept:
        raise UserError("trainer.monitor: a search ranks its jobs by this metric; give one value")
    if direction != right:
        raise UserError(
            f"hydra.sweeper.direction={direction}: jobs are ranked by {monitor}; set hydra.sweeper.direction={right}"
        )
    if not plan.dataset.has_validation and "dataset.val_fraction" not in swept:
        raise UserError(f"a search needs {monitor}; set dataset.val_fraction=0.1, say")
    if plan.resume is not None:
        raise UserError("resume=auto: a search cannot be resumed, because its jobs would be drawn again")
    for key in ("folds", "variants", "tune", "fuse", "measures", "figure", "claims"):  # these need to know all jobs
        if getattr(plan.sweep, key):
            raise UserError(f"sweep.{key}: cannot be used in a search; leave it out")


class Found:
    """The jobs that a search has run so far, and the best job.

    Parameters
    ----------
    swept
        The keys that the sweep searches.
    columns
        The metrics to show (see `SweepTable`).
    path
        The file of the table.
    """

    def __init__(self, swept: Sequence[str], columns: Sequence[str], path: Path) -> None:
        self.swept, self.columns, self.path = swept, columns, path
        self.table: SweepTable | None = None
        self.best: tuple[float, int, str] | None = None

    @property
    def ended(self) -> list[int]:
        """The numbers of the jobs that have ended."""
        return [number for number, row in enumerate(self.table.rows) if row["status"]] if self.table else []

    @property
    def failed(self) -> list[int]:
        """The numbers of the jobs that ended with an error."""
        return self.table.failed if self.table else []

    @property
    def shortfall(self) -> str:
        """A message with the count and the numbers of the failed jobs."""
        if self.failed == self.ended:
            return f"all {len(self.ended)} jobs failed"
        return f"{len(self.failed)} of {len(self.ended)} jobs failed: {', '.join(map(str, self.failed))}"

    def raised(self, error: Exception) -> bool:
        """Return whether an error comes from a failed job. A sweeper raises it again if too many jobs fail."""
        return self.table is not None and failure(error)["error"] in [self.table.rows[n]["error"] for n in self.failed]

    def exhausted(self, error: Exception) -> bool:
        """Return whether the sweeper raised an error because too few jobs ended well. No job raised this error."""
        end_of_grid = "Study.stop" in str(error)  # Optuna's sweeper expects this error only after a job that ended well
        none_left = isinstance(error, ValueError) and self.best is None
        return bool(self.failed) and (end_of_grid or none_left)

    def take(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Add the outcome of a job to the table, print its row, and update the best job."""
        config = job.config.run
        if self.table is None:
            self.table = SweepTable([], self.swept, [config], self.columns, self.path)
        self.table.take(job, outcome)
        monitor = config.resolved().trainer.monitor
        if not outcome["error"] and monitor in outcome:
            score = outcome[monitor] if more_is_better(monitor) else -outcome[monitor]
            if self.best is None or score > self.best[0]:
                self.best = score, job.number, f"{monitor} {console.shown(monitor, outcome)}"

    def conclude(self) -> None:
        """Print the best job, and write the table."""
        if self.table is None:
            return
        console.say()
        if self.best is not None:
            _, number, value = self.best
            console.say(f"best       job {number}: {self.table.title(number)}  {value}")
        self.table.rows = [row for row in self.table.rows if row["status"]]  # drops interrupted jobs
        self.table.write()
        print_sweep(self.path.parent, finished=True)
