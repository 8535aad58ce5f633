"""A cache of decoded pictures. A picture is decoded again only if its file has changed."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from deeprob.data import picture_files
from deeprob.data.picture_files import DIGEST, Pixels, decode, decoding
from deeprob.errors import UserError, one_line
from deeprob.tracking.cache import LIMIT, Cache, Damaged, user_cache
from deeprob.tracking.console import note, track

FRESH = 2 * 10**9
"""A time in nanoseconds. If the last change of a file is more recent, a new change may leave its timestamp the same."""

_BLOCK = 256  # number of pictures per task: enough that threads rarely wait for the interpreter lock


@dataclass(frozen=True)
class Files:
    """The picture files of a folder.

    Attributes
    ----------
    root
        The folder.
    paths
        The paths of the N files, relative to the folder.
    stamps
        (N, 4) int64: the `stamp` of each file.
    """

    root: Path
    paths: Sequence[str]
    stamps: Tensor


@dataclass(frozen=True)
class Pictures:
    """The decoded pictures of some files in a folder of N files.

    Attributes
    ----------
    rows
        (N,) int64: for each file, the row of `pixels` that holds its picture; −1 if there is no picture of the file.
    stamps
        (M, 4) int64: for each row, the `stamp` of the file when it was decoded.
    digests
        (M, 16) uint8: for each row, the hash of the file's bytes when it was decoded.
    pixels
        (M, 3, H, W) uint8: the pictures.
    """

    rows: Tensor
    stamps: Tensor
    digests: Tensor
    pixels: Tensor

    @classmethod
    def none(cls, count: int, shape: Sequence[int] = (0, 0)) -> "Pictures":
        """Return an object for `count` files that has no pictures yet.

        Its tensor `pixels` has one row (3, *shape), which belongs to no file.
        """
        rows, stamps, digests = torch.full((count,), -1), torch.zeros(1, 4).long(), torch.zeros(1, DIGEST).byte()
        return cls(rows, stamps, digests, torch.empty(1, 3, *shape, dtype=torch.uint8))

    def __getitem__(self, places: Tensor) -> Tensor:
        """Return the pictures (n, 3, H, W) of the files at positions `places` (n,).

        The result is a view if the rows of these pictures are consecutive, and a copy if they are not.
        """
        rows = self.rows[places]
        first = int(rows[0])
        if torch.equal(rows, torch.arange(first, first + len(rows))):
            return self.pixels[first : first + len(rows)]
        return self.pixels.index_select(0, rows)

    def current(self, stamps: Tensor) -> Tensor:
        """Return booleans (N,): true for each file that has a picture and has not changed since it was decoded.

        `stamps` (N, 4) are the present stamps of the files. A file with a stamp of zeros counts as changed.
        """
        return (self.rows >= 0) & stamps.any(1) & (self.stamps[self.rows] == stamps).all(1)

    def same_as(self, other: "Pictures") -> bool:
        """Return whether both objects have the same files, in the same versions."""
        pairs = zip((self.rows, self.stamps, self.digests), (other.rows, other.stamps, other.digests), strict=True)
        return all(torch.equal(one, two) for one, two in pairs)


def stamp(stat: os.stat_result, now: int) -> tuple[int, int, int, int]:
    """Return the size, the mtime, the ctime and the inode of a file; after a change of the file, one of them differs.

    If the file changed less than `FRESH` nanoseconds before `now`, return zeros. Such a file could change again and
    keep its stamp, so its content must be compared. The mtime is the time when the content last changed. The ctime also
    changes with the name or the permissions. The FAT file system has no ctime. On FAT, a change that keeps the size and
    the mtime is not noticed.

    Parameters
    ----------
    stat
        The result of ``os.stat`` for the file.
    now
        The present time, in nanoseconds.
    """
    # unlike the mtime, the ctime cannot be set by programs
    if stat.st_ctime_ns > now - FRESH:
        return 0, 0, 0, 0
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino & (2**63 - 1)


def decoded(files: Files, wanted: Tensor, size: int | None) -> Pictures:
    """Return the pictures of the `wanted` files. Only files that are new or have changed are decoded.

    The cache is in ``root/.deeprob-cache``. If this folder cannot be written, the cache is in the user's cache folder.
    There is one cache file for each `size`. It keeps all pictures of the folder that were wanted in earlier calls.

    Parameters
    ----------
    files
        All picture files of the folder.
    wanted
        The positions (n,) of the wanted files in `files`.
    size
        The side of a square in pixels, to which pictures are cropped and scaled. With None, pictures are not changed;
        then all must have the same size.

    Returns
    -------
    Pictures
        The wanted pictures, and possibly pictures of other files.

    Raises
    ------
    UserError
        If a file is not a picture, or if pictures have different sizes. The message names the file.
    """
    name = "whole" if size is None else f"square-{size}"
    own = hashlib.blake2b(bytes(files.root.resolve()), digest_size=8).hexdigest()
    key_in = {files.root / ".deeprob-cache": name, user_cache() / "pictures": f"{own}-{name}"}
    kept, most = Pictures.none(len(files.paths)), (0, 0)
    for folder, key in key_in.items():
        found = _read(Cache(folder), key, files.paths)
        there, current = found.rows[wanted] >= 0, found.current(files.stamps)[wanted]
        if current.all():
            return found
        if (count := (int(current.sum()), int(there.sum()))) > most:
            kept, most = found, count
    with decoding():
        pictures = _updated(files, wanted, size, kept)
    if not pictures.same_as(kept):
        _write(key_in, pictures, files.paths)
    return pictures


def _code() -> bytes:
    """Return a hash of the code that decodes and caches pictures; a cache with another hash is not used."""
    modules = [Path(__file__), Path(picture_files.__file__)]
    words = PIL.__version__.encode() + b"".join(module.read_bytes() for module in modules)
    return hashlib.blake2b(words, digest_size=DIGEST).digest()


def _read(cache: Cache, key: str, paths: Sequence[str]) -> Pictures:
    """Return the cached pictures of the files `paths`.

    If the cache is missing, damaged or from another version of the code, the result has no pictures. For a damaged
    cache, a note is printed.
    """
    try:
        content = cache.get(key)
    except Damaged as error:
        note(f"{one_line(error)}, and not used")
        content = None
    if content is None or "code" not in content or bytes(content["code"].numpy()) != _code():
        return Pictures.none(len(paths))
    row_of = {name: row for row, name in enumerate(bytes(content["paths"].numpy()).decode().split("\n"))}
    rows = torch.tensor([row_of.get(path, -1) for path in paths])
    return Pictures(rows, content["stamps"], content["digests"], content["pixels"])


def _write(key_in: Mapping[Path, str], pictures: Pictures, paths: Sequence[str]) -> None:
    """Write pictures to the cache, in the first folder of `key_in` that can be written.

    `key_in` maps each possible folder to the cache key. `paths` are the paths of all files.
    """
    names = "\n".join(path for path, row in zip(paths, pictures.rows.tolist(), strict=True) if row >= 0)
    content = {
        "code": torch.tensor(list(_code()), dtype=torch.uint8),
        "paths": torch.frombuffer(bytearray(names.encode()), dtype=torch.uint8),
        "stamps": pictures.stamps,
        "digests": pictures.digests,
        "pixels": pictures.pixels,
    }
    reasons = []
    for folder, key in key_in.items():
        try:
            Cache(folder, max(LIMIT, 2 * pictures.pixels.numel())).put(key, content)
            for old in (*folder.glob("*.npy"), *folder.glob("tmp*")):  # files of earlier versions
                old.unlink()
            return
        except OSError as error:
            reasons.append(f"{folder} ({error.strerror})")
    note(f"the decoded pictures cannot be kept in {' or '.join(reasons)}; they will be decoded again each time")


def _updated(files: Files, wanted: Tensor, size: int | None, kept: Pictures) -> Pictures:
    """Return `kept`, with a new picture for each wanted file that is new or has changed.

    A wanted file is read if its stamp has changed. Then it is decoded if the hash of its content has changed too.
    """
    first = int(wanted[0])
    _, picture = decode(files.root / files.paths[first], size, bytes(kept.digests[kept.rows[first]].numpy()))
    if picture is not None and picture.shape != kept.pixels.shape[1:]:
        kept = Pictures.none(len(files.paths), picture.shape[1:])
    needed = torch.zeros(len(files.paths), dtype=torch.bool)
    needed[wanted] = True
    doubtful = needed & ~kept.current(files.stamps)
    places = (needed | (kept.rows >= 0)).nonzero().flatten()
    rows = torch.full_like(kept.rows, -1)
    rows[places] = torch.arange(len(places))
    old = kept.rows[places]
    pictures = Pictures(rows, kept.stamps[old], kept.digests[old], kept.pixels[old])
    pictures.stamps[rows[doubtful]] = files.stamps[doubtful]
    _fill(pictures, files, doubtful.nonzero().flatten().tolist(), size, files.paths[first])
    return pictures


def _fill(pictures: Pictures, files: Files, places: Sequence[int], size: int | None, first: str) -> None:
    """Read the files at positions `places`, in parallel; if the hash of a file has changed, decode its picture.

    The hash and the picture are written to the file's row of `pictures`. All pictures must have the size of the picture
    in the file `first`.
    """
    rows, digests, pixels = pictures.rows.tolist(), pictures.digests.numpy(), pictures.pixels.numpy()

    def block(start: int) -> int:
        chosen = places[start : start + _BLOCK]
        for place in chosen:
            path, row = files.root / files.paths[place], rows[place]
            digest, picture = decode(path, size, digests[row].tobytes())
            if picture is not None:
                if picture.shape != pixels.shape[1:]:
                    raise _other_size(path, picture, first, pixels[0])
                digests[row], pixels[row] = np.frombuffer(digest, np.uint8), picture
        return len(chosen)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for count in track(pool.map(block, range(0, len(places), _BLOCK)), len(places), "reading pictures"):
                del count
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _other_size(path: Path, picture: Pixels, first: str, pixels: Pixels) -> UserError:
    (height, width), (rows, columns) = picture.shape[1:], pixels.shape[1:]
    return UserError(
        f"{path}: {width}×{height} pixels, but {first} has {columns}×{rows}; "
        f"dataset.image_size={min(rows, columns)} would crop and scale all to one size"
    )
