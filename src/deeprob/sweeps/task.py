"""The task of a sweep: run one job."""

import dataclasses
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deeprob.assembly.config import TrainConfig
from deeprob.assembly.prepare import Shared
from deeprob.config import load
from deeprob.config.parcel import Parcel
from deeprob.errors import DeeprobError, Interrupted, Skipped, Superseded, UserError, one_line
from deeprob.running.run import run_or_go_on
from deeprob.sweeps.isolation import isolated
from deeprob.sweeps.job import Job, Result, outcome
from deeprob.sweeps.table import SweepTable
from deeprob.tracking import console

OnEnd = Callable[[Job, Mapping[str, Any]], None]
"""A function that takes a job that has ended, and its outcome: status, error and metrics."""


class CutShort(DeeprobError):
    """A job in another process was interrupted after it saved its state."""

    outcome = "interrupted"


_interrupted: list[Interrupted] = []
"""The errors of jobs that were interrupted in this process of a launcher. If there are any, no further job starts."""


def searches(sweeper: DictConfig) -> bool:
    """Return whether a sweeper searches for the best values. If so, its config has the key ``direction``."""
    return "direction" in sweeper


def _never() -> bool:
    return False


def _always() -> bool:
    return True


def _nothing(job: Job, outcome: Mapping[str, Any]) -> None:
    pass


class SweepTask(Parcel):
    """The function that runs one job of a sweep. All jobs share the loaded data and the computed features.

    A ``with`` block ends the workers of the sweep. If the block ends with an error, the workers are killed.

    Parameters
    ----------
    command
        The command that started the sweep.
    searching
        Whether the sweeper searches for the best values. Then it needs a number from each job.
    shared
        Data and features that are known already. None: nothing is known.

    Attributes
    ----------
    table
        The table of the sweep. None before the sweep has one.
    on_end
        A function that takes a job and its outcome, and is called when this job has ended.
    plan
        The part of the config that all jobs share, if known. If the config of a job is invalid, `plan` replaces it.
    jobs
        The jobs that were validated before the sweep started, by number.
    failed
        The numbers of the jobs that have failed.
    going_on
        The numbers of the jobs to resume. They had begun in a process that was killed.
    told
        The reasons why jobs train one by one that have been printed already. Each is printed once per sweep.
    engine, exchange
        The engine that runs the workers of the sweep, if there are any, and the folder for the files that they and the
        sweep exchange.
    resources
        The contexts that end with the sweep: its workers and their folder.
    stopped
        The function that returns whether no further job may start here.
    in_worker
        Whether this process is a worker of the sweep. Then the worker is the separate process of a job with
        ``sweep.isolate=true``.
    """

    def __init__(self, command: Sequence[str], searching: bool = False, shared: Shared | None = None) -> None:
        self.command, self.searching = command, searching
        self.shared = Shared() if shared is None else shared
        self.table: SweepTable | None = None
        self.on_end: OnEnd = _nothing
        self.plan: TrainConfig | None = None
        self.jobs: Mapping[int, Job] = {}
        self.failed: list[int] = []
        self.going_on: set[int] = set()
        self.told: set[str] = set()
        self.in_worker = False
        self.stopped: Callable[[], bool] = _never
        self.resources = ExitStack()
        self.engine: Any = None
        self.exchange = Path()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to send to another process, without `jobs`. The other process composes the jobs."""
        return {**self.__dict__, "jobs": {}, "resources": None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.resources.__exit__(*error)

    def __call__(self, config: DictConfig) -> Result:
        """Run a job with the config that Hydra composed, and return its summary.

        Raises
        ------
        DeeprobError
            If the job fails. The error is printed before it is raised. If the job fails with an unexpected error of
            another type, this error is printed with its trace and raised.
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
        return self.run(job)

    def run(self, job: Job, attempt: int = 0) -> Result:
        """Run a job, and return its summary.

        Parameters
        ----------
        job
            The job.
        attempt
            The attempt with which this process owns the directory of the run (see `deeprob.tracking.ownership`).

        Raises
        ------
        DeeprobError
            See `__call__`.
        """
        try:
            self.check(job.config)
            name, words = f"job {job.number}", job.words
            if job.config.sweep.isolate and not self.in_worker:
                summary = isolated(lambda: run_or_go_on(job.config, job.folder, words, self.command, name))
            else:
                summary = run_or_go_on(job.config, job.folder, words, self.command, name, self.shared, attempt)
            result = Result(summary, job.config.run, needed=self.searching)
        except Interrupted as error:
            if os.getpid() == self._process:
                raise
            _interrupted.append(error)  # if a process raises Interrupted, the launcher kills all its processes
            raise CutShort(str(error)) from error
        except (Exception, SystemExit) as error:
            self.end(job, error)
            if isinstance(error, SystemExit):
                raise DeeprobError(one_line(error)) from error
            raise
        self.end(job, result)
        return result

    def result(self, job: Job, summary: Mapping[str, Any]) -> Result | UserError:
        """Return the result of a job with this summary, or an error if it lacks the metric that a search needs."""
        try:
            return Result(summary, job.config.run, needed=self.searching)
        except UserError as error:
            return error

    def refuse(self, number: int, words: Sequence[str], folder: Path, error: BaseException) -> None:
        """Mark a job as failed because its config is invalid. This is used if jobs are not validated beforehand."""
        if self.plan is None:
            self._fail(number, error)
        else:
            self.end(Job(number, list(words), self.plan, folder), error)

    def check(self, config: TrainConfig) -> None:
        """Raise `Skipped` if no further job may start.

        No further job may start after a signal. With ``sweep.fail_fast=true``, none may start after a failed job.
        """
        if _interrupted:
            raise Skipped(str(_interrupted[0]))
        if self.stopped():
            raise Skipped("the sweep was interrupted, or another worker has this job")
        if self.failed and config.sweep.fail_fast:
            raise Skipped(f"job {self.failed[0]} failed, and sweep.fail_fast=true")

    def end(self, job: Job, ending: Mapping[str, Any] | BaseException) -> None:
        """End a job. `ending` is its summary or its error. An error is printed. Then `on_end` is called."""
        if isinstance(ending, Exception | SystemExit) and not isinstance(ending, Skipped):
            self._fail(job.number, ending)
        if isinstance(ending, Superseded):  # another worker has the jobs of this one
            self.stopped = _always
        self.tell(job, outcome(ending))

    def tell(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Call `on_end`."""
        try:
            self.on_end(job, outcome)
        except OSError as error:  # a row that cannot be printed does not make its job fail
            console.note(f"job {job.number}: {one_line(error)}")
        except Exception:
            traceback.print_exc()

    def _fail(self, number: int, error: BaseException) -> None:
        """Print the error of a job, and add the job to `failed`."""
        self.failed.append(number)
        if not isinstance(error, DeeprobError | OSError):
            traceback.print_exception(error)
        print(f"error: job {number}: {one_line(error)}", file=sys.stderr)
