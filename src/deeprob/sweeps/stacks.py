"""Train jobs in stacks. Jobs with the same structure train together, if the memory is large enough for the stack."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from deeprob.assembly.setup import Setup
from deeprob.errors import UserError, is_out_of_memory, memory_errors
from deeprob.running.resume import begun, complete_summary, learned_features, resumed
from deeprob.running.stacked import Ending, StackedRuns
from deeprob.running.watch import check_figures
from deeprob.sweeps import grouping
from deeprob.sweeps.job import Job, Result
from deeprob.sweeps.task import SweepTask
from deeprob.sweeps.validation import validate
from deeprob.tracking import console
from deeprob.tracking.files import open_files
from deeprob.tracking.run_dir import RunDirectory


@runtime_checkable
class Stacking(Protocol):
    """The interface of the launcher of stacks. The launcher is in `hydra_plugins`, where Hydra looks for launchers."""

    max_stack: int | str
    hydra_context: HydraContext | None
    config: DictConfig | None
    task_function: Any

    def alone(self, words: Sequence[str], number: int) -> JobReturn:
        """Run one job without a stack."""


def check_settings(launcher: Stacking) -> None:
    """Raise a `UserError` if a launcher setting is invalid."""
    if launcher.max_stack != "auto" and (type(launcher.max_stack) is not int or launcher.max_stack < 1):
        raise UserError(f"hydra.launcher.max_stack={launcher.max_stack}: expected a whole number at least 1, or auto")


def launch(launcher: Stacking, words: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run jobs, and return their results in the order of the jobs.

    Parameters
    ----------
    launcher
        The launcher that Hydra called.
    words
        The overrides of each job.
    first
        The number of the first job. The others have the next numbers.

    Raises
    ------
    UserError
        If a job is invalid and the sweeper does not search. The message names the job.
    """
    check_settings(launcher)
    task = launcher.task_function
    assert isinstance(task, SweepTask)
    jobs, refused = [], {}
    for number, job in enumerate(words, first):
        try:
            jobs.append(task.jobs.get(number) or composed(launcher, number, job))
        except UserError as error:
            if not task.searching:
                raise
            reason = error.__cause__ or error  # the cause does not repeat the job's number and words
            task.refuse(number, job, sweep_folder(launcher), reason)
            refused[number] = returned(job, "", reason)
    return Launch(launcher, task, jobs, refused).run()


def composed(launcher: Stacking, number: int, words: Sequence[str]) -> Job:
    """Compose and validate a job. This is necessary if the sweeper has not done it."""
    assert launcher.hydra_context is not None
    assert launcher.config is not None
    job = validate(launcher.hydra_context, launcher.config, number, words)
    return dataclasses.replace(job, folder=sweep_folder(launcher) / job.folder)


def sweep_folder(launcher: Stacking) -> Path:
    """Return the directory of a launcher's sweep."""
    assert launcher.config is not None
    return Path(str(launcher.config.hydra.sweep.dir))


def returned(words: Sequence[str], directory: str, ending: Any) -> JobReturn:
    """Return the result or the error of a job as a `JobReturn`, as Hydra requires."""
    return JobReturn(
        overrides=words,
        working_dir=directory,
        task_name="deeprob",
        status=JobStatus.FAILED if isinstance(ending, BaseException) else JobStatus.COMPLETED,
        _return_value=ending,
    )


def hindrance_of_hydra(config: DictConfig) -> str:
    """Return the reason why Hydra's settings make jobs train one by one; empty if there is none."""
    hydra = config.hydra
    if hydra.output_subdir is not None:
        return f"hydra.output_subdir={hydra.output_subdir} stores Hydra's files of each job"
    if (logging := hydra.runtime.choices.get("hydra/job_logging")) not in ("none", None):
        return f"hydra/job_logging={logging} logs each job by itself"
    if hydra.get("callbacks"):
        return "hydra.callbacks are called for each job"
    if hydra.job.env_set:
        return "hydra.job.env_set sets the environment of each job"
    return ""


