"""Protect a command when its standard streams are closed, full, or have no reader."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

PIPE_CLOSED = 141
"""The exit status when the reader of the output has closed it, as for a process that SIGPIPE ends."""


@contextmanager
def guarded() -> Iterator[None]:
    """Protect a command from errors of its standard streams inside this context.

    A character that a stream cannot encode becomes a question mark. A closed stream is replaced by the null device;
    otherwise a file could get the descriptor of the stream, and C libraries would print warnings into this file. Output
    that standard error does not accept is lost.

    Raises
    ------
    OSError
        If standard output accepts no more. The error names standard output, so that no file of a run is blamed. It is a
        `BrokenPipeError` if the reader has closed the pipe.
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
    """A stream that writes inside a context. Its other methods are those of the wrapped stream."""

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
    """Flush a stream; if this fails, redirect the stream to the null device.

    Otherwise Python would flush the stream again at exit, fail, and exit with status 120.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
