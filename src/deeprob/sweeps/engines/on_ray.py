"""Workers on a Ray cluster. Each portion is a Ray task."""

import math
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import ray
import torch
from ray import exceptions
from ray._private.services import find_bootstrap_address

from deeprob.errors import DeeprobError, UserError, did_you_mean, one_line
from deeprob.sweeps.engines import EngineLost, cores
from deeprob.sweeps.portion import Outcomes, Portion, work
from deeprob.tracking import console
from deeprob.tracking.signals import ENDING

CONNECT = 5.0
"""The number of seconds that the head of a cluster has to answer."""
LOOK, PATIENCE = 2.0, 20.0
"""The number of seconds between two looks whether the head of the cluster answers, and until it is given up."""
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
SILENT = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would send statistics over the network
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker that asked for no GPU sees none, without a warning
}
OWN = {**SILENT, "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
"""The environment of a cluster that deeprob starts. Ray then writes no token into the home folder, and does not lower
the priority of workers.
"""
OBJECTS = 80 * 2**20
"""The bytes of shared memory for Ray's objects, about the least that Ray takes. Outcomes are small."""
RESOURCES = {"num_cpus": float, "num_gpus": float, "memory": float, "resources": dict, "accelerator_type": str}
"""The resources that a worker can ask for, and the types of their values."""
CAUSES = (
    (exceptions.OutOfMemoryError, "Ray killed the worker because the node ran out of memory"),
    (exceptions.NodeDiedError, "a Ray node died"),
    (exceptions.WorkerCrashedError, "a process or a node died"),
    (exceptions.TaskCancelledError, "Ray cancelled it"),
)


def check_cluster(cluster: str, resources: Mapping[str, Any]) -> None:
    """Raise a `UserError` if the resources are invalid, or if no cluster answers."""
    _remote(resources)
    if not ray.is_initialized() and _address(cluster) is None:
        missing = {name: amount for name, amount in _wanted(resources).items() if amount > _machine().get(name, 0)}
        if missing:
            raise UserError(f"hydra.launcher.resources: this machine does not have {_named(missing)}; give a cluster")


def capacity(cluster: str, resources: Mapping[str, Any]) -> int:
    """Return how many workers fit into the cluster at the same time, at least 1."""
    if not ray.is_initialized() and _address(cluster) is None:
        return max(1, _fitting({**_machine(), "CPU": cores()}, _wanted(resources)))
    with _connected(cluster):
        return max(1, sum(_fitting(node, _wanted(resources)) for node in _nodes()))


def start(workers: int, cluster: str, resources: Mapping[str, Any], folder: Path) -> "OnRay":
    """Return the engine. It connects to the cluster, or starts one on this machine, when its ``with`` block begins."""
    return OnRay(workers, cluster, resources)


class OnRay:
    """Ray tasks.

    Ray does not repeat a task whose worker is lost, because only the sweep resumes its runs.

    Parameters
    ----------
    workers
        The number of workers. A cluster that starts here has CPUs for so many.
    cluster
        ``local`` starts a cluster on this machine. ``auto`` takes the cluster that the environment variable RAY_ADDRESS
        names or that ``ray start`` has started on this machine, and starts one if there is none. Else, the address of
        a cluster.
    resources
        The options of ``ray.remote``. Each worker has one CPU unless ``num_cpus`` says otherwise.
    """

    def __init__(self, workers: int, cluster: str, resources: Mapping[str, Any]) -> None:
        self._workers, self._cluster = workers, cluster
        self._remote, self._wanted = _remote(resources), _wanted(resources)
        self._ending = ExitStack()
        self._tasks: list[RayTask] = []

    def submit(self, portion: Portion) -> "RayTask":
        """Hand a portion to Ray. It begins when a node has the resources."""
        task = RayTask(self._remote.remote(portion), portion, self._head)
        self._tasks.append(task)
        return task

    def __enter__(self) -> Self:
        """Connect.

        Raises
        ------
        UserError
            If the connection fails.
        """
        with ExitStack() as ending:
            address = ending.enter_context(_connected(self._cluster, math.ceil(self._workers * self._wanted["CPU"])))
            where = f"the Ray cluster at {address}" if address else "a new Ray cluster on this machine"
            plural = "s" if self._workers > 1 else ""
            console.note(f"hydra.launcher.engine=ray: {self._workers} worker{plural} on {where}")
            if not any(_fitting(node, self._wanted) for node in _nodes()):
                console.note(f"no node of the Ray cluster has {_named(self._wanted)}: the sweep waits until one has")
            self._head = Head(ray.get_runtime_context().gcs_address)
            self._ending = ending.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is not None and not issubclass(kind, EngineLost):
            for task in self._tasks:
                task.kill()
        self._ending.close()


class RayTask:
    """A portion that Ray has taken."""

    def __init__(self, reference: Any, portion: Portion, head: "Head") -> None:
        self._reference, self._portion, self._head = reference, portion, head

    def done(self) -> bool:
        """Return whether the portion has ended or is lost.

        Raises
        ------
        EngineLost
            If the head of the cluster is lost.
        """
        ended = bool(ray.wait([self._reference], timeout=0, fetch_local=False)[0])
        if not ended:
            self._head.check()
        return ended

    def result(self) -> Outcomes:
        """Return the outcomes of the portion's jobs. A `DeeprobError` says why the portion is lost."""
        try:
            outcomes: Outcomes = ray.get(self._reference)
        except exceptions.RayError as error:
            raise DeeprobError(cause_in_ray(error)) from error
        return outcomes

    def cancel(self) -> None:
        """Withdraw the portion if no worker has begun it. Ray would interrupt a worker that has."""
        if not self._portion.report.exists():
            ray.cancel(self._reference)

    def kill(self) -> None:
        """Kill the worker that has the portion."""
        ray.cancel(self._reference, force=True)


class Head:
    """The head of a cluster. Ray itself would wait for a lost head for a minute, and then end this process.

    Parameters
    ----------
    address
        Its host and port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen = self._looked = time.monotonic()

    def check(self) -> None:
        """Raise an `EngineLost` if the head has not answered for `PATIENCE` seconds."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        if _unreachable(self._address):
            if now - self._seen > PATIENCE:
                raise EngineLost(f"the head of the Ray cluster at {self._address} is lost")
        else:
            self._seen = now
        self._looked = time.monotonic()


def cause_in_ray(error: exceptions.RayError) -> str:
    """Return the reason why Ray lost a portion, in a few words."""
    for kind, reason in CAUSES:
        if isinstance(error, kind):
            return reason
    if isinstance(error, exceptions.RayTaskError) and (inner := error.cause) is not None:
        return f"{type(inner).__name__}: {one_line(inner)}"
    return one_line(error)


@contextmanager
def _connected(cluster: str, cpus: int = 1) -> Iterator[str | None]:
    """Connect this process to a cluster, or start one with `cpus` CPUs. Yield its address; None if it has started.

    If this process is connected already, the connection is used, and stays.
    """
    if ray.is_initialized():
        yield ray.get_runtime_context().gcs_address
        return
    address = _address(cluster)
    try:
        with _environment(OWN if address is None else SILENT), _own_handlers(), _no_standard_error():
            if address is None:
                ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=OBJECTS, **QUIET)
            else:
                ray.init(address, **QUIET)
    except Exception as error:
        ray.shutdown()
        raise UserError(f"hydra.launcher.cluster={cluster}: {one_line(error)}") from error
    except BaseException:
        ray.shutdown()
        raise
    ray._private.worker._worker_logs_enabled = False  # Ray would print each lost worker on standard output
    try:
        yield address
    finally:
        ray._private.worker._worker_logs_enabled = True
        with _own_handlers():
            ray.shutdown()