@dataclass
class Launch:
    """The jobs of one call of the launcher, and their results by job number.

    At the start, `results` has only the errors of jobs with invalid configs. These jobs are not in `jobs`.
    """

    launcher: Stacking
    task: SweepTask
    jobs: Sequence[Job]
    results: dict[int, JobReturn] = field(default_factory=dict)
    _built: dict[int, Setup] = field(default_factory=dict)

    def run(self) -> list[JobReturn]:
        """Train all jobs, and return the results in the order of the job numbers.

        The groups are trained in the order of their first jobs.
        """
        assert self.launcher.config is not None
        together, alone = grouping.grouped(self.jobs)
        if reason := hindrance_of_hydra(self.launcher.config):
            together, alone = [], [(list(self.jobs), reason)] if self.jobs else []
        shapes, shape = sum(len(jobs) > 1 for jobs in together), 0
        groups = [*((jobs, "") for jobs in together), *alone]
        for jobs, reason in sorted(groups, key=lambda group: group[0][0].number):
            if len(jobs) == 1 or (jobs, reason) in alone:
                self._one_by_one(jobs, reason)
            else:
                shape += 1
                self._group(jobs, f"shape {shape} of {shapes}, " if shapes > 1 else "")
        return [self.results[number] for number in sorted(self.results)]

    def _one_by_one(self, jobs: Sequence[Job], reason: str = "") -> None:
        """Train jobs one by one. If there are several jobs, print the reason, unless it was printed before."""
        if reason and len(jobs) > 1 and reason not in self.task.told:
            self.task.told.add(reason)
            console.note(f"{_named(jobs)}: trained one by one, because {reason}")
        for job in jobs:
            self.results[job.number] = self.launcher.alone(job.words, job.number)

    def _group(self, jobs: Sequence[Job], title: str) -> None:
        """Train jobs of the same structure in stacks that fit into memory. The progress bar shows `title`."""
        first = next((job for job in jobs if isinstance(self._build(job, keep=True), Setup)), None)
        if first is None:
            self._one_by_one(jobs)  # each job then prints its own error
            return
        sample = self._built[first.number]
        largest = self.launcher.max_stack if isinstance(self.launcher.max_stack, int) else None
        if reason := "" if largest is not None else grouping.hindrance_of_size(sample):
            self._built.clear()
            self._one_by_one(jobs, reason)
            return
        portions = grouping.portions(jobs, self._fitting(sample, largest))
        for place, portion in enumerate(portions, 1):
            self._stack(portion, f"{title}stack {place} of {len(portions)}, {len(portion)} runs")

    def _fitting(self, sample: Setup, wanted: int | None) -> int:
        """Return the largest number of runs in a stack: `wanted`, or the number that fits into memory.

        The number is not larger than the number of files that may be open, because each run keeps a lock file open.
        """
        fitting, allowed = wanted or grouping.fitting(sample), open_files()
        if fitting > allowed:
            console.note(f"stacks of {allowed} runs, not {fitting}: the system allows no more open files (ulimit -n)")
        return min(fitting, allowed)

    def _stack(self, jobs: Sequence[Job], title: str, *, again: bool = False) -> None:
        """Train one stack. If memory runs out, train its jobs in smaller stacks.

        `again` is True for such a smaller stack. Then its jobs are resumed, because they may have begun.
        """
        jobs, setups = self._build_all(jobs)
        if not jobs:
            return
        resume = again or jobs[0].config.resume == "auto"
        runs = StackedRuns(setups, [job.folder for job in jobs], self.task.command, resume)
        if self._train(runs, jobs, title):
            return
        half = -(-len(jobs) // 2)
        console.note(f"not enough memory for a stack of {len(jobs)} runs; continuing with {half} at once")
        del setups, runs  # frees the memory of the large stack
        for portion in grouping.portions(jobs, half):
            self._stack(portion, f"{len(portion)} runs of {title}", again=True)

    def _build_all(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Setup]]:
        """End the jobs that are complete already or invalid. Return the other jobs and their setups."""
        built = [(job, self._build(job)) for job in jobs]
        for job, ending in built:
            if not isinstance(ending, Setup):
                self._end(job, ending)
        ready = [(job, setup) for job, setup in built if isinstance(setup, Setup)]
        return [job for job, _ in ready], [setup for _, setup in ready]

    def _train(self, runs: StackedRuns, jobs: Sequence[Job], title: str) -> bool:
        """Train a stack, end its jobs, and return True.

        If memory runs out before any job has ended, and there are several jobs, return False. A smaller stack may fit.
        """
        enough = True
        try:
            visible = jobs[0].config.trainer.progress
            with console.Bar(
                len(self.jobs), title, "runs", done=len(self.results), visible=visible, rarely=True
            ) as bar:
                ended = [
                    result.return_value for result in self.results.values() if result.status == JobStatus.COMPLETED
                ]
                runs.train(lambda done, metrics: bar.advance(done, best([*ended, *metrics])))
        except Exception as error:
            scarce = error.__cause__ is not None and is_out_of_memory(error.__cause__)
            enough = not scarce or len(jobs) == 1 or bool(runs.endings)
            if enough:
                runs.endings |= {place: error for place in range(len(jobs)) if place not in runs.endings}
        finally:
            with ExitStack() as endings:  # ends the other jobs even if ending the first job fails
                for place in sorted(runs.endings, reverse=True):
                    endings.callback(self._end, jobs[place], runs.endings[place])
        return enough

    def _build(self, job: Job, *, keep: bool = False) -> Setup | Ending:
        """Return the setup of a job. With `keep`, the next call for this job returns the same setup.

        If the run of the job is complete, return its summary instead. If the run is not possible, return the error.
        """
        if (kept := self._built.pop(job.number, None)) is not None:
            return kept
        try:
            self.task.check(job.config)
            config, resume = job.config.run, job.config.resume == "auto"
            if resume and begun(job.folder):
                config = resumed(job.folder, job.words, config)
            files = RunDirectory(job.folder, resume)
            if resume and job.folder.exists():
                summary = complete_summary(files, config.trainer.epochs)
                if summary is not None:
                    return summary
            with memory_errors():
                setup = Setup.build(config.resolved(), self.task.shared, learned_features(files))
            check_figures(setup, job.folder)
        except (Exception, SystemExit) as error:
            return error
        if keep:
            self._built[job.number] = setup
        return setup

    def _end(self, job: Job, ending: Ending) -> None:
        """Store the result of a job, and end the job."""
        if isinstance(ending, dict):
            try:
                ending = Result(ending, job.config.run, needed=self.task.searching)
            except UserError as error:
                ending = error
        self.results[job.number] = returned(job.words, str(job.folder), ending)
        self.task.end(job, ending)


def best(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return a text with the best value of a metric over many runs.

    The metric is the first in this list that any run has: validation accuracy, validation loss, training accuracy,
    training loss.
    """
    for name, of in (("val/accuracy", max), ("val/loss", min), ("train/accuracy", max), ("train/loss", min)):
        if values := [of_run[name] for of_run in metrics if name in of_run]:
            return f"best now: {name} {of(values):.4g}"
    return ""


def _named(jobs: Sequence[Job]) -> str:
    """Return ``job 3``, or ``jobs 0, 1, 2 and 5 more``."""
    if len(jobs) == 1:
        return f"job {jobs[0].number}"
    more = len(jobs) - 3
    return f"jobs {', '.join(str(job.number) for job in jobs[:3])}" + (f" and {more} more" if more > 0 else "")
