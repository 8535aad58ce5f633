"""deeprob: a laboratory for linear classifiers and fully-connected networks."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeprob.api import load_run, runs, sweep, train
    from deeprob.assembly.finished import Run
    from deeprob.running.trained import TrainedRun
    from deeprob.sweeps.finished_sweep import FinishedSweep

__all__ = ["FinishedSweep", "Run", "TrainedRun", "load_run", "runs", "sweep", "train"]
_ELSEWHERE = {"FinishedSweep": "sweeps.finished_sweep", "Run": "assembly.finished", "TrainedRun": "running.trained"}
__version__ = version("deeprob")


def __getattr__(name: str) -> Any:
    """Import a name when it is first used. So console commands start without the time for this import."""
    if name in __all__:
        return getattr(import_module(f"deeprob.{_ELSEWHERE.get(name, 'api')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
