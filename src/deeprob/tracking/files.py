"""Write files completely or not at all, and sync them to the disk, so that the files survive a system crash."""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path


def write_whole(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Write a temporary file, sync it to the disk, and rename it to `path`.

    At every moment, `path` is either the old file or the complete new file. If `previous` is given, the old file is
    kept under this name.

    Raises
    ------
    OSError
        If the file cannot be written. The error names `path`. The old file is kept, and the temporary file is removed.
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
    """Return the text of a regular file; `newline` is passed to `open`.

    Raises
    ------
    OSError
        If the file cannot be read, or if it is a pipe or a device. Reading from a pipe or a device might never end.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe or a device", str(path))
    with path.open(encoding="utf-8", newline=newline) as file:
        return file.read()


def also(path: Path, other: Path) -> None:
    """Give the file `path` a second name `other`. If there is a file with this name already, it is replaced.

    Both names belong to the same file. So the content of this file must never be changed. To write new content, replace
    the file.
    """
    temporary = other.with_name(f"{other.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except (AttributeError, OSError):  # the system or the disk has no hard links
        shutil.copyfile(path, temporary)
    temporary.replace(other)
    temporary.unlink(missing_ok=True)  # the rename does nothing if both names belong to one file


_waiting: ContextVar[set[Path] | None] = ContextVar("waiting", default=None)
_AT_ONCE = 16
"""The number of files that are synced at the same time. The disk then writes its journal once for all of them."""


@contextmanager
def synced_together(failed: Callable[[OSError], None] | None = None) -> Iterator[None]:
    """Delay the syncs of files inside this context, and sync all these files together when the context ends.

    This is faster if there are hundreds of files.

    Parameters
    ----------
    failed
        A function that is called with each sync error. If None, the first error is raised.

    Raises
    ------
    OSError
        If a file could not be synced. The error names the file.
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
    """Sync files and folders to the disk, and return the errors."""

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
    """Sync an open file to the disk, immediately or at the end of `synced_together`.

    Parameters
    ----------
    descriptor
        The descriptor of the file.
    path
        The final name of the file. At the moment the file may still have a temporary name.
    """
    waiting = _waiting.get()
    if waiting is None:
        os.fsync(descriptor)
    else:
        waiting.add(path)


def sync_folder(folder: Path) -> None:
    """Sync the list of names in a folder to the disk, immediately or at the end of `synced_together`."""
    waiting = _waiting.get()
    if waiting is None:
        _sync_path(folder)
    else:
        waiting.add(folder)


def _sync_path(path: Path) -> None:
    """Sync a file or a folder to the disk. If it has been removed, do nothing."""
    if os.name == "nt" and path.is_dir():  # Windows syncs no folders
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs only writable files
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def open_files() -> int:
    """Return the number of files that this process may keep open for a long time.

    First, the limit of the process is raised to `_ENOUGH`, or as far as the system allows. The result is this limit
    minus `_SPARE`, because some files are opened for a short time.
    """
    try:
        import resource
    except ImportError:  # Windows
        return _WINDOWS - _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # the real limit of macOS is lower than the reported one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(1, (wanted if soft == resource.RLIM_INFINITY else soft) - _SPARE)


_SPARE, _ENOUGH, _WINDOWS = 100, 10_000, 8192
