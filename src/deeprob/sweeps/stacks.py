"""Train jobs in this process: jobs of the same structure in stacks that fit into memory, the other jobs one by one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus

from deeprob.assembly.setup import Setup
from deeprob.errors import is_out_of_memory, memory_errors
from deeprob.running.resume import begun, complete_summary, learned_features, resumed
from deeprob.running.stacked import Ending, StackedRuns
from deeprob.running.watch import check_figures
from deeprob.sweeps import grouping
from deeprob.sweeps.grouping import JobGroup
from deeprob.sweeps.job import Job
from deeprob.sweeps.task import SweepTask
from deeprob.tracking import console
from deeprob.tracking.files import open_files
from deeprob.tracking.run_dir import RunDirectory
from deeprob.training.stack import NotTogether

Metrics = Sequence[Mapping[str, float]]
"""The newest metrics of several runs."""


class Progress(Protocol):
    """Shows how many runs are done. 0.5 of a run means half of its updates."""

    def advance(self, count: float, metrics: Metrics) -> None:
        """Add `count` runs, and show the best of these metrics."""


@dataclass
class Stacks:
    """Trains groups of jobs in this process.

    Parameters
    ----------
    task
        The task of the sweep. It ends each job.
    alone
        The function that runs one job without a stack.
    largest
        The largest number of runs in a stack. None: as many as fit into memory, and no stack if it would not be faster.
    progress
        A function that returns a context with the progress of a stack. Its argument is the title of the stack.
    attempt
        The attempt with which this process owns the directories of its runs (see `deeprob.tracking.ownership`).

    Attributes
    ----------
    results
        The results of the jobs that have ended, by job number.
    """

    task: SweepTask
    alone: Callable[[Job], JobReturn]
    largest: int | None
    progress: Callable[[str], AbstractContextManager[Progress]]
    attempt: int = 0
    results: dict[int, JobReturn] = field(default_factory=dict)
    _built: dict[int, Setup] = field(default_factory=dict)

    def train(self, group: JobGroup, title: str) -> None:
        """Train all jobs of a group. The progress shows `title`."""
        if not group.together:
            self._one_by_one(group.jobs, group.reason)
            return
        sample = self.sample(group.jobs)
        if sample is None:  # each job then prints its own error
            self._one_by_one(group.jobs)
            return
        if reason := grouping.hindrance_of(sample, self.largest):
            self.release()
            self._one_by_one(group.jobs, reason)
            return
        portions = grouping.portions(group.jobs, self.fitting(sample))
        for place, portion in enumerate(portions, 1):
            self._stack(portion, f"{title}stack {place} of {len(portions)}, {len(portion)} runs")

    def sample(self, jobs: Sequence[Job]) -> Setup | None:
        """Return the setup of the first job that is neither complete nor invalid; None if there is no such job."""
        for job in jobs:
            if isinstance(setup := self._build(job, keep=True), Setup):
                return setup
        return None

    def release(self) -> None:
        """Release the setups that `sample` has built."""
        self._built.clear()

    def note_alone(self, jobs: Sequence[Job], reason: str) -> None:
        """If there are several jobs, print why they do not train together, unless this was printed before."""
        if reason and len(jobs) > 1 and reason not in self.task.told:
            self.task.told.add(reason)  # without the numbers of the jobs, which differ
            console.note(f"{grouping.named_jobs(jobs)}: trained one by one, because {reason}")

    def _one_by_one(self, jobs: Sequence[Job], reason: str = "") -> None:
        self.note_alone(jobs, reason)
        for job in jobs:
            self._built.pop(job.number, None)
            self.results[job.number] = self.alone(job)

    def fitting(self, sample: Setup) -> int:
        """Return the largest number of runs in a stack: `largest`, or the number that fits into memory.

        The number is not larger than the number of files that may be open, because each run keeps a lock file open.
        """
        fitting, allowed = self.largest or grouping.fitting(sample), open_files()
        if fitting > allowed:
            console.note(f"stacks of {allowed} runs, not {fitting}: the system allows no more open files (ulimit -n)")
        return min(fitting, allowed)

    def _stack(self, jobs: Sequence[Job], title: str, *, again: bool = False) -> None:
        """Train jobs in one stack, or in one stack for each shape of their splits.

        If memory runs out, train the jobs of a stack in smaller stacks. `again` is True for such a smaller stack. Then
        its jobs are resumed, because they may have begun.
        """
        jobs, setups = self._build_all(jobs)
        if not jobs:
            return
        groups = grouping.by_shape(setups)
        scarce: list[list[Job]] = []
        for places in groups:
            some, of_some = [jobs[place] for place in places], [setups[place] for place in places]
            resume = again or some[0].config.resume == "auto"
            runs = StackedRuns(of_some, [job.folder for job in some], self.task.command, resume, self.attempt)
            if not self._train(runs, some, title if len(groups) == 1 else f"{len(some)} runs of {title}"):
                scarce.append(some)
        del setups, of_some, runs  # frees the memory of the large stacks
        for some in scarce:
            half = -(-len(some) // 2)
            console.note(f"not enough memory for a stack of {len(some)} runs; continuing with {half} at once")
            for portion in grouping.portions(some, half):
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
        If it turns out that the jobs cannot train together, they go on one by one.
        """
        enough, reason = True, ""
        try:
            with self.progress(title) as progress:
                ended = [
                    result.return_value for result in self.results.values() if result.status == JobStatus.COMPLETED
                ]
                runs.train(lambda done, metrics: progress.advance(done, [*ended, *metrics]))
        except NotTogether as error:
            reason = str(error)
        except Exception as error:
            scarce = error.__cause__ is not None and is_out_of_memory(error.__cause__)
            enough = not scarce or len(jobs) == 1 or bool(runs.endings)
            if enough:
                runs.endings |= {place: error for place in range(len(jobs)) if place not in runs.endings}
        finally:
            with ExitStack() as endings:  # ends the other jobs even if ending the first job fails
                for place in sorted(runs.endings, reverse=True):
                    endings.callback(self._end, jobs[place], runs.endings[place])
        if reason:
            left = [job for place, job in enumerate(jobs) if place not in runs.endings]
            self._one_by_one([replace(job, config=replace(job.config, resume="auto")) for job in left], reason)
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
            ending = self.task.result(job, ending)
        self.results[job.number] = returned(job.words, str(job.folder), ending)
        self.task.end(job, ending)


