"""Decoded pictures: read from files once, in parallel, then memory-mapped from a packed cache."""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from deeprob.errors import UserError, one_line
from deeprob.tracking.cache import user_cache
from deeprob.tracking.console import note, track

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # others of Pillow's start programs, or are unsafe
_BLOCK = 256  # pictures a task: large enough that threads do not wait for each other's interpreter lock


def decoded(root: Path, paths: Sequence[str], fingerprint: str, size: int | None) -> Tensor:
    """Return pictures as one tensor, from the cache that bears their fingerprint or decoded and cached now.

    The cache lies in ``root/.deeprob-cache``, or in the user's cache folder when `root` cannot be written.

    Parameters
    ----------
    root, paths
        The folder, and the files relative to it.
    fingerprint
        The name of the cache file: another listing or size gets another file.
    size
        Crop and scale to this many pixels square; None takes the pictures as they are, all of one size.

    Returns
    -------
    Tensor
        (N, 3, H, W) uint8.
    """
    places = [
        root / ".deeprob-cache",
        user_cache() / hashlib.blake2b(bytes(root.resolve()), digest_size=8).hexdigest(),
    ]
    for place in places:
        cached = _open(place / f"{fingerprint}.npy", len(paths))
        if cached is not None:
            return torch.from_numpy(cached)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of Pillow, about a file's metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pictures = _decode(root, paths, size)
    if not any(_write(place / f"{fingerprint}.npy", pictures) for place in places):
        note(f"the decoded pictures cannot be kept in {places[0]} or {places[1]}; they will be decoded anew each time")
    return torch.from_numpy(pictures)


def _open(path: Path, count: int) -> npt.NDArray[np.uint8] | None:
    """Map a cache file into memory, copy-on-write; None where there is none or it is not whole."""
    if not path.is_file():
        return None
    try:
        pictures: npt.NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="c")
    except Exception:  # NumPy reads the header with Python's own parser, which fails in many ways
        return None
    whole = pictures.dtype == np.uint8 and pictures.ndim == 4 and pictures.shape[:2] == (count, 3) and pictures.size > 0
    return pictures if whole else None


def _write(path: Path, pictures: npt.NDArray[np.uint8]) -> bool:
    """Write a cache file, which appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                np.lib.format.write_array(file, pictures)
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # temporary files are for their owner's eyes alone
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
        for old in path.parent.glob("*.npy"):  # of the folder as it was before
            if old.name.partition("-")[0] != path.name.partition("-")[0]:
                old.unlink()
    except OSError:
        return False
    return True


def _decode(root: Path, paths: Sequence[str], size: int | None) -> npt.NDArray[np.uint8]:
    first = _decode_one(root / paths[0], size)
    pictures = np.empty((len(paths), *first.shape), np.uint8)

    def block(start: int) -> int:
        for position, path in enumerate(paths[start : start + _BLOCK], start):
            picture = _decode_one(root / path, size)
            if picture.shape != first.shape:
                raise UserError(
                    f"{root / path}: {_shape(picture)} pixels, but {paths[0]} has {_shape(first)}; "
                    f"dataset.image_size={min(first.shape[1:])} would crop and scale all to one size"
                )
            pictures[position] = picture
        return min(_BLOCK, len(paths) - start)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for count in track(pool.map(block, range(0, len(paths), _BLOCK)), len(paths), "decoding pictures"):
                del count
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pictures


def _decode_one(path: Path, size: int | None) -> npt.NDArray[np.uint8]:
    """Decode one file to (3, H, W); of an animation, its first picture."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"pixels of mode {image.mode}, not of 8 bits")  # convert() would clip them
            upright = ImageOps.exif_transpose(image)
            picture = (upright.convert("RGBA") if "transparency" in upright.info else upright).convert("RGB")
            if size is not None:
                picture = ImageOps.fit(picture, (size, size))
            return np.asarray(picture).transpose(2, 0, 1)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds; whichever it is, the file is at fault
        raise UserError(f"{path}: cannot be read as a picture ({_reason(error)}); replace or remove it") from error


def _reason(error: Exception) -> str:
    return "no known picture format" if isinstance(error, UnidentifiedImageError) else one_line(error)


def _shape(picture: npt.NDArray[np.uint8]) -> str:
    return f"{picture.shape[2]}×{picture.shape[1]}"
