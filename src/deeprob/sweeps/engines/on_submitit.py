"""Workers as jobs of SLURM, by submitit. Each portion is one SLURM job. On one machine, each is one process.

submitit writes a portion to a file, and SLURM starts a Python process that reads it. This process writes its result to
another file. submitit could also requeue a job that is preempted or out of time. It never does so here: such a job
saves its runs and ends, and the sweep submits them again.
"""

import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import submitit
from omegaconf import OmegaConf
from submitit.core.utils import pickle_load

from deeprob.errors import DeeprobError, UserError, did_you_mean, one_line
from deeprob.sweeps.engines.on_processes import ONE_THREAD, without_interrupts
from deeprob.sweeps.portion import Outcomes, Portion, work
from deeprob.tracking import console, signals

KEY = "hydra.launcher.resources"
YEAR = 365 * 24 * 60
DEFAULTS: dict[str, dict[str, Any]] = {
    "slurm": {"name": "deeprob", "cpus_per_task": 1, "timeout_min": 60},
    "local": {"cpus_per_task": 1, "timeout_min": YEAR},  # nobody waits for this machine
}
"""The resources of a worker that `resources` can change, by cluster."""
NO_REQUEUE = {"no-requeue": True}
"""The option of sbatch with which SLURM does not start a job again by itself: it would start its runs afresh."""
ONE_TASK = ("nodes", "tasks_per_node", "slurm_nodes", "slurm_ntasks_per_node")
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
ENDED |= {"OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
"""SLURM's states of jobs that have ended."""
LOOK = 10.0
"""The number of seconds between two looks at SLURM's queue, and between two tries to submit a refused job."""
GRACE = 15.0
"""The number of seconds until the file of a completed job must be visible here, on a shared file system."""
KILL = 5.0
"""The number of seconds that killed jobs get to end. A job that takes longer ends after the sweep."""

logging.getLogger("submitit").setLevel(logging.CRITICAL)


def check_cluster(cluster: str, resources: Mapping[str, Any]) -> None:
    """Raise a `UserError` if the cluster is not there, or if a resource has an unknown name or a wrong type."""
    if cluster not in ("auto", *DEFAULTS):
        raise UserError(f"hydra.launcher.cluster={cluster}: expected auto, slurm or local")
    if cluster == "slurm" and (missing := [name for name in ("sbatch", "srun", "squeue") if not shutil.which(name)]):
        raise UserError(
            f"hydra.launcher.cluster=slurm: there is no {missing[0]} here; use a login node of a SLURM cluster, or "
            "hydra.launcher.cluster=local"
        )
    types = submitit.AutoExecutor._typed_parameters()
    slurm = {f"slurm_{name}" for name in submitit.SlurmExecutor._valid_parameters()}
    known = sorted({*types, *slurm, "local_setup"} - {*ONE_TASK, "slurm_num_gpus"})
    for name, value in resources.items():
        if name in ONE_TASK:
            raise UserError(f"{KEY}.{name}: each worker is one task; set hydra.launcher.workers")
        if name not in known:
            meant = {name: f"slurm_{name}"} if f"slurm_{name}" in known else None
            raise UserError(f"{KEY}.{name}: no such resource; {did_you_mean(name, known, meant)}")
        kind = types.get(name)
        if kind and type(value) is not kind and not (kind is float and type(value) is int):
            raise UserError(f"{KEY}.{name}={value}: expected {WORDS[kind]}")


def start(workers: int, cluster: str, resources: Mapping[str, Any], folder: Path) -> "Submissions":
    """Start the engine.

    Parameters
    ----------
    workers
        The number of workers.
    cluster
        ``slurm``, ``local`` for processes of this machine, or ``auto``: SLURM if it is here.
    resources
        The resources of each worker, under submitit's names.
    folder
        The folder for the files of submitit. All nodes must share it.

    Raises
    ------
    UserError
        If a setting is invalid.
    """
    check_cluster(cluster, resources)
    if cluster == "auto":
        cluster = "slurm" if shutil.which("sbatch") else "local"
        if cluster == "local":
            console.note("hydra.launcher.cluster=auto: there is no sbatch here, so the workers run on this machine")
    plain: Any = OmegaConf.to_container(OmegaConf.create(dict(resources)), resolve=True)
    values = DEFAULTS[cluster] | plain
    values["slurm_additional_parameters"] = NO_REQUEUE | (values.get("slurm_additional_parameters") or {})
    executor = submitit.AutoExecutor(folder, cluster=cluster)
    for name, value in values.items():
        try:
            with warnings.catch_warnings(action="error"):
                executor.update_parameters(**{name: value})
        except Exception as error:  # submitit raises errors of many kinds
            raise UserError(f"{KEY}.{name}={value}: {one_line(error)}") from error
    return Submissions(executor, Queue(folder) if cluster == "slurm" else Machine())


class Cluster(Protocol):
    """Where submitted jobs are, by their numbers."""

    def ended(self, job: Any) -> str:
        """Return how a job ended, in a few words; empty if it has not ended."""

    def withdraw(self, job: Any) -> None:
        """Remove a job from the queue if it has not begun."""

    def kill(self, jobs: Sequence[Any]) -> None:
        """End jobs."""


class Machine:
    """The machine of the sweep. A job is a process of submitit, and the worker is the child of this process."""

    def ended(self, job: Any) -> str:
        """Return that a job has ended. submitit does not tell the exit code of a worker."""
        return "its process ended without a result" if job.done() else ""

    def withdraw(self, job: Any) -> None:
        """Do nothing, because there is no queue."""

    def kill(self, jobs: Sequence[Any]) -> None:
        """Send SIGTERM to the processes, which send it to the workers."""
        for job in jobs:
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)


