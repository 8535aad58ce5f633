"""Files that appear whole or not at all, and are still there after the machine went down."""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path


def write_whole(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Write a file under another name, sync it, and put it in its place.

    At each moment `path` is the old file or the new one; `previous`, if given, becomes a second name of the old one.

    Raises
    ------
    OSError
        Names `path`; what was there is still there, and nothing else is left.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno(), path)
        if previous is not None and path.exists():
            also(path, previous)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_text(path: Path, newline: str | None = None) -> str:
    """Return the text of a regular file; `newline` is that of `open`.

    Raises
    ------
    OSError
        When it cannot be read, or is a pipe or a device, from which reading might never end.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe or a device", str(path))
    with path.open(encoding="utf-8", newline=newline) as file:
        return file.read()


def also(path: Path, other: Path) -> None:
    """Give a file a second name, in place of what bears it; files here are replaced, never changed."""
    temporary = other.with_name(f"{other.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except (AttributeError, OSError):  # a system or a disk without hard links
        shutil.copyfile(path, temporary)
    temporary.replace(other)
    temporary.unlink(missing_ok=True)  # renaming leaves both names where they are of the same file already


_waiting: ContextVar[set[Path] | None] = ContextVar("waiting", default=None)
_AT_ONCE = 16
"""Files synced at the same time: a disk writes its journal once for all that wait."""


@contextmanager
def synced_together(failed: Callable[[OSError], None] | None = None) -> Iterator[None]:
    """Let all that is written meanwhile be on the disk at the end, which for hundreds of files is much sooner done.

    Parameters
    ----------
    failed
        Takes the error of each file that could not be written to the disk, which names the file; None raises the first.

    Raises
    ------
    OSError
        Names a file that could not be written to the disk.
    """
    waiting: set[Path] = set()
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        for error in _sync_errors(waiting):
            if failed is None:
                raise error
            failed(error)


def _sync_errors(paths: Collection[Path]) -> list[OSError]:
    """Wait until files and folders are on the disk, and return what went wrong."""

    def error_of(path: Path) -> OSError | None:
        try:
            _sync_path(path)
        except OSError as error:
            return error
        return None

    if not paths:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(paths))) as pool:
        return [error for error in pool.map(error_of, sorted(paths)) if error is not None]


def sync(descriptor: int, path: Path) -> None:
    """Wait until what was written to an open file is on the disk, or leave that to `synced_together`.

    Parameters
    ----------
    descriptor
        Of the file.
    path
        The name that the file has in the end; it may have another one now.
    """
    waiting = _waiting.get()
    if waiting is None:
        os.fsync(descriptor)
    else:
        waiting.add(path)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, or leave that to `synced_together`."""
    waiting = _waiting.get()
    if waiting is None:
        _sync_path(folder)
    else:
        waiting.add(folder)


def _sync_path(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; what was removed meanwhile needs nothing."""
    if os.name == "nt" and path.is_dir():  # Windows syncs no folders
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs what may be written
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def open_files() -> int:
    """Return how many files this process may hold open beside those that it needs for a moment.

    The limit is raised as far as the system lets a process do so itself.
    """
    try:
        import resource
    except ImportError:  # Windows
        return _WINDOWS - _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has another limit below the one that it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(1, (wanted if soft == resource.RLIM_INFINITY else soft) - _SPARE)


_SPARE, _ENOUGH, _WINDOWS = 100, 10_000, 8192