def returned(words: Sequence[str], directory: str, ending: Any) -> JobReturn:
    """Return the result or the error of a job as a `JobReturn`, as Hydra requires."""
    return JobReturn(
        overrides=words,
        working_dir=directory,
        task_name="deeprob",
        status=JobStatus.FAILED if isinstance(ending, BaseException) else JobStatus.COMPLETED,
        _return_value=ending,
    )


def run_alone(task: SweepTask, job: Job, attempt: int = 0) -> JobReturn:
    """Run one job without a stack, and return its result or its error."""
    ending: Any
    try:
        ending = task.run(job, attempt)
    except Exception as error:
        ending = error
    return returned(job.words, str(job.folder), ending)


def best_now(metrics: Metrics) -> str:
    """Return a text with the best value of a metric over many runs (see `best`)."""
    return "".join(f"best now: {name} {value:.4g}" for name, value in best(metrics).items())


def best(metrics: Metrics) -> dict[str, float]:
    """Return the best value of a metric over many runs, by its name. If no run has a metric, return no value.

    The metric is the first in this list that any run has: validation accuracy, validation loss, training accuracy,
    training loss.
    """
    for name, of in (("val/accuracy", max), ("val/loss", min), ("train/accuracy", max), ("train/loss", min)):
        if values := [of_run[name] for of_run in metrics if name in of_run]:
            return {name: of(values)}
    return {}