class Queue:
    """The queue of SLURM.

    Parameters
    ----------
    folder
        The folder for the files of submitit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: dict[str, str] = {}
        self._completed: dict[str, float] = {}
        self._looked = -LOOK

    def ended(self, job: Any) -> str:
        """Return SLURM's state of a job that has ended, with its exit code or signal, or that the job has a result."""
        if job.paths.result_pickle.exists():
            return "it has a result"
        self._states.setdefault(job.job_id, "PENDING")
        if time.monotonic() > self._looked + LOOK:
            self.look()
        state = self._states[job.job_id]
        if state == "COMPLETED":
            if time.monotonic() < self._completed.setdefault(job.job_id, time.monotonic()) + GRACE:
                return ""
        elif state not in ENDED:
            return ""
        shown = _call("scontrol", "--oneliner", "show", "job", job.job_id).stdout
        found = re.search(r" ExitCode=(\d+):(\d+)", shown)
        code, number = found.groups() if found else ("0", "0")
        ending = f", signal {number}" if number != "0" else f", exit code {code}" if code != "0" else ""
        return f"SLURM job {job.job_id}: {state}{ending}"

    def look(self) -> None:
        """Ask SLURM for the states of all jobs. SLURM forgets a job some minutes after its end."""
        self._looked = time.monotonic()
        open_jobs = [number for number, state in self._states.items() if state not in ENDED]
        if not open_jobs:
            return
        answer = _call("squeue", "--noheader", "--states=all", "--format=%i %T", f"--jobs={','.join(open_jobs)}")
        if answer.returncode and "Invalid job id" not in answer.stderr:
            return  # SLURM does not answer now
        found = dict(line.split()[:2] for line in answer.stdout.splitlines())
        self._states |= {number: found.get(number, "COMPLETED") for number in open_jobs}
        with suppress(OSError):
            os.listdir(self.folder)  # noqa: PTH208 - makes NFS look for new files

    def withdraw(self, job: Any) -> None:
        """Remove a job from the queue if it has not begun."""
        _call("scancel", "--state=PENDING", job.job_id)
        self._looked = -LOOK

    def kill(self, jobs: Sequence[Any]) -> None:
        """End jobs."""
        _call("scancel", *(job.job_id for job in jobs))
        self._looked = -LOOK


def _call(*words: str) -> subprocess.CompletedProcess[str]:
    """Call a command of SLURM. Ctrl-C does not reach it."""
    return subprocess.run(words, capture_output=True, text=True, check=False, start_new_session=True)


