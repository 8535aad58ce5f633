"""A launcher that trains the jobs of a sweep as stacks, each of which is one tensor program."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from deeprob.assembly.assembly import Experiment
from deeprob.assembly.config import TrainConfig
from deeprob.errors import DeeprobError, UserError, is_out_of_memory
from deeprob.running.resume import begun, check_files, complete, features_of, resumed
from deeprob.running.stacked import Ending, StackedRuns
from deeprob.sweeps import grouping as groups
from deeprob.sweeps.task import Result, SweepTask, searches
from deeprob.sweeps.validation import validate
from deeprob.tracking import console
from deeprob.tracking.run_dir import RunDirectory
from deeprob.training.stacked.compiled import Compiler


@dataclass
class Job:
    """A job: its overrides, its config and its directory."""

    words: list[str]
    plan: TrainConfig
    folder: Path


@runtime_checkable
class Stacking(Protocol):
    """The launcher, which Hydra wants in a place of its own: see `hydra_plugins.deeprob_launcher`."""

    max_stack: int | str
    compile: bool | str
    jobs: Mapping[int, Job]
    told: Callable[[int, JobReturn], None]
    hydra_context: HydraContext | None
    config: DictConfig | None
    task_function: Any

    def alone(self, words: Sequence[str], number: int) -> JobReturn:
        """Run one job as Hydra does."""


def check_settings(launcher: Stacking) -> None:
    """Raise a `UserError` if a setting of the launcher is none."""
    if launcher.max_stack != "auto" and (type(launcher.max_stack) is not int or launcher.max_stack < 1):
        raise UserError(f"hydra.launcher.max_stack={launcher.max_stack}: expected a whole number from 1 on, or auto")
    if launcher.compile not in ("auto", True, False):
        raise UserError(f"hydra.launcher.compile={launcher.compile}: expected auto, true or false")


def launch(launcher: Stacking, words: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run jobs, numbered from `first` on, and return what became of each, in their order.

    Raises
    ------
    UserError
        When a sweeper that validates nothing hands over a job that is not valid; names it.
    """
    check_settings(launcher)
    jobs = {
        number: launcher.jobs.get(number) or composed(launcher, number, job) for number, job in enumerate(words, first)
    }
    task = launcher.task_function
    assert isinstance(task, SweepTask)
    return Launch(launcher, task, jobs).run()


def composed(launcher: Stacking, number: int, words: Sequence[str]) -> Job:
    """Return a job of a sweeper that has composed nothing."""
    assert launcher.hydra_context is not None
    assert launcher.config is not None
    folder, plan = validate(launcher.hydra_context, launcher.config, number, words)
    return Job(list(words), plan, Path(str(launcher.config.hydra.sweep.dir)) / folder)


