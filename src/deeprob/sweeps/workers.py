"""Train the jobs of a sweep on workers: hand out portions, and take in what the workers report.

Only the sweep writes the table. A worker writes the directories of its runs, and its report. If a worker is lost, its
portion goes to another worker, which resumes the runs. After `ATTEMPTS` lost workers, its jobs have failed. A worker
that was interrupted, but has trained and saved its runs, does not count.
"""

import dataclasses
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from deeprob.compare.past_runs import FINISHED
from deeprob.errors import DeeprobError, Interrupted, Skipped, UserError, one_line
from deeprob.running.resume import complete
from deeprob.sweeps import grouping
from deeprob.sweeps.engines import Engine, Task
from deeprob.sweeps.job import Job, Result, outcome
from deeprob.sweeps.portion import STOP, Outcomes, Portion
from deeprob.sweeps.stacks import best_now, returned
from deeprob.sweeps.task import SweepTask
from deeprob.tracking import console
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption

ATTEMPTS = 3
"""The number of lost workers after which the jobs of a portion have failed."""
POLL = 0.05
"""The number of seconds between two looks at the workers."""


class Ended(DeeprobError):
    """The error of a job that ended on a worker, as its outcome gives it."""

    def __init__(self, outcome: Mapping[str, Any]) -> None:
        super().__init__(outcome["error"])
        self.outcome = outcome["status"]


