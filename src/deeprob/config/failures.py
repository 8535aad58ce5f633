"""Errors inside own parts, told in one line that names the option, the file and the line."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeprob.config.own_modules import is_own, line_of
from deeprob.config.schema import choice_of
from deeprob.errors import DeeprobError, UserError, is_out_of_memory, one_line

_METHODS = {
    "extract": "features",
    "forward": "model",
    "losses": "loss",
    "penalty": "regularizer",
    "step": "optimizer",
    "factor": "scheduler",
}
"""The methods that are called while a run trains, and the groups whose parts have them."""


@contextmanager
def failing(part: object, method: str = "build") -> Iterator[None]:
    """Report an error inside this context as a `UserError`, if `part` is the config of an own part.

    Parameters
    ----------
    part
        The config whose method is called in this context.
    method
        The name of the method.
    """
    try:
        yield
    except Exception as error:
        if not is_own(type(part)) or isinstance(error, DeeprobError) or is_out_of_memory(error):
            raise
        raise _failure(part, method, error) from error


@contextmanager
def failing_in_training(run: object) -> Iterator[None]:
    """Report an error that an own part of a run raises inside this context as a `UserError`.

    Parameters
    ----------
    run
        The config of the run, which has a part of each group.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DeeprobError) or is_out_of_memory(error) or (blamed := _blamed(run, error)) is None:
            raise
        raise _failure(*blamed, error) from error


def _blamed(run: object, error: Exception) -> tuple[object, str] | None:
    """Return the own part of a run whose method raised an error, and the name of the method; None if none did."""
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        module, method = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        if module.startswith("deeprob.training."):  # an own optimizer calls these too, and is not to blame for them
            return None
        part = getattr(run, _METHODS.get(method, ""), None)
        if part is not None and is_own(type(part)):
            folder = _folder_of(part)
            inside = folder is not None and Path(frame.f_code.co_filename).is_relative_to(folder)
            if inside or module == type(part).__module__:
                return part, method
    return None


def _failure(part: object, method: str, error: Exception) -> UserError:
    folder = _folder_of(part)
    place = "" if folder is None else line_of(error, folder)
    return UserError(f"{choice_of(part)}: {method}() failed: {place}{type(error).__name__}: {one_line(error)}")


def _folder_of(part: object) -> Path | None:
    """Return the folder of the file that has the class of a part; None if it is of a notebook."""
    file = getattr(sys.modules.get(type(part).__module__), "__file__", None)
    return None if file is None else Path(file).parent