@dataclass
class Launch:
    """The jobs of one call of a launcher, and what has become of them."""

    launcher: Stacking
    task: SweepTask
    jobs: Mapping[int, Job]
    results: dict[int, JobReturn] = field(default_factory=dict)

    def run(self) -> list[JobReturn]:
        """Train all, group by group."""
        together, alone = groups.grouped((number, job.plan) for number, job in self.jobs.items())
        for reason, numbers in alone.items():
            self._one_by_one(numbers, reason)
        for place, numbers in enumerate(together, 1):
            self._group(numbers, f"shape {place} of {len(together)}, " if len(together) > 1 else "")
        return [self.results[number] for number in self.jobs]

    def _one_by_one(self, numbers: Sequence[int], reason: str) -> None:
        if reason:
            console.note(f"{_named(numbers)} one by one: {reason}")
        for number in numbers:
            self.results[number] = self.launcher.alone(self.jobs[number].words, number)

    def _group(self, numbers: Sequence[int], title: str) -> None:
        """Train jobs of one structure, of which `title` says which it is, in stacks that fit."""
        if len(numbers) == 1:
            self._one_by_one(numbers, "")
            return
        sample = self._build(numbers[0])
        if not isinstance(sample, Experiment):
            self._one_by_one(numbers, "")  # where each tells what is wrong with it
            return
        largest = self.launcher.max_stack if isinstance(self.launcher.max_stack, int) else None
        if reason := groups.hindrance_of_size(sample, forced=largest is not None):
            self._one_by_one(numbers, reason)
            return
        portions = groups.portions(numbers, largest or groups.fitting(sample))
        varying = groups.differences([self.jobs[number].plan.run for number in numbers])
        compilers: dict[int, Compiler] = {}
        for place, portion in enumerate(portions, 1):
            count = sum(len(other) == len(portion) for other in portions)
            compiler = compilers.setdefault(
                len(portion), Compiler(None if self.launcher.compile == "auto" else bool(self.launcher.compile), count)
            )
            self._stack(portion, compiler, f"{title}stack {place} of {len(portions)}, {len(portion)} runs", varying)

    def _stack(
        self, numbers: Sequence[int], compiler: Compiler, title: str, varying: Collection[str], again: bool = False
    ) -> None:
        """Train one stack, or smaller ones `again` if memory runs out."""
        built = {number: self._build(number) for number in numbers}
        for number, experiment in built.items():
            if isinstance(experiment, BaseException | dict):
                self._ended(number, experiment)
        experiments = {number: run for number, run in built.items() if isinstance(run, Experiment)}
        if not experiments:
            return
        runs = StackedRuns(
            list(experiments.values()),
            [self.jobs[number].folder for number in experiments],
            self.task.command,
            resume=again or self.jobs[numbers[0]].plan.resume == "auto",
            varying=varying,
        )
        visible = runs.experiments[0].config.trainer.progress
        endings, short = runs.endings, False
        try:
            with console.Bar(len(self.jobs), title, "runs", done=len(self.results), visible=visible) as bar:
                ended = [
                    result.return_value for result in self.results.values() if result.status == JobStatus.COMPLETED
                ]
                runs.train(compiler, lambda done, metrics: bar.advance(done, best([*ended, *metrics])))
        except Exception as error:
            scarce = error.__cause__ is not None and is_out_of_memory(error.__cause__)
            short = scarce and len(experiments) > 1 and not endings
            if not short:
                endings |= {place: error for place in range(len(experiments)) if place not in endings}
        finally:
            for place, number in enumerate(experiments):
                if place in endings:
                    self._ended(number, endings[place])
        if short:
            places, half = list(experiments), -(-len(experiments) // 2)
            console.note(f"not enough memory for a stack of {len(places)} runs; going on with {half} at once")
            del built, experiments, runs
            for portion in groups.portions(places, half):
                self._stack(portion, compiler, f"{len(portion)} runs of {title}", varying, again=True)

    def _build(self, number: int) -> Experiment | Ending:
        """Return a job's run, built; the summary of one that is complete; or what is wrong with it."""
        job = self.jobs[number]
        try:
            self.task.check(job.plan)
            plan, resume = job.plan.run, job.plan.resume == "auto"
            if resume and begun(job.folder):
                plan = resumed(job.folder, job.words, plan)
            plan = plan.resolved()
            files = RunDirectory(job.folder, resume)
            if resume and job.folder.exists():
                check_files(files)
                if complete(summary := files.read_json("summary"), plan):
                    return summary
            return Experiment.build(plan, self.task.shared, features_of(files))
        except DeeprobError as error:
            return error

    def _ended(self, number: int, ending: Ending) -> None:
        """Note what became of a job, and tell."""
        job = self.jobs[number]
        if isinstance(ending, dict):
            assert self.launcher.config is not None
            try:
                ending = Result(ending, job.plan.run, needed=searches(self.launcher.config.hydra.sweeper))
            except UserError as error:
                ending = error
        if isinstance(ending, Exception):
            self.task.tell(number, ending)
        self.task.ended(number, job.words, job.plan.run, ending)
        result = JobReturn(
            overrides=job.words,
            working_dir=str(job.folder),
            task_name="deeprob",
            status=JobStatus.COMPLETED if isinstance(ending, dict) else JobStatus.FAILED,
            _return_value=ending,
        )
        self.results[number] = result
        self.launcher.told(number, result)


def best(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return the best value among those of many runs, of what tells most."""
    for name, of in (("val/accuracy", max), ("val/loss", min), ("train/accuracy", max), ("train/loss", min)):
        if values := [of_run[name] for of_run in metrics if name in of_run]:
            return f"best {name} {of(values):.4g}"
    return ""


def _named(numbers: Sequence[int]) -> str:
    """Return ``job 3``, or ``jobs 0, 1, 2 and 5 more``."""
    if len(numbers) == 1:
        return f"job {numbers[0]}"
    more = len(numbers) - 3
    return f"jobs {', '.join(map(str, numbers[:3]))}" + (f" and {more} more" if more > 0 else "")
