"""deeprob: a laboratory for linear classifiers and fully-connected networks."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeprob.assembly.finished import Run, load_run

__all__ = ["Run", "load_run"]
__version__ = version("deeprob")


def __getattr__(name: str) -> Any:
    """Import `Run` or `load_run` when it is first used. So console commands start without the time for this import."""
    if name in __all__:
        from deeprob.assembly import finished

        return getattr(finished, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
