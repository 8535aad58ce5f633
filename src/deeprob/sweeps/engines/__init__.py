"""The engines that run portions of a sweep on workers: processes of this machine, a Ray cluster, or SLURM.

An engine takes portions with `submit`. It returns a `Task` for each, and the task says whether it has ended. Workers
and the sweep share a file system. The engines differ only in where a worker runs.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Protocol

from deeprob.errors import CheckFailed, Interrupted, UserError
from deeprob.sweeps.portion import Outcomes, Portion

PACKAGES = {"processes": "loky", "ray": "ray", "submitit": "submitit"}
"""The package that each engine imports."""
ENGINES = tuple(PACKAGES)
EXTRAS = {"processes": "loky", "ray": "'deeprob[ray]'", "submitit": "'deeprob[slurm]'"}
"""The words with which pip installs the package of each engine."""
SIZED = ("processes", "ray")
"""The engines with ``workers=auto``: they know how many workers have room."""


class Task(Protocol):
    """A portion that an engine has taken."""

    def done(self) -> bool:
        """Return whether the portion has ended or is lost."""

    def result(self) -> Outcomes:
        """Return the outcomes of the portion's jobs. Any error means that the portion is lost."""

    def cancel(self) -> None:
        """Withdraw the portion if no worker has begun it. If this is not possible, do nothing."""


class Engine(Protocol):
    """Runs portions on workers. A ``with`` block ends the workers. If the block ends with an error, it kills them."""

    def submit(self, portion: Portion) -> Task:
        """Hand a portion to a worker, or let it wait for one."""

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *error: Any) -> None: ...


class EngineLost(Interrupted):
    """The engine is lost with all its workers. The sweep ends as after a signal, and can be resumed."""

    def __init__(self, message: str) -> None:
        KeyboardInterrupt.__init__(self, message)
        self.status = CheckFailed.status

    def __reduce__(self) -> tuple[Any, ...]:
        return EngineLost, self.args


def check_engine(name: str, cluster: str = "auto", resources: Mapping[str, Any] | None = None) -> None:
    """Raise a `UserError` if the package of an engine is not installed, or if its cluster or resources are invalid.

    An engine can check these settings with a function `check_cluster`.
    """
    if importlib.util.find_spec(PACKAGES[name]) is None:
        raise UserError(f"hydra.launcher.engine={name} needs {PACKAGES[name]}: pip install {EXTRAS[name]}")
    if name != "processes" and (check := getattr(_module(name), "check_cluster", None)) is not None:
        check(cluster, resources or {})


def capacity(name: str, cluster: str, resources: Mapping[str, Any]) -> int:
    """Return how many workers fit into a cluster at the same time. The engine is one of `SIZED`."""
    count: int = _module(name).capacity(cluster, resources)
    return count


def _module(name: str) -> Any:
    return importlib.import_module(f"deeprob.sweeps.engines.on_{name}")


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    import loky

    count: int = loky.cpu_count()
    return count


def start(name: str, workers: int, cluster: str, resources: dict[str, Any], folder: Any) -> Engine:
    """Start an engine.

    Parameters
    ----------
    name
        The name of the engine, one of `ENGINES`.
    workers
        The number of workers.
    cluster
        The cluster: the address of a Ray cluster, or the name of a cluster for submitit. ``auto`` finds one, or uses
        this machine.
    resources
        The resources that each worker asks for, under the engine's own names.
    folder
        The folder for files of the engine.
    """
    engine: Engine = _module(name).start(workers, cluster, resources, folder)
    return engine
