"""The standard streams while a command runs, where they are closed, full, or nobody reads them."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

PIPE_CLOSED = 141
"""The exit status of a command whose output nobody reads any longer: that of a process ended by SIGPIPE."""


@contextmanager
def guarded() -> Iterator[None]:
    """Let no stream fail for what has nothing to do with the work, and each failure say that it was a stream's.

    A letter that a stream cannot write becomes a question mark. A closed stream leads nowhere, so that no file gets the
    number to which libraries in C print their warnings. What standard error does not take is lost.

    Raises
    ------
    OSError
        When standard output takes no more: names it, so that no file of a run is blamed. A `BrokenPipeError` where
        nobody reads it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    streams = sys.stdout, sys.stderr
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    output, complaints = _Stream(sys.stdout, _named), _Stream(sys.stderr, lambda: suppress(OSError))
    try:
        with redirect_stdout(cast("TextIO", output)), redirect_stderr(cast("TextIO", complaints)):
            yield
    finally:
        for stream in streams:
            _settle(stream)


class _Stream:
    """A stream that writes within a context; all else is as in the stream below it."""

    def __init__(self, below: TextIO, context: Callable[[], AbstractContextManager[Any]]) -> None:
        self._below, self._context = below, context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def write(self, text: str) -> int:
        with self._context():
            self._below.write(text)
        return len(text)

    def flush(self) -> None:
        with self._context():
            self._below.flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _settle(stream: TextIO) -> None:
    """Write what waits in a stream, or let it lead nowhere: Python would try again at its end, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
