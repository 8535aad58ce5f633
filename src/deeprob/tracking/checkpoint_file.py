"""Checkpoint files: whole or not at all, with a checksum, two generations of each; nothing in one is trusted."""

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
    """Write tensors and plain values; the file that was there becomes the generation before, ``NAME.prev.pt``."""
    buffer = io.BytesIO()  # torch.save to a file hides why writing failed
    torch.save(content, buffer)
    write_whole(path, seal(buffer.getvalue()), previous(path))


@torch.no_grad()
def copied(content: dict[str, Any]) -> dict[str, Any]:
    """Return plain values, and of each tensor a copy of its own: a view is saved with all that it is a view of."""
    copies: dict[str, Any] = tree_map_only(torch.Tensor, torch.clone, content)
    return copies


def previous(path: Path) -> Path:
    """Return the name of the generation before: ``last.prev.pt`` for ``last.pt``."""
    return path.with_suffix(f".prev{path.suffix}")


_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size * 2


def seal(archive: bytes) -> bytes:
    """Return what torch.save wrote, a ZIP archive, with its checksum as the archive's comment.

    A comment lies at the very end, after its length in two bytes, and torch.load does not mind it.
    """
    comment = _SEAL + hashlib.sha256(archive).hexdigest().encode()
    return archive[:-2] + len(comment).to_bytes(2, "little") + comment


def unseal(content: bytes) -> bytes:
    """Return what `seal` was given.

    Raises
    ------
    ValueError
        When a byte of it is another one.
    """
    archive = content[: -_SEAL_LENGTH - 2] + b"\0\0"
    if seal(archive) != content:
        raise ValueError("the checksum does not fit")
    return archive


def exists(path: Path) -> bool:
    """Tell whether there is any generation of a checkpoint."""
    return path.exists() or previous(path).exists()


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, on the CPU; runs no code from the file.

    Raises
    ------
    UserError
        When the file is missing, damaged or no checkpoint.
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
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error
    return content


_SHARED = 16  # tuples that are used again, as optimizers do with betas
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}


def inspect(archive: bytes) -> None:
    """Refuse what `save` never writes before torch.load takes time or memory for it.

    torch.load runs no code from a file, but it lets the file call a few functions with any arguments; here there are
    fewer: those that make plain tensors.

    Raises
    ------
    ValueError, RuntimeError
        Says what.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive))  # by which torch.load reads, so that both see the same
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
    """Return the size of all records of an archive once they are unpacked, in bytes."""
    if hasattr(reader, "get_record_size"):
        return sum(map(reader.get_record_size, reader.get_all_records()))
    try:  # torch 2.11 does not tell it
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            return sum(info.file_size for info in file.infolist())
    except (NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError("no archive") from error


def generations(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what can be read of a checkpoint and the generation before."""
    for each in (path, previous(path)):
        with suppress(UserError):
            yield load(each)


def load_newest(path: Path) -> dict[str, Any]:
    """Return a checkpoint, or the generation before if it is damaged, with a remark.

    Raises
    ------
    UserError
        When neither can be read; names the newest.
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
        note(f"{error}; using {previous(path).name}, the generation before")
        return content


def alike(value: Any, example: Any) -> bool:
    """Tell whether a value has the structure, types and shapes of an example, and no count in it is negative.

    A number may stand for a tensor without dimensions, as optimizers have it.
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
    """Tell whether two plain values are equal, tensors in them bit by bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)
