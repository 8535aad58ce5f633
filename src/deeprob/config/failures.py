"""Errors inside own parts, told in one line that names the option, the file and the line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeprob.config.own_modules import is_own, line_of
from deeprob.config.schema import choice_of
from deeprob.errors import DeeprobError, UserError, is_out_of_memory, one_line


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
        cls = type(part)
        if not is_own(cls) or isinstance(error, DeeprobError) or is_out_of_memory(error):
            raise
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        place = "" if file is None else line_of(error, Path(file).parent)
        reason = f"{place}{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{choice_of(part)}: {method}() failed: {reason}") from error
