"""Pictures in folders: ``root/train/<class>/*.jpg`` and ``root/test/<class>/*.jpg``, or ``root/<class>/*.jpg``."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import MISSING
from torch import Tensor

from deeprob.config import number, register
from deeprob.data.augmentation import PicturesConfig
from deeprob.data.base import place
from deeprob.data.examples import Examples, Splits
from deeprob.data.picture_files import SUFFIXES, decoded
from deeprob.errors import UserError

_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What a name may not have that is to stand in tables and pictures: control characters, line breaks, broken UTF-8."""


@register("dataset", "image_folder")
@dataclass(kw_only=True, slots=True)
class ImageFolderConfig(PicturesConfig):
    """Class folders of pictures of one size, or of any size when `image_size` crops and scales them to a square."""

    root: str = MISSING
    image_size: int | None = number(None, minimum=1, optional=True)
    test_fraction: float = number(0.2, above=0, below=1)

    def load(self) -> Splits:
        """Read the folder, from its cache when there is one.

        Raises
        ------
        UserError
            Names the folder or the file that is missing, empty, no picture, damaged, or of another size.
        """
        root = place(self.root)
        listing = scan(root)
        inputs = decoded(root, listing.paths, f"{listing.fingerprint}-{self.image_size}", self.image_size)
        everything = Examples(inputs, listing.targets)
        if listing.train_count is not None:
            count = listing.train_count
            return self.finish(everything[:count], everything[count:], listing.classes)
        return self.hold_out(everything, self.test_fraction, listing.classes)


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of pictures.

    Attributes
    ----------
    paths
        Files relative to the root: those of the training split first, by class, by name.
    targets
        (N,) int64 class numbers.
    train_count
        How many of them are the training split's; None when the folder has no ``train`` and ``test``.
    fingerprint
        Changes when a file's name, size or time of change does.
    """

    paths: list[str]
    targets: Tensor
    classes: tuple[str, ...]
    train_count: int | None
    fingerprint: str


def scan(root: Path) -> Listing:
    """List a folder of pictures without opening them."""
    if root.is_file():
        raise UserError(f"dataset.root={root} is a file; unpack it and give the folder with the class folders")
    if not root.is_dir():
        raise UserError(f"dataset.root={root}: no such folder")
    top = _folders(root)
    split_names: list[str] = [name for name in ("train", "test") if name in top]
    if len(split_names) == 1:
        missing = "test" if split_names == ["train"] else "train"
        raise UserError(f"dataset.root={root} has {split_names[0]}/ but no {missing}/; it needs both, or class folders")
    parts = [_folders(root / name) for name in split_names] or [top]
    classes = parts[0]
    if len(classes) < 2:
        raise UserError(
            f"dataset.root={root / split_names[0] if split_names else root}: {len(classes)} class folder(s); "
            "it needs two or more"
        )
    if parts[-1] != classes:
        odd = sorted(set(parts[0]) ^ set(parts[1]))[0]
        raise UserError(f"dataset.root={root}: the class folder {odd}/ is in only one of train/ and test/")

    digest = hashlib.blake2b(digest_size=8)
    paths: list[str] = []
    counts: list[int] = []
    for part in split_names or ["."]:
        for name in classes:
            files = _pictures(root, Path(part) / name, digest)
            counts.append(len(files))
            paths += files
    targets = torch.arange(len(classes)).repeat(len(parts)).repeat_interleave(torch.tensor(counts))
    train_count = sum(counts[: len(classes)]) if split_names else None
    return Listing(paths, targets, tuple(classes), train_count, digest.hexdigest())


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is visible in a folder, in the order of names."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if _NO_NAME.search(entry.name):
                raise UserError(f"{entry.path}: a name with a control character, or not in UTF-8; rename it")
            if entry.is_symlink() and not Path(entry).exists():
                raise UserError(f"{entry.path}: a link to nothing; correct or remove it")
            yield entry


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _pictures(root: Path, folder: Path, digest: "hashlib.blake2b") -> list[str]:
    """List one class folder and add its files to the fingerprint."""
    names = []
    for entry in _entries(root / folder):
        if not entry.name.lower().endswith(SUFFIXES):
            raise UserError(f"{entry.path}: not a picture by its name ({', '.join(SUFFIXES)}); move it elsewhere")
        if not entry.is_file():
            raise UserError(f"{entry.path}: no file; a class folder has pictures alone, so move it elsewhere")
        stat = entry.stat()
        digest.update(f"{folder / entry.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        names.append(f"{folder}/{entry.name}")
    if not names:
        raise UserError(f"{root / folder}: a class folder with no picture; add some or remove the folder")
    return names
