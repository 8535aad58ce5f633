"""List the splits, the classes and the files of a folder of pictures, without opening a file."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deeprob.data.picture_cache import Files, stamp
from deeprob.data.picture_files import SUFFIXES
from deeprob.errors import UserError
from deeprob.tracking.console import note

_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line breaks and broken UTF-8: not allowed in names, because tables and pictures show names."""

_SPLIT_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_MISNAMED = {"training": "train", "testing": "test"}


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes
    ----------
    files
        The N files: first the training split, then validation, then test. Each split is sorted by class, then by name.
    targets
        (N,) int64: the class number of each file.
    classes
        The names of the classes.
    splits
        The slice of `files` that belongs to each split. The keys are ``train``, ``test`` and, if it exists, ``val``. If
        the class folders are directly in the folder, `splits` is empty.
    """

    files: Files
    targets: Tensor
    classes: tuple[str, ...]
    splits: Mapping[str, slice]


def scan(root: Path) -> Listing:
    """List the pictures of a folder without opening their files; print a note about folders and pictures not used.

    Raises
    ------
    UserError
        If a folder or a file is missing, empty or in the wrong place, or if a file name does not end in one of
        `SUFFIXES`. The message names the folder or the file.
    """
    if root.is_file():
        raise UserError(f"dataset.root={root} is a file; unpack it and give the folder with the class folders")
    if not root.is_dir():
        raise UserError(f"dataset.root={root}: no such folder")
    folder_of = split_folders(root)
    classes = _classes(root, list(folder_of.values()))
    now = time.time_ns()
    paths: list[str] = []
    stamps: list[tuple[int, ...]] = []
    targets: list[int] = []
    splits = {}
    for split, folder in folder_of.items() or [("", "")]:
        start = len(paths)
        for number, name in enumerate(classes):
            for entry in _pictures(root / folder / name):
                paths.append(f"{folder}/{name}/{entry.name}".lstrip("/"))
                stamps.append(stamp(entry.stat(), now))
                targets.append(number)
        splits[split] = slice(start, len(paths))
    files = Files(root, paths, torch.from_numpy(np.array(stamps, np.int64)))
    return Listing(files, torch.tensor(targets), tuple(classes), splits if folder_of else {})


def split_folders(root: Path) -> dict[str, str]:
    """Return the folder of each split, such as ``{"train": "train", "val": "valid", "test": "test"}``.

    If the class folders are directly in the root, return an empty dictionary. A folder such as ``valid`` is a class,
    not a split, if the root has no ``train`` and no ``test``, and the folder has no subfolders.

    Raises
    ------
    UserError
        If the folder of a split has a wrong name, exists twice, or is missing. The message names the folder.
    """
    top = _folders(root)
    apart = "train" in top or "test" in top
    found: dict[str, str] = {}
    for name in top:
        split = (_SPLIT_OF | _MISNAMED).get(name.lower())
        if split is None or not (apart or _folders(root / name)):
            continue
        if name not in _SPLIT_OF:
            raise UserError(
                f"dataset.root={root}: {name}/ is named like a split; rename it to {split}/, or move it elsewhere"
            )
        if split in found:
            raise UserError(f"dataset.root={root} has {found[split]}/ and {name}/; keep one as the validation split")
        found[split] = name
    if missing := [f"{split}/" for split in ("train", "test") if found and split not in found]:
        there = " and ".join(f"{name}/" for name in found.values())
        raise UserError(
            f"dataset.root={root} has {there} but no {' and no '.join(missing)}; it needs train/ and test/, "
            "or only class folders"
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _classes(root: Path, folders: list[str]) -> list[str]:
    """Return the names of the classes; print a note about folders and pictures that are not used.

    Raises
    ------
    UserError
        If there are fewer than two classes, or if the splits have different classes.
    """
    top, unused = _folders(root), _stray(root)
    if folders:
        unused = [f"{name}/" for name in top if name not in folders] + unused
        unused += [f"{folder}/{name}" for folder in folders for name in _stray(root / folder)]
    first, *others = folders or ["."]
    classes = _folders(root / first)
    if len(classes) < 2:
        raise UserError(f"dataset.root={root / first}: {len(classes)} class folder(s); it needs two or more")
    for other in others:
        if odd := sorted(set(classes) ^ set(_folders(root / other))):
            raise UserError(f"dataset.root={root}: the class folder {odd[0]}/ is in only one of {first}/ and {other}/")
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        note(f"dataset.root={root}: not in a split or class, and so not used: {', '.join(unused[:3])}{more}")
    return classes


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files and folders in a folder, sorted by name, except names that start with a dot."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if _NO_NAME.search(entry.name):
                raise UserError(f"{entry.path}: a name with a control character, or not in UTF-8; rename it")
            if entry.is_symlink() and not Path(entry).exists():
                raise UserError(f"{entry.path}: a broken link; correct or remove it")
            yield entry


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _stray(folder: Path) -> list[str]:
    """Return the names of the pictures that are directly in `folder`, outside of any class folder."""
    return [entry.name for entry in _entries(folder) if entry.is_file() and _is_picture(entry)]


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(SUFFIXES)


def _pictures(folder: Path) -> list[os.DirEntry[str]]:
    """Return the pictures in a class folder; raise a `UserError` if it is empty or has other content."""
    entries = list(_entries(folder))
    for entry in entries:
        if not _is_picture(entry):
            raise UserError(
                f"{entry.path}: its name is not that of a picture ({', '.join(SUFFIXES)}); move it elsewhere"
            )
        if not entry.is_file():
            raise UserError(f"{entry.path}: not a file; a class folder has only pictures, so move it elsewhere")
    if not entries:
        raise UserError(f"{folder}: a class folder with no picture; add some or remove the folder")
    return entries
