"""A file to which a run appends. It can be cut back to an earlier length."""

import os
import time
from pathlib import Path

from deeprob.tracking.files import sync

ROWS_EVERY = 2.0
"""The number of seconds between two writes of a table."""


class AppendedFile:
    """A file to which a run appends. It is open only while it is written, because a stack has too many files.

    Parameters
    ----------
    path
        The file. The first write makes it.
    every
        The number of seconds between two writes of `flush`. Content in between waits.
    """

    def __init__(self, path: Path, every: float = 0.0) -> None:
        self.path = path
        self._every, self._written = every, -every
        self._waiting = bytearray()

    def append(self, content: bytes) -> None:
        """Add content to what waits to be written."""
        self._waiting += content

    def flush(self) -> None:
        """Write what waits, unless the previous write was less than `every` seconds ago."""
        if self._waiting and time.monotonic() - self._written >= self._every:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self._waiting:
            with self.path.open("ab") as file:
                file.write(self._waiting)
            self._waiting.clear()
            self._written = time.monotonic()

    def discard(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def cut(self, length: int) -> None:
        """Shorten the file to `length` bytes. A file that is shorter, or missing, stays as it is."""
        if self.path.exists() and self.path.stat().st_size > length:
            os.truncate(self.path, length)

    def synced_length(self) -> int:
        """Write what waits, sync the file to the disk, and return its length in bytes; 0 if there is no file."""
        self.write()
        if not self.path.exists():
            return 0
        with self.path.open("rb+") as file:
            sync(file.fileno(), self.path)
            return file.seek(0, os.SEEK_END)
