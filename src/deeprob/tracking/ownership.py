"""Ownership of a directory: only one process at a time can own it, also if several machines share the directory.

When a worker of a sweep is lost, its runs are given to another worker as the next attempt. But the lost worker may only
be cut off from the network, and still run. So the newer attempt takes over the directory, and the older attempt stops.
"""

import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from deeprob.errors import Superseded, UserError

LOCK, OWNER = ".lock", ".owner"
"""The names of the locked file, and of the file that names the owner. On Windows a locked file cannot be read."""
TRIALS = 100


@dataclass(frozen=True)
class Owner:
    """A process that owns a directory. As a text: ``process 12 on host, attempt 2``.

    Attributes
    ----------
    process, host
        The number of the process, and the name of its machine.
    attempt
        The number of times that the run was given to another worker before.
    """

    process: int
    host: str
    attempt: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" + (f", attempt {self.attempt}" if self.attempt else "")

    @classmethod
    def of(cls, directory: Path) -> Self | None:
        """Return the owner that is written in a directory. If none is written, or no readable one, return None."""
        try:
            with (directory / OWNER).open("rb", buffering=0) as file:
                text = file.read(1000).decode(errors="replace")
        except OSError:
            return None
        written = re.fullmatch(r"process (\d+) on (.+?)(?:, attempt (\d+))?", text)
        return None if written is None else cls(int(written[1]), written[2], int(written[3] or 0))


class Ownership:
    """The ownership of a directory inside a ``with`` block.

    The owner locks a file. The system releases the lock when the process ends, also if it is killed.

    Parameters
    ----------
    directory
        The directory; `take` makes it if it is missing.
    attempt
        The number of times that the run was given to another worker before. A larger number takes over the directory
        from a smaller one. So 0 takes over from nobody.
    """

    def __init__(self, directory: Path, attempt: int = 0) -> None:
        self.directory, self.attempt = directory, attempt
        self._owner: Owner | None = None
        self._locked: os.stat_result | None = None
        self._lock = FileLock(directory / LOCK, thread_local=False)

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_up()

    def take(self) -> None:
        """Take the ownership of the directory, and write this process, its machine and the attempt there.

        Raises
        ------
        UserError
            If another process owns the directory, and its attempt is not older. The message names that process. A newer
            attempt on another machine counts as running even if the lock is free, because not all file systems share
            locks between machines.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for trial in range(TRIALS):
            if self._try_lock():
                break
            owner, last = Owner.of(self.directory), trial == TRIALS - 1
            if owner and owner.attempt < self.attempt and not last:
                with suppress(PermissionError):  # Windows does not remove open files
                    (self.directory / LOCK).unlink(missing_ok=True)  # the older attempt keeps a lock without a name
            elif owner or last:
                line = f"{self.directory} is in use by {owner or 'another process'}"
                raise UserError(f"{line}; wait for it, or give another directory")
            else:
                time.sleep(0.01)  # the owner will soon write its name, or give up the directory
        owner = Owner.of(self.directory)
        if owner and owner.attempt > self.attempt and owner.host != socket.gethostname():
            self._lock.release()
            advice = f"wait for it, or remove {self.directory / OWNER} if that process has ended"
            raise UserError(f"{self.directory} is in use by {owner}; {advice}")
        try:
            self._write_owner(Owner(os.getpid(), socket.gethostname(), self.attempt))
        except BaseException:
            self.give_up()
            raise

    def _try_lock(self) -> bool:
        """Lock the file, and return whether that was possible."""
        try:
            self._lock.acquire(blocking=False)
            self._locked = (self.directory / LOCK).stat()
        except Timeout:
            return False
        except FileNotFoundError:  # a newer attempt has removed the file
            self._lock.release()
            return False
        return True

    def _write_owner(self, owner: Owner) -> None:
        """Write the owner's name, completely or not at all. The file may belong to a killed owner, or another user."""
        self._owner = owner
        temporary = self.directory / f"{OWNER}.{os.getpid()}.tmp"
        try:
            temporary.write_text(str(owner), encoding="utf-8")
            temporary.replace(self.directory / OWNER)
        finally:
            temporary.unlink(missing_ok=True)

    def successor(self) -> str:
        """Return the name of the process that took over the directory; an empty text if none did.

        The successor may have ended, and removed its name. Then the locked file is gone too. If only the name is gone,
        a person has removed it, and this process is still the owner.
        """
        owner = Owner.of(self.directory)
        if owner is not None:
            return "" if owner == self._owner else str(owner)
        return "" if self._has_lock_file() else "another process, or was removed"

    def _has_lock_file(self) -> bool:
        try:
            return self._locked is not None and os.path.samestat(self._locked, (self.directory / LOCK).stat())
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raise `Superseded` if another process has taken over the directory. This reads one small file."""
        if successor := self.successor():
            raise Superseded(f"{self.directory} now belongs to {successor}; this older attempt stops")

    def give_up(self) -> None:
        """Release the ownership. The files of a successor stay."""
        mine = not self.successor()
        if mine:
            (self.directory / OWNER).unlink(missing_ok=True)
            with suppress(PermissionError):  # Windows does not remove open files
                (self.directory / LOCK).unlink(missing_ok=True)
        self._lock.release()
        if mine and os.name == "nt":
            with suppress(OSError):  # the next owner may have the file already
                (self.directory / LOCK).unlink(missing_ok=True)


def owned(directory: Path) -> bool:
    """Return whether a running process owns a directory. An owner on another machine counts as running."""
    owner = Owner.of(directory)
    if owner is None:
        return False
    if owner.host != socket.gethostname():
        return True
    if os.name == "nt":  # os.kill would end the process there
        try:
            FileLock(directory / LOCK).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        return False
    try:
        os.kill(owner.process, 0)
    except PermissionError:  # the process belongs to another user
        return True
    except (OSError, OverflowError):
        return False
    return True
