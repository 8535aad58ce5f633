"""A portion of a sweep: jobs that one worker trains, and the function that trains them on the worker.

The worker and the sweep exchange files in one folder. The worker appends its progress to a file of its own. The sweep
writes the file `STOP` to interrupt all workers.
"""

import contextlib
import functools
import io
import json
import os
import signal
import socket
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from deeprob.assembly.prepare import Shared
from deeprob.config.parcel import Parcel
from deeprob.errors import Interrupted, Skipped
from deeprob.sweeps.grouping import JobGroup
from deeprob.sweeps.job import Job
from deeprob.sweeps.stacks import Metrics, Stacks, best, run_alone
from deeprob.sweeps.task import SweepTask
from deeprob.tracking import signals
from deeprob.tracking.signals import Interruption

Outcomes = dict[int, dict[str, Any]]
"""The outcome of each job (see `deeprob.sweeps.job.outcome`), by job number."""

STOP = "stop"
"""The file that interrupts all workers. It holds the number of the signal that the sweep received."""
DATA = "data"
"""The folder of the data and features that the sweep has prepared."""
EVERY = 0.5
"""The number of seconds between two lines of progress, and between two looks for the file `STOP`."""


@dataclass(frozen=True)
class Portion(Parcel):
    """Jobs that one worker trains.

    Attributes
    ----------
    jobs
        The jobs, with validated configs.
    together
        Whether the jobs can train together in a stack.
    largest
        The largest number of runs in a stack. None: the worker decides.
    command
        The command that started the sweep.
    searching
        Whether the sweeper searches, and so needs a number from each job.
    folder
        The folder for the files that the sweep and its workers exchange.
    parent
        The process number of the sweep if the worker is its child, else 0. Such a worker saves and ends when the sweep
        is killed.
    directory
        The working directory of the sweep. Relative paths start there.
    lost
        The number of workers that were lost with these jobs.
    attempt
        The attempt with which the worker owns the directories of its runs (see `deeprob.tracking.ownership`). It is
        larger than that of each worker that had them before.
    """

    jobs: tuple[Job, ...]
    together: bool
    largest: int | None
    command: tuple[str, ...]
    searching: bool
    folder: Path
    parent: int
    directory: str = field(default_factory=os.getcwd)
    lost: int = 0
    attempt: int = 0

    @property
    def report(self) -> Path:
        """The file to which the worker appends its progress."""
        return self.folder / f"jobs-from-{self.jobs[0].number}-{self.attempt}.jsonl"

    def again(self, ended: Mapping[int, Any], *, lost: bool = True) -> "Portion":
        """Return the next attempt: the jobs that have not ended, to be resumed. `lost`: whether a worker was lost."""
        left = [job for job in self.jobs if job.number not in ended]
        resumed = tuple(replace(job, config=replace(job.config, resume="auto")) for job in left)
        return replace(self, jobs=resumed, lost=self.lost + lost, attempt=self.attempt + 1)


def work(portion: Portion) -> Outcomes:
    """Train a portion on a worker, and return the outcomes of the jobs that have ended.

    The worker uses one thread, unless ``trainer.threads`` gives a number. It prints nothing: what it would print on
    standard error goes to its report. Engines may start a worker with SIGINT blocked.
    """
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if Path(portion.directory).is_dir():
        os.chdir(portion.directory)
    torch.set_num_threads(1)
    report = Report(portion.report)
    task = SweepTask(portion.command, portion.searching)
    task.in_worker, task.shared = True, _shared(portion.folder / DATA)

    @contextmanager
    def progress(title: str) -> Iterator[Report]:
        yield report

    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(report),
        Interruption() as interruption,
        watching(portion, report),
    ):

        def on_end(job: Job, outcome: Mapping[str, Any]) -> None:
            if not (interruption() and outcome["status"] == Skipped.outcome):
                report.end(job, outcome)

        task.on_end, task.stopped = on_end, interruption
        stacks = Stacks(
            task, lambda job: run_alone(task, job, portion.attempt), portion.largest, progress, portion.attempt
        )
        try:
            stacks.train(JobGroup(portion.jobs, portion.together), "")
        except Interrupted:
            pass
        except Exception:  # a bug in deeprob; its trace goes to the report
            traceback.print_exc()
            raise
    if orphaned(portion):
        os._exit(0)  # loky would wait for the next portion forever
    return report.outcomes


@functools.lru_cache(maxsize=1)
def _shared(folder: Path) -> Shared:
    """Return the data and features that all portions of a sweep share in this worker."""
    return Shared(folder=folder)


@contextmanager
def watching(portion: Portion, report: "Report") -> Iterator[None]:
    """Publish the report every `EVERY` seconds, and interrupt this process if the sweep stops or is killed."""
    ended = threading.Event()
    sent = False

    def watch() -> None:
        nonlocal sent
        while not ended.wait(EVERY):
            report.publish()
            if not sent and (number := asked_to_stop(portion)):
                sent = True
                if not signals.received():
                    os.kill(os.getpid(), number)

    if number := asked_to_stop(portion):
        os.kill(os.getpid(), number)
        sent = True
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        report.publish()


def asked_to_stop(portion: Portion) -> int:
    """Return the number of the signal that this worker must act on; 0 if there is none."""
    try:
        return int((portion.folder / STOP).read_text())
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        return signal.SIGTERM
    return signal.SIGTERM if orphaned(portion) else 0


def orphaned(portion: Portion) -> bool:
    """Return whether this worker is a child of the sweep, and the sweep was killed."""
    return portion.parent not in (0, os.getppid())


class Report(io.TextIOBase):
    """The progress of a worker. Each line of its file is a JSON object.

    - ``{"host": …, "process": …}``: the worker has begun.
    - ``{"job": 3, "outcome": {…}}``: a job has ended.
    - ``{"done": 1.5, "best": {…}}``: this many runs have been trained since the last such line. Also, the best metric.
    - ``{"text": …}``: a text for standard error.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    outcomes
        The outcomes of the jobs that have ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: Outcomes = {}
        self._lock = threading.RLock()
        self._lines: list[dict[str, Any]] = [{"host": socket.gethostname(), "process": os.getpid()}]
        self._text, self._done, self._best = "", 0.0, dict[str, float]()
        self.publish()

    def end(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Report that a job has ended."""
        with self._lock:
            self.outcomes[job.number] = dict(outcome)
            self._lines.append({"job": job.number, "outcome": dict(outcome)})

    def advance(self, count: float, metrics: Metrics) -> None:
        """Report that this many runs more have been trained, and the best of their metrics."""
        with self._lock:
            self._done += count
            self._best = best(metrics)

    def write(self, text: str) -> int:
        """Take a text that this process prints on standard error."""
        with self._lock:
            self._text += text
        return len(text)

    def publish(self) -> None:
        """Append all news to the file. The last line of the text waits until it is complete."""
        with self._lock:
            whole, end, self._text = self._text.rpartition("\n")
            if end:
                self._lines.append({"text": whole})
            if self._done:
                self._lines.append({"done": self._done, "best": self._best})
                self._done = 0.0
            if self._lines:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("".join(f"{json.dumps(line)}\n" for line in self._lines))
                self._lines.clear()
