"""What is done for one job of a sweep."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deeprob.config import load
from deeprob.errors import DeeprobError, Skipped, one_line
from deeprob.experiment import TrainConfig
from deeprob.resume import begun, resumed
from deeprob.run import run
from deeprob.sweep.isolation import isolated
from deeprob.training import Shared


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
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.shared = Shared()
        self.failed: list[int] = []

    def __call__(self, job: DictConfig) -> dict[str, Any]:
        """Run a job.

        Raises
        ------
        DeeprobError
            Whatever ends it early, after a line that says so; what is not expected with its trace.
        """
        number, plan = HydraConfig.get().job.num, load(TrainConfig, job)
        self.check(plan)
        try:
            if plan.sweep.isolate:
                return cast(dict[str, Any], isolated(lambda: run_job(plan, self.command, f"job {number}")))
            return run_job(plan, self.command, f"job {number}", self.shared)
        except (Exception, SystemExit) as error:
            self.tell(number, error)
            if isinstance(error, SystemExit):
                raise DeeprobError(one_line(error)) from error
            raise

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