def _address(cluster: str) -> str | None:
    """Return the address of a cluster, or None if one is to be started on this machine.

    Raises
    ------
    UserError
        If the address is invalid, or if no cluster answers there.
    """
    named = os.environ.get("RAY_ADDRESS", "") if cluster == "auto" else cluster
    if named == "local":
        return None
    if named in ("", "auto"):
        found: str | None = find_bootstrap_address(None)  # written by `ray start`; it may have ended since
        return None if found is None or _unreachable(found) else found
    key = f"RAY_ADDRESS={named}" if cluster == "auto" else f"hydra.launcher.cluster={named}"
    if not re.fullmatch(r"[^/:]+:\d+", named):
        raise UserError(f"{key}: expected the address of a Ray cluster, HOST:PORT")
    if reason := _unreachable(named):
        raise UserError(f"{key}: no Ray cluster there ({reason}); start one with ray start --head")
    return named


def _unreachable(address: str) -> str:
    """Return the reason why nothing answers at an address; empty if something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT).close()
    except (OSError, OverflowError) as error:
        return one_line(error)
    return ""


def _remote(resources: Mapping[str, Any]) -> Any:
    """Return the Ray task that trains a portion.

    Raises
    ------
    UserError
        If a resource is invalid.
    """
    key = "hydra.launcher.resources"
    for name, amount in resources.items():
        if name not in RESOURCES:
            raise UserError(f"{key}.{name}: no such resource in Ray; {did_you_mean(name, RESOURCES)}")
        if RESOURCES[name] is float and (type(amount) not in (int, float) or amount < 0):
            raise UserError(f"{key}.{name}={amount}: expected a number, at least 0")
    try:
        return ray.remote(max_retries=0, **resources)(work)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key}: {one_line(error)}") from error


def _wanted(resources: Mapping[str, Any]) -> dict[str, float]:
    """Return the amounts of what a worker asks for, under the names that nodes have for them."""
    wanted = {"CPU": resources.get("num_cpus", 1), "GPU": resources.get("num_gpus", 0)}
    wanted |= {"memory": resources.get("memory", 0)} | dict(resources.get("resources") or {})
    if kind := resources.get("accelerator_type"):
        wanted[f"accelerator_type:{kind}"] = 0.001
    return wanted


def _fitting(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """Return how many workers a node has the resources for."""
    return int(min((node.get(name, 0) / amount for name, amount in wanted.items() if amount), default=1))


def _named(wanted: Mapping[str, float]) -> str:
    return ", ".join(f"{name}: {amount:g}" for name, amount in wanted.items() if amount)


def _machine() -> dict[str, float]:
    """Return the resources that a cluster on this machine would have. Ray gives it the CPUs that it is asked for."""
    return {"CPU": math.inf, "memory": math.inf, "GPU": torch.cuda.device_count()}


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each node of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment that the user has not set, inside this context."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _no_standard_error() -> Iterator[None]:
    """Discard what Ray's library writes to standard error, which no setting prevents."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Restore the handlers of signals at the end. Ray installs its own."""
    main = threading.current_thread() is threading.main_thread()  # Python allows handlers only there
    before = {number: signal.getsignal(number) for number in ENDING if main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