@dataclasses.dataclass
class Running:
    """A portion that a worker has, and what the worker has reported.

    Attributes
    ----------
    ended
        The outcomes of the jobs that have ended.
    done
        The number of trained runs, in fractions.
    best
        The best metric of the portion's runs.
    saved
        Whether the worker was interrupted, and has saved its runs.
    """

    portion: Portion
    task: Task
    ended: Outcomes = dataclasses.field(default_factory=dict)
    done: float = 0.0
    best: Mapping[str, float] = dataclasses.field(default_factory=dict)
    saved: bool = False
    _read: int = 0

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield what the worker has added to its report."""
        try:
            with self.portion.report.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # the worker is writing this line
                    self._read += len(line)
                    yield json.loads(line)
        except FileNotFoundError:  # the worker has not begun
            return


class Workers:
    """The workers of a sweep.

    Parameters
    ----------
    task
        The task of the sweep. It ends each job.
    engine
        The engine that runs the workers.
    count
        The number of workers.
    folder
        The folder for the files that the sweep and its workers exchange.
    """

    def __init__(self, task: SweepTask, engine: Engine, count: int, folder: Path) -> None:
        self.task, self.engine, self.count, self.folder = task, engine, count, folder
        self.results: dict[int, JobReturn] = {}
        self._running: list[Running] = []

    def train(self, portions: Sequence[Portion]) -> dict[int, JobReturn]:
        """Train portions, and return the results of their jobs by job number.

        Raises
        ------
        Interrupted
            If a signal came. After the first signal, the workers save their runs and end. After a second signal, they
            are killed.
        """
        waiting = list(portions)
        total = sum(len(portion.jobs) for portion in portions)
        visible = portions[0].jobs[0].config.trainer.progress
        title = f"{self.count} worker{'s' if self.count > 1 else ''}"
        with (
            Interruption() as interruption,
            console.Bar(total, title, "runs", visible=visible, rarely=True) as bar,
        ):
            stopping = False
            while waiting or self._running:
                while waiting and len(self._running) < self.count:
                    portion = waiting.pop(0)
                    if not self._skipped(portion):
                        self._running.append(Running(portion, self.engine.submit(portion)))
                if interruption.number is not None and not stopping:
                    stopping, waiting = True, []
                    self._stop(interruption.number)
                for running in list(self._running):
                    again = self._take(running, stopping)
                    waiting[:0] = again
                self._show(bar)
                if self._running:
                    time.sleep(POLL)
            if interruption.number is not None:
                raise Interrupted(interruption.number)
        return self.results

    def _skipped(self, portion: Portion) -> bool:
        """End the jobs of a portion, and return True, if no further job may start."""
        try:
            self.task.check(portion.jobs[0].config)
        except Skipped as error:
            for job in portion.jobs:
                self._end(job, error)
            return True
        return False

    def _stop(self, number: int) -> None:
        """Ask all workers to save and end, and withdraw the portions that no worker has begun."""
        (self.folder / STOP).write_text(str(int(number)))
        for running in self._running:
            running.task.cancel()

    def _take(self, running: Running, stopping: bool) -> list[Portion]:
        """Take in the news of a portion. If its worker was lost, return the portions to hand out again."""
        over = running.task.done()  # asked first: the report of a worker that is done is complete
        for news in running.news():
            if "text" in news:
                self._print(news["text"])
            elif "job" in news:
                self._take_outcome(running, news["job"], news["outcome"], stopping)
            elif "done" in news:
                running.done, running.best = running.done + news["done"], news["best"]
        if not over:
            return []
        self._running.remove(running)
        lost = ""
        try:
            for number, ended in running.task.result().items():
                self._take_outcome(running, number, ended, stopping)
        except Exception as error:  # an engine raises errors of many kinds if a worker is lost
            lost = cause(error)
        return [] if stopping else self._again(running, lost or "it was interrupted")

    def _take_outcome(self, running: Running, number: int, ended: Mapping[str, Any], stopping: bool) -> None:
        """Take in the outcome of a job, unless it is known already, or the worker was interrupted but not the sweep."""
        if ended["status"] == Interrupted.outcome and not stopping:
            running.saved = True
            return
        if number in running.ended:
            return
        running.ended[number] = dict(ended)
        self._end_as(next(job for job in running.portion.jobs if job.number == number), ended)

    def _again(self, running: Running, lost: str) -> list[Portion]:
        """Return the next attempt for the jobs that have not ended. If there is none left, these jobs have failed."""
        portion = running.portion
        for job in portion.jobs:  # a worker may be lost between the end of a run and its report
            summary = RunDirectory(job.folder).read_json("summary")
            if job.number not in running.ended and complete(summary, job.config.trainer.epochs):
                self._take_outcome(running, job.number, outcome(summary), stopping=False)
        went_on = running.saved and running.done > 0  # such as a worker whose time on a cluster runs out
        left = portion.again(running.ended, lost=not went_on)
        if not left.jobs:
            return []
        last = left.lost >= (1 if left.jobs[0].config.sweep.isolate else ATTEMPTS)
        if not last:
            number = "" if went_on else f", attempt {left.lost + 1} of {ATTEMPTS}"
            named = grouping.named_jobs(left.jobs)
            self._print(f"note: the worker of {named} was lost ({lost}); going on with another one{number}")
            return [left]
        for job in left.jobs:
            times = f" (attempt {ATTEMPTS} of {ATTEMPTS})" if left.lost > 1 else ""
            error = DeeprobError(f"its worker was lost: {lost}{times}")
            print(f"error: job {job.number}: {one_line(error)}", file=sys.stderr)
            self._end_as(job, outcome(error))
        return []

    def _end_as(self, job: Job, ended: Mapping[str, Any]) -> None:
        """End a job with the outcome that a worker has reported. The worker has printed the error, if any."""
        if ended["status"] in FINISHED:
            self._end(job, self.task.result(job, {name: value for name, value in ended.items() if name != "error"}))
            return
        if ended["status"] != Interrupted.outcome:
            self.task.failed.append(job.number)
        self.results[job.number] = returned(job.words, str(job.folder), Ended(ended))
        self.task.tell(job, outcome(Ended(ended)))

    def _end(self, job: Job, ending: Result | UserError | Skipped) -> None:
        self.results[job.number] = returned(job.words, str(job.folder), ending)
        self.task.end(job, ending)

    def _print(self, text: str) -> None:
        """Print the text of a worker. Notes are printed only once."""
        for line in text.splitlines():
            if line.startswith("note: "):
                self.task.shared.note_once(line.removeprefix("note: "))
            else:
                print(line, file=sys.stderr)

    def _show(self, bar: console.Bar) -> None:
        """Show the progress of all portions together."""
        done = len(self.results) + sum(max(0.0, running.done - len(running.ended)) for running in self._running)
        if done != bar.done:
            ended = [
                result.return_value for result in self.results.values() if isinstance(result._return_value, Result)
            ]
            bar.advance(done - bar.done, best_now([*ended, *(running.best for running in self._running)]))


def cause(error: Exception) -> str:
    """Return the reason why a worker or a launcher was lost, in one line. If a process ended, it has its exit code."""
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
    return f"a process ended by {codes[1]}" if codes else one_line(error)
