"""A disk cache of tensors that take long to compute. If it is full, the least recently read files are removed."""

import errno
import functools
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import torch
from filelock import lock_descriptor
from torch import Tensor

from deeprob.tracking.console import note

LIMIT = 8 * 2**30
"""The largest size of all files of a cache together, in bytes."""

_MAGIC = b"deeprob tensors\n"
_SEAL = 16  # length of a hash in bytes
_HEAD = struct.Struct(f"<{len(_MAGIC)}s{_SEAL}sQ")  # the kind of file, the header's seal, the header's length
_ALIGNED = 64
_BLOCK = 2**24  # bytes that one thread hashes at a time


def user_cache() -> Path:
    """Return the user's cache folder. If the user has no home directory, return a path that cannot be written."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deeprob"
    except RuntimeError:  # HOME is not set and the system does not know the user, as in containers
        _note_no_home()
        return Path(os.devnull) / "deeprob"


@functools.cache
def _note_no_home() -> None:
    note("no home directory: nothing is kept for later runs; set HOME, or XDG_CACHE_HOME to a folder for it")


def fingerprint(tensor: Tensor) -> str:
    """Return a hash of a tensor's dtype, shape and values, computed on all cores."""
    return f"{_name(tensor.dtype)}{list(tensor.shape)}{_seal(_bytes(tensor)).hex()}"


class Damaged(Exception):
    """A file of the cache is not as `Cache.put` wrote it. It was cut, changed, or replaced."""


class Cache:
    """A folder with one file per key; each file holds named tensors.

    A file has these parts, where a seal is a hash:

    - a line that names the kind of file
    - the seal and the length of the header
    - the header, as JSON: the key of the file and, for each named tensor, its dtype, shape, position and seal
    - the bytes of the tensors

    Every read of a file checks all its seals. Files are replaced or removed, but never changed. So several processes
    may use one folder at the same time.

    Parameters
    ----------
    folder
        The folder; it is made when the first file is written.
    limit
        The largest total size of all files, in bytes. If a new file would make the total larger, the least recently
        read files are removed.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def path(self, key: str) -> Path:
        """Return the path of the file for a key. A key must be a plain word, such as a hexadecimal number."""
        return self.folder / f"{key}.tensors"

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key; None if the key has no file.

        The file is mapped into memory. Changes of the tensors are not written to the file.

        Raises
        ------
        Damaged
            If the file is not as `put` wrote it.
        """
        path = self.path(key)
        try:
            if not os.path.lexists(path):
                return None
            if not path.is_file():
                raise Damaged(f"{path}: not a file")
            tensors = _opened(np.memmap(path, np.uint8, "c"), key)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, struct.error) as error:
            raise Damaged(f"{path}: damaged, or not a file of deeprob") from error
        with suppress(OSError):
            os.utime(path)  # sets the time of the last read, so that this file is removed last
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Remove older files if the limit requires it, then write the tensors of a key.

        Raises
        ------
        OSError
            If the folder cannot be written or the disk is full. No part of the file is left.
        """
        parts, entries, end = [], {}, 0
        for name, tensor in tensors.items():
            content = _bytes(tensor)
            parts.append((end, content))
            entries[name] = [_name(tensor.dtype), list(tensor.shape), end, _seal(content).hex()]
            end = _aligned(end + len(content))
        header = json.dumps({"key": key, "tensors": entries}).encode()
        head = _HEAD.pack(_MAGIC, _seal(memoryview(header)), len(header)) + header
        size = _aligned(len(head)) + end
        if size > self.limit:
            raise OSError(errno.EFBIG, "larger than the limit of the cache", str(self.path(key)))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(size)
        with _unfinished(self.folder) as (file, path):
            file.write(head)
            for start, content in parts:
                file.seek(_aligned(len(head)) + start)
                file.write(content)
            file.truncate(size)
            file.flush()
            path.chmod(0o644)  # temporary files can be read by their owner only
            if os.name == "nt":
                file.close()  # Windows does not rename open files
            path.replace(self.path(key))

    def _make_room(self, size: int) -> None:
        """Remove the least recently read files until `size` more bytes fit into the limit."""
        known = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process removes files too
                found = path.lstat()
                if path.suffix == ".tensors":
                    known.append((found.st_mtime, found.st_size, path))
                elif path.suffix == ".tmp":
                    _remove_abandoned(path)
        total = size + sum(bytes_of for _, bytes_of, _ in known)
        for _, bytes_of, path in sorted(known):
            if total <= self.limit:
                break
            with suppress(PermissionError):  # Windows does not remove open files
                path.unlink(missing_ok=True)
                total -= bytes_of


@contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Open a new temporary file and lock it. The lock shows other processes that the file is in use.

    The system releases the lock when the process ends, also if it is killed.
    """
    while True:
        descriptor, name = tempfile.mkstemp(".tmp", ".", folder)
        with suppress(OSError):  # some file systems have no locks
            lock_descriptor(descriptor, blocking=False)
        path = Path(name)
        if path.exists():
            break
        os.close(descriptor)  # another process removed it before it was locked
    with os.fdopen(descriptor, "wb") as file:
        try:
            yield file, path
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise


def _remove_abandoned(path: Path) -> None:
    """Remove a temporary file if no process has locked it. The process that wrote it was killed."""
    with suppress(OSError):
        with path.open("r+b") as file:
            abandoned = lock_descriptor(file.fileno(), blocking=False)
        if abandoned:
            path.unlink()


def _opened(whole: "np.memmap[tuple[int], np.dtype[np.uint8]]", key: str) -> dict[str, Tensor]:
    """Return the tensors in the bytes (n,) of a file.

    Raises
    ------
    ValueError
        If the file is damaged or belongs to another key. Other errors are possible too.
    """
    magic, seal, length = _HEAD.unpack(whole[: _HEAD.size].tobytes())
    after = _HEAD.size + length
    header = whole[_HEAD.size : after].tobytes()
    if magic != _MAGIC or _seal(memoryview(header)) != seal:
        raise ValueError("no header")
    content = json.loads(header)
    if content["key"] != key:
        raise ValueError("another key")
    body = torch.from_numpy(whole)[_aligned(after) :]
    tensors = {}
    for name, (kind, shape, start, expected) in content["tensors"].items():
        dtype = getattr(torch, kind)
        part = body[start : start + dtype.itemsize * torch.Size(shape).numel()]
        if _seal(_bytes(part)).hex() != expected:
            raise ValueError("damaged")
        tensors[name] = part.view(dtype).view(shape)
    return tensors


def _bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor's values."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _seal(content: memoryview) -> bytes:
    """Return a hash of bytes.

    If there are many bytes, they are split into blocks. The blocks are hashed on all cores, and the result is the hash
    of the blocks' hashes.
    """
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]

    def one(block: memoryview) -> bytes:
        return hashlib.blake2b(block, digest_size=_SEAL).digest()

    if len(blocks) < 2:
        return one(content)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return one(memoryview(b"".join(pool.map(one, blocks))))


def _aligned(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
