"""Checkpoint files. They are written completely or not at all, have a checksum, and are loaded safely.

A checkpoint has two generations: the newest file, and the file that was written before it.
"""

import hashlib
import io
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from deeprob.errors import UserError
from deeprob.tracking.console import note
from deeprob.tracking.files import write_whole


def save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values. An existing file is kept as the previous generation."""
    buffer = io.BytesIO()  # torch.save to a file hides the reason of a write error
    torch.save(content, buffer)
    write_whole(path, seal(buffer.getvalue()), previous(path))


@torch.no_grad()
def copied(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content with a copy of each tensor.

    Without the copy, torch.save would write the whole storage of a tensor that is only a view.
    """
    copies: dict[str, Any] = tree_map_only(torch.Tensor, torch.clone, content)
    return copies


def previous(path: Path) -> Path:
    """Return the path of the previous generation: ``last.prev.pt`` for ``last.pt``."""
    return path.with_suffix(f".prev{path.suffix}")


_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size * 2


def seal(archive: bytes) -> bytes:
    """Return the archive that torch.save wrote, with its checksum added as a comment.

    The archive is a ZIP file, which ends with a comment. The two bytes before the comment are the comment's length.
    torch.load ignores the comment.
    """
    comment = _SEAL + hashlib.sha256(archive).hexdigest().encode()
    return archive[:-2] + len(comment).to_bytes(2, "little") + comment


def unseal(content: bytes) -> bytes:
    """Return the archive that was passed to `seal`.

    Raises
    ------
    ValueError
        If any byte has changed.
    """
    archive = content[: -_SEAL_LENGTH - 2] + b"\0\0"
    if seal(archive) != content:
        raise ValueError("the checksum does not fit")
    return archive


def exists(path: Path) -> bool:
    """Return whether any generation of a checkpoint exists."""
    return path.exists() or previous(path).exists()


def load(path: Path) -> dict[str, Any]:
    """Return the content that `save` wrote, with tensors on the CPU. No code from the file is run.

    Raises
    ------
    UserError
        If the file is missing, damaged or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        archive = unseal(path.read_bytes())
        inspect(archive)
        content: dict[str, Any] = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError("no dictionary")
    except OSError:
        raise
    except Exception as error:  # a damaged archive may raise any kind of error
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error
    return content


_SHARED = 16  # largest number of reused tuples; optimizers reuse the tuple betas
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}


def inspect(archive: bytes) -> None:
    """Check that `save` can have written an archive.

    torch.load runs no code from a file, but it lets the file call some functions with any arguments. A file could make
    torch.load need much time or memory. This check allows only the functions that make plain tensors.

    Raises
    ------
    ValueError, RuntimeError
        If `save` cannot have written the archive. The message gives the reason.
    """
    # torch.load uses the same reader, so both read the same content
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive))
    if archive[:4] != b"PK\3\4" or size_when_read(reader, archive) > len(archive):
        raise ValueError("no archive, or one that grows when it is read")
    tuples: set[Any] = set()
    shared, before = 0, ""
    for opcode, argument, _ in pickletools.genops(reader.get_record("data.pkl")):
        if (opcode.name == "GLOBAL" and argument not in _NAMES) or (opcode.name == "PROTO" and argument != 2):
            raise ValueError(f"{opcode.name} {argument}")
        if opcode.name.endswith("BINPUT") and before.startswith("TUPLE"):
            tuples.add(argument)
        shared += opcode.name.endswith("BINGET") and argument in tuples
        if shared > _SHARED:
            raise ValueError("tuples of tuples, which take for ever to hash")
        before = opcode.name


def size_when_read(reader: Any, archive: bytes) -> int:
    """Return the total size of all unpacked records of an archive, in bytes."""
    if hasattr(reader, "get_record_size"):
        return sum(map(reader.get_record_size, reader.get_all_records()))
    try:  # the reader of torch 2.11 does not return sizes
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            return sum(info.file_size for info in file.infolist())
    except (NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError("no archive") from error


def generations(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of each readable generation of a checkpoint, the newest first."""
    for each in (path, previous(path)):
        with suppress(UserError):
            yield load(each)


def load_newest(path: Path) -> dict[str, Any]:
    """Return the content of the newest readable generation of a checkpoint.

    If the newest file is damaged or missing, print a note, and load the previous generation.

    Raises
    ------
    UserError
        If no generation can be read. The message names the newest generation.
    """
    try:
        return load(path)
    except UserError as error:
        if not previous(path).exists():
            raise
        try:
            content = load(previous(path))
        except UserError:
            raise error from None
        note(f"{error}; using {previous(path).name}, the checkpoint before it")
        return content


def alike(value: Any, example: Any) -> bool:
    """Return whether a value has the same structure, types and shapes as an example.

    A number may replace a 0-d tensor, because some optimizers store numbers. An integer in the structure must be from 0
    to 2⁶³ − 1.
    """
    if isinstance(example, Tensor):
        if isinstance(value, Tensor):
            return (value.dtype, value.shape, value.stride()) == (example.dtype, example.shape, example.stride())
        return example.dim() == 0 and type(value) in (int, float)
    if isinstance(example, dict):
        same_keys = isinstance(value, dict) and value.keys() == example.keys()
        return same_keys and all(alike(value[key], example[key]) for key in example)
    if isinstance(example, list):
        return isinstance(value, list) and len(value) == len(example) and all(map(alike, value, example))
    return type(value) is type(example) and (type(value) is not int or 0 <= value < 2**63)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal. Tensors inside the values are equal if all their numbers are equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)
