"""Protect a command from errors of its standard streams: closed streams, full disks, and pipes without a reader."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

PIPE_CLOSED = 141
"""The exit status if the reader of the output has closed the pipe. It is the status of a process ended by SIGPIPE."""


@contextmanager
def guarded() -> Iterator[None]:
    """Protect a command from errors of its standard streams inside this context.

    - If a stream cannot encode a character, the character becomes a question mark.
    - If a stream is closed, the null device replaces it. Otherwise the next file that is opened could get the number of
      the stream, and C libraries would print warnings into this file.
    - If standard error accepts no output, the output is lost.

    Raises
    ------
    OSError
        If standard output accepts no output. The error names standard output, so that nobody looks for the cause in the
        files of a run. If the reader has closed the pipe, the error is a `BrokenPipeError`.
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
    """A wrapper of a stream. It writes and flushes the stream inside a context that handles errors."""

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
    """Flush a stream. If this fails, redirect the stream to the null device.

    Without this, Python would flush the stream again at its end, fail again, and exit with status 120.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
