"""Read one picture file: return its pixels and a hash of its bytes."""

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from deeprob.errors import UserError, one_line

Pixels = npt.NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
DIGEST = 16  # bytes
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # Pillow's other formats start programs, or are unsafe


@contextmanager
def decoding() -> Iterator[None]:
    """Ignore Pillow's warnings about the metadata of files in this context. A picture that is too large is an error.

    Threads share the filters of warnings, so all threads that call `decode` need one such context around them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: Path, size: int | None, known: bytes = b"") -> tuple[bytes, Pixels | None]:
    """Read a file, and return the hash of its bytes and its picture (3, H, W).

    If the hash equals `known`, the file is not decoded, and the picture is None. If the file is an animation, its first
    picture is returned. If `size` is given, the picture is cropped and scaled to a square of `size` × `size` pixels.

    Raises
    ------
    UserError
        If the file cannot be read as a picture. The message names the file and the reason.
    """
    try:
        content = path.read_bytes()
        digest = hashlib.blake2b(content, digest_size=DIGEST).digest()
        return digest, None if digest == known else _pixels(content, size)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many types of errors; all mean a bad file
        raise UserError(f"{path}: cannot be read as a picture ({_reason(error)}); replace or remove it") from error


def _pixels(content: bytes, size: int | None) -> Pixels:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"pixels of mode {image.mode}, not of 8 bits")  # convert() would cut off large values
        upright = ImageOps.exif_transpose(image)
        picture = (upright.convert("RGBA") if "transparency" in upright.info else upright).convert("RGB")
        if size is not None:
            picture = ImageOps.fit(picture, (size, size))
        return np.asarray(picture).transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    return "no known picture format" if isinstance(error, UnidentifiedImageError) else one_line(error)
