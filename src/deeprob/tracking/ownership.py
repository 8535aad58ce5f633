"""Who owns a directory: one process at a time, which names itself there."""

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
"""The file that is locked, and the one that says by whom: Windows lets nobody read a file that is locked."""
ATTEMPTS = 100


class Ownership:
    """The ownership of a directory, for as long as a ``with``; the lock goes with the process, however it ends.

    Parameters
    ----------
    directory
        Made when it is taken, if need be.
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
        """Own the directory, and say so there.

        Raises
        ------
        UserError
            When another process owns it; names that.
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
            time.sleep(0.01)  # its owner is just coming or going
        try:
            (self.directory / OWNER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Leave the directory to others."""
        (self.directory / OWNER).unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows keeps what is open
            (self.directory / LOCK).unlink(missing_ok=True)
        self._lock.release()
        if os.name == "nt":
            with suppress(OSError):  # the next owner may have it already
                (self.directory / LOCK).unlink(missing_ok=True)


def owned(directory: Path) -> bool:
    """Tell whether a process that is still there owns a directory."""
    owner = re.fullmatch(r"process (\d+) on (.+)", _text(directory))
    if owner is None:
        return False
    if owner[2] != socket.gethostname():
        return True
    if os.name == "nt":  # where os.kill would end the process
        try:
            FileLock(directory / LOCK).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        return False
    try:
        os.kill(int(owner[1]), 0)
    except PermissionError:  # of another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _text(directory: Path) -> str:
    try:
        return (directory / OWNER).read_text(encoding="utf-8", errors="replace")[:1000]
    except OSError:
        return ""
