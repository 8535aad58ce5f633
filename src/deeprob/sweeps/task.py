"""What is done for one job of a sweep."""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.assembly.prepare import Shared
from deeprob.config import load
from deeprob.errors import DeeprobError, Skipped, UserError, one_line
from deeprob.running.resume import begun, resumed
from deeprob.running.run import run
from deeprob.sweeps.isolation import isolated
from deeprob.sweeps.table import outcome


class Result(dict[str, Any]):
    """The summary of a run; for a sweeper that searches also a number, the metric that tells its best epoch.

    Parameters
    ----------
    summary
        Content of ``summary.json``.
    plan
        Of the run, for the name of the metric.
    needed
        Whether the sweeper searches.

    Raises
    ------
    UserError
        When the metric is needed, and the run has not measured it, as without a validation split.
    """

    def __init__(self, summary: Mapping[str, Any], plan: RunConfig, *, needed: bool = False) -> None:
        super().__init__(summary)
        self.monitor = plan.resolved().trainer.monitor
        if needed and self.monitor not in self:
            raise UserError(f"a sweeper that searches needs {self.monitor}; set dataset.val_fraction=0.1, say")

    def __float__(self) -> float:
        """Return the metric."""
        return float(self[self.monitor])


def searches(sweeper: DictConfig) -> bool:
    """Tell whether a sweeper, by its config, looks for the best: it has a direction."""
    return "direction" in sweeper


def run_job(config: TrainConfig, command: Sequence[str], job: str = "", shared: Shared | None = None) -> dict[str, Any]:
    """Run or go on with what Hydra has made a directory for."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    resume, plan = config.resume == "auto", config.run
    if resume and begun(directory):
        plan = resumed(directory, list(HydraConfig.get().overrides.task), plan)
    return run(plan, directory, command, job, shared, resume)


class SweepTask:
    """Called for each job of a sweep; the jobs share data and features.

    Parameters
    ----------
    command
        The words that were typed.

    Attributes
    ----------
    failed
        The numbers of jobs that have failed.
    told
        If given, is told the number of a job that has ended, its overrides, its config and what became of it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.shared = Shared()
        self.failed: list[int] = []
        self.told: Callable[[int, Sequence[str], RunConfig, Mapping[str, Any]], None] | None = None

    def __call__(self, job: DictConfig) -> Result:
        """Run a job.

        Raises
        ------
        DeeprobError
            Whatever ends it early, after a line that says so; what is not expected with its trace.
        """
        number, plan = HydraConfig.get().job.num, load(TrainConfig, job)
        words = list(HydraConfig.get().overrides.task)
        self.check(plan)
        try:
            if plan.sweep.isolate:
                summary = isolated(lambda: run_job(plan, self.command, f"job {number}"))
            else:
                summary = run_job(plan, self.command, f"job {number}", self.shared)
            result = Result(summary, plan.run, needed=searches(HydraConfig.get().sweeper))
        except (Exception, SystemExit) as error:
            self.tell(number, error)
            self.ended(number, words, plan.run, error)
            if isinstance(error, SystemExit):
                raise DeeprobError(one_line(error)) from error
            raise
        self.ended(number, words, plan.run, result)
        return result

    def ended(
        self, number: int, words: Sequence[str], plan: RunConfig, ending: Mapping[str, Any] | BaseException
    ) -> None:
        """Pass on what became of a job."""
        if self.told is not None:
            self.told(number, words, plan, outcome(ending))

    def check(self, plan: TrainConfig) -> None:
        """Raise `Skipped` if a job has failed and no other is to start after that."""
        if self.failed and plan.sweep.fail_fast:
            raise Skipped(f"job {self.failed[0]} failed, and sweep.fail_fast=true")

    def tell(self, number: int, error: BaseException) -> None:
        """Print why a job failed."""
        if not isinstance(error, DeeprobError | OSError):
            traceback.print_exception(error)
        print(f"error: job {number}: {one_line(error)}", file=sys.stderr)
        self.failed.append(number)
