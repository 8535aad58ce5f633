"""Workers as processes of this machine, by loky. Each worker is an executor with one process."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Self

from loky.process_executor import ProcessPoolExecutor

from deeprob.sweeps.portion import Outcomes, Portion, work

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""The environment of a worker. Several threads per worker on shared cores are much slower than one."""
OWN_PATH = {"PYTHONSAFEPATH": "1"}
"""With this variable, a new process imports nothing from the current folder, where files may have names of modules."""


def start(workers: int, cluster: str, resources: dict[str, Any], folder: Path) -> "Processes":
    """Start the engine. It needs no cluster, no resources and no folder."""
    return Processes(workers)


class Processes:
    """Processes of this machine.

    If a process of a loky executor is killed, loky ends all processes of this executor. Therefore each worker is an
    executor of its own. So a killed worker costs no other worker its portion, and its exit code is known.

    Parameters
    ----------
    workers
        The number of workers.
    """

    def __init__(self, workers: int) -> None:
        self._executors: list[ProcessPoolExecutor | None] = [None] * workers
        self._futures: list[Future[Outcomes] | None] = [None] * workers

    def submit(self, portion: Portion) -> Future[Outcomes]:
        """Hand a portion to a worker that has none. There must be one."""
        place = next(place for place, future in enumerate(self._futures) if future is None or future.done())
        if (earlier := self._futures[place]) is not None and earlier.exception() is not None:
            self._end(place)
        if self._executors[place] is None:
            self._executors[place] = ProcessPoolExecutor(1, initializer=_leave_group, env=ONE_THREAD | OWN_PATH)
        executor = self._executors[place]
        assert executor is not None
        with without_interrupts():
            future: Future[Outcomes] = executor.submit(work, portion)
        self._futures[place] = future
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        for place in range(len(self._executors)):
            self._end(place)

    def _end(self, place: int) -> None:
        """End a worker, also if it has a portion."""
        executor, self._executors[place] = self._executors[place], None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)


def _leave_group() -> None:
    """Move a new worker out of the terminal's process group, so that Ctrl-C reaches the sweep alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Block SIGINT inside this context. A process that starts here blocks SIGINT too, until it unblocks it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    earlier = os.environ.get("PYTHONSAFEPATH")
    os.environ.update(OWN_PATH)
    try:
        resource_tracker.ensure_running()  # otherwise loky starts Python's tracker now, and its start unblocks SIGINT
    finally:
        if earlier is None:
            del os.environ["PYTHONSAFEPATH"]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
