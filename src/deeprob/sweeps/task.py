"""What is done for one job of a sweep."""

import dataclasses
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deeprob.assembly.config import TrainConfig
from deeprob.assembly.prepare import Shared
from deeprob.config import load
from deeprob.errors import DeeprobError, Interrupted, Skipped, UserError, one_line
from deeprob.running.run import run_or_go_on
from deeprob.sweeps.isolation import isolated
from deeprob.sweeps.job import Job, Result, outcome
from deeprob.tracking import console

OnEnd = Callable[[Job, Mapping[str, Any]], None]
"""Takes a job that has ended, and what became of it: status, error, metrics."""


class CutShort(DeeprobError):
    """A job in another process was interrupted, and has saved its state."""

    outcome = "interrupted"


_interrupted: list[Interrupted] = []
"""What ended a job of this process, one of several that a launcher has started: it begins no other job."""


def searches(sweeper: DictConfig) -> bool:
    """Tell whether a sweeper, by its config, looks for the best: it has a direction."""
    return "direction" in sweeper


def _nothing(job: Job, outcome: Mapping[str, Any]) -> None:
    pass


class SweepTask:
    """Called for each job of a sweep; the jobs share data and features.

    Parameters
    ----------
    command
        The words that were typed.
    searching
        Whether the sweeper searches, and needs a number of each job.

    Attributes
    ----------
    on_end
        Takes every job that has ended, whatever sweeper and launcher ran it.
    plan
        The config of jobs as far as it is the same in all, if known: it stands for that of a job that is not valid.
    jobs
        Those that were validated before the first of them began, by number.
    failed
        The numbers of jobs that have failed.
    going_on
        The numbers of jobs that go on with what an earlier attempt has left, since its process was lost.
    """

    def __init__(self, command: Sequence[str], searching: bool = False) -> None:
        self.command, self.searching = command, searching
        self.shared = Shared()
        self.on_end: OnEnd = _nothing
        self.plan: TrainConfig | None = None
        self.jobs: Mapping[int, Job] = {}
        self.failed: list[int] = []
        self.going_on: set[int] = set()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: one job is composed there, and the others are not needed."""
        return {**self.__dict__, "jobs": {}}

    def __call__(self, config: DictConfig) -> Result:
        """Run a job.

        Raises
        ------
        DeeprobError
            Whatever ends it early, after a line that says so; what is not expected with its trace.
        """
        hydra = HydraConfig.get()
        words, folder = list(hydra.overrides.task), Path(hydra.runtime.output_dir)
        try:
            plan = load(TrainConfig, config)
        except UserError as error:
            self.refuse(hydra.job.num, words, folder, error)
            raise
        job = Job(hydra.job.num, words, plan, folder)
        if job.number in self.going_on:
            job = dataclasses.replace(job, config=dataclasses.replace(job.config, resume="auto"))
        try:
            self.check(job.config)
            name = f"job {job.number}"
            if job.config.sweep.isolate:
                summary = isolated(lambda: run_or_go_on(job.config, folder, words, self.command, name))
            else:
                summary = run_or_go_on(job.config, folder, words, self.command, name, self.shared)
            result = Result(summary, job.config.run, needed=self.searching)
        except Interrupted as error:
            if os.getpid() == self._process:
                raise
            _interrupted.append(error)  # a launcher of other processes kills them all when one raises this
            raise CutShort(str(error)) from error
        except (Exception, SystemExit) as error:
            self.end(job, error)
            if isinstance(error, SystemExit):
                raise DeeprobError(one_line(error)) from error
            raise
        self.end(job, result)
        return result

    def refuse(self, number: int, words: Sequence[str], folder: Path, error: BaseException) -> None:
        """Take a job whose config is not valid, as comes up where jobs are not known beforehand: it has failed."""
        if self.plan is None:
            self._fail(number, error)
        else:
            self.end(Job(number, list(words), self.plan, folder), error)

    def check(self, config: TrainConfig) -> None:
        """Raise `Skipped` if a job has failed and no other is to start after that."""
        if _interrupted:
            raise Skipped(str(_interrupted[0]))
        if self.failed and config.sweep.fail_fast:
            raise Skipped(f"job {self.failed[0]} failed, and sweep.fail_fast=true")

    def end(self, job: Job, ending: Mapping[str, Any] | BaseException) -> None:
        """Take what became of a job, print why it failed if it did, and hand both on."""
        if isinstance(ending, Exception | SystemExit) and not isinstance(ending, Skipped):
            self._fail(job.number, ending)
        try:
            self.on_end(job, outcome(ending))
        except OSError as error:  # a row that cannot be printed is no failure of its job
            console.note(f"job {job.number}: {one_line(error)}")
        except Exception:
            traceback.print_exc()

    def _fail(self, number: int, error: BaseException) -> None:
        """Print why a job failed, and remember it."""
        self.failed.append(number)
        if not isinstance(error, DeeprobError | OSError):
            traceback.print_exception(error)
        print(f"error: job {number}: {one_line(error)}", file=sys.stderr)
