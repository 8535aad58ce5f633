"""deeprob: a laboratory for linear classifiers and fully-connected networks."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeprob.api import FinishedSweep, TrainedRun, load_run, runs, sweep, train
    from deeprob.assembly.finished import Run

__all__ = ["FinishedSweep", "Run", "TrainedRun", "load_run", "runs", "sweep", "train"]
__version__ = version("deeprob")


def __getattr__(name: str) -> Any:
    """Import a name or a module when it is first used. So console commands start without the time for this import."""
    if name in __all__:
        return getattr(import_module("deeprob.assembly.finished" if name == "Run" else "deeprob.api"), name)
    if name == "sklearn":  # needs the extra of this name
        return import_module("deeprob.sklearn")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