class Submissions:
    """The engine: submits portions as jobs.

    Parameters
    ----------
    executor
        The executor of submitit.
    cluster
        Where it submits the jobs.
    """

    def __init__(self, executor: Any, cluster: Cluster) -> None:
        self.executor, self.cluster = executor, cluster
        self._tasks: list[Submitted] = []
        self._noted = False

    def submit(self, portion: Portion) -> "Submitted":
        """Submit a portion.

        Raises
        ------
        UserError
            If the cluster refuses the first job. If it refuses a later job, this job is submitted again until the
            cluster takes it: there may be a limit for the number of jobs in the queue.
        """
        task = Submitted(self, portion)
        self._tasks.append(task)
        return task

    def send(self, portion: Portion) -> Any:
        """Submit a portion, and return submitit's job, or None if the cluster refuses it. See `submit`."""
        try:
            # Ctrl-C must not reach the processes of submitit
            with without_interrupts(), _environment(), redirect_stderr(io.StringIO()):
                return self.executor.submit(work_in_job, portion)
        except RuntimeError as error:
            reason = "; ".join(line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if line)
            if not self._tasks:
                raise UserError(f"{KEY}: sbatch refused the job: {reason}") from error
            if not self._noted:
                console.note(f"sbatch refused a job ({reason}); trying again every {LOOK:g} seconds")
            self._noted = True
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if left := [task for task in self._tasks if task.job is not None and not task.done()]:
            self.cluster.kill([task.job for task in left])
            end = time.monotonic() + KILL
            while time.monotonic() < end and not all(task.done() for task in left):
                time.sleep(0.05)


class Submitted:
    """A portion that was submitted as a job.

    Parameters
    ----------
    engine
        The engine that submits it.
    portion
        The portion.

    Attributes
    ----------
    job
        submitit's job; None as long as the cluster refuses it.
    """

    def __init__(self, engine: Submissions, portion: Portion) -> None:
        self.engine, self.portion = engine, portion
        self.job = engine.send(portion)
        self._sent, self._withdrawn, self._ending = time.monotonic(), False, ""

    def done(self) -> bool:
        """Return whether the job has ended, or has a result."""
        if self.job is None:
            if not self._withdrawn and time.monotonic() > self._sent + LOOK:
                self.job, self._sent = self.engine.send(self.portion), time.monotonic()
            return self._withdrawn
        self._ending = self._ending or self.engine.cluster.ended(self.job)
        return bool(self._ending)

    def result(self) -> Outcomes:
        """Return the outcomes of the portion's jobs.

        Raises
        ------
        DeeprobError
            If the job was lost. The message has SLURM's state of the job and the last line of its log.
        """
        if self.job is None:
            raise DeeprobError("sbatch refused its job")
        path = self.job.paths.result_pickle
        if not path.exists():
            raise DeeprobError(self._ending + last_line(self.job.paths.stderr))
        kind, value = pickle_load(path)
        path.unlink()  # a later process of this machine may get the same number
        if kind == "error":
            raise DeeprobError(value.strip().splitlines()[-1])
        outcomes, reason = value
        if reason:
            raise DeeprobError(reason)
        return dict(outcomes)

    def cancel(self) -> None:
        """Withdraw the job if it has not begun."""
        self._withdrawn = True
        if self.job is not None:
            self.engine.cluster.withdraw(self.job)


def last_line(path: Path) -> str:
    """Return the last line of a log, to be added to a message. A line of the worker is preferred to a line of srun."""
    try:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return f"; it wrote no log to {path.parent}: do all nodes share this folder?"
    own = [line for line in lines if not line.startswith("srun: ")]
    return f"; {(own or lines)[-1].strip()}" if lines else ""


def work_in_job(portion: Portion) -> tuple[Outcomes, str]:
    """Train a portion in the process of a job, and return the outcomes, and why the job ended early, if it did so.

    SIGUSR2 comes from SLURM some time before the job ends by force. Then the runs are saved, as at SIGTERM. SIGINT
    comes only from a terminal, if the worker runs on this machine. It is left to the sweep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.environ.get("SUBMITIT_EXECUTOR") == "local":
        os.setpgid(0, 0)
    reason = ""

    def save(number: int, frame: Any) -> None:
        nonlocal reason
        reason = f"{signal.Signals(number).name} came, because its time ran out or it was preempted"
        if not signals.received():
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}"), save)
    return work(replace(portion, parent=os.getppid())), reason


@contextmanager
def _environment() -> Iterator[None]:
    """Set the environment of a new job: one thread, the modules of the sweep, and nothing of a job that it runs in."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("SLURM_") and name != "SLURM_CONF":
            del os.environ[name]
    os.environ.update(ONE_THREAD, PYTHONPATH=os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
