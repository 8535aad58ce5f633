"""Ownership of a directory: only one process at a time can own it. The owner writes its process number there."""

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from deeprob.errors import UserError

LOCK, OWNER = ".lock", ".owner"
"""The names of the locked file, and of the file that names the owner. On Windows a locked file cannot be read."""
ATTEMPTS = 100


class Ownership:
    """The ownership of a directory inside a ``with`` block.

    The owner locks a file. The system releases the lock when the process ends, also if it is killed.

    Parameters
    ----------
    directory
        The directory; `take` makes it if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = FileLock(directory / LOCK, thread_local=False)

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_up()

    def take(self) -> None:
        """Take the ownership of the directory, and write the number of this process and the machine's name there.

        Raises
        ------
        UserError
            If another process owns the directory. The message names that process.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(ATTEMPTS):
            try:
                self._lock.acquire(blocking=False)
                break
            except Timeout:
                owner = _text(self.directory)
                if owner or attempt == ATTEMPTS - 1:
                    line = f"{self.directory} is in use by {owner or 'another process'}"
                    raise UserError(f"{line}; wait for it, or give another directory") from None
            time.sleep(0.01)  # the owner will soon write its name, or give up the directory
        try:
            (self.directory / OWNER).unlink(missing_ok=True)  # left by a killed owner, perhaps of another user
            (self.directory / OWNER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Release the ownership."""
        (self.directory / OWNER).unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows does not remove open files
            (self.directory / LOCK).unlink(missing_ok=True)
        self._lock.release()
        if os.name == "nt":
            with suppress(OSError):  # the next owner may have the file already
                (self.directory / LOCK).unlink(missing_ok=True)


def owned(directory: Path) -> bool:
    """Return whether a running process owns a directory. An owner on another machine counts as running."""
    owner = re.fullmatch(r"process (\d+) on (.+)", _text(directory))
    if owner is None:
        return False
    if owner[2] != socket.gethostname():
        return True
    if os.name == "nt":  # os.kill would end the process there
        try:
            FileLock(directory / LOCK).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        return False
    try:
        os.kill(int(owner[1]), 0)
    except PermissionError:  # the process belongs to another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _text(directory: Path) -> str:
    try:
        return (directory / OWNER).read_text(encoding="utf-8", errors="replace")[:1000]
    except OSError:
        return ""
