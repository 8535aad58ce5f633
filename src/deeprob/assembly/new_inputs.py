"""Inputs that no run has seen yet: the rows of a table without targets, or picture files."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.data import CSVConfig, Encoding, ImageFolderConfig
from deeprob.data.columns import Table
from deeprob.data.dialect import Asked
from deeprob.data.encoding import NumberInput
from deeprob.data.picture_files import SUFFIXES, decode, decoding
from deeprob.data.table_file import read_table_file
from deeprob.data.tabular import check_numbers
from deeprob.errors import UserError, first_few
from deeprob.tracking.console import note


class NewInputs(ABC):
    """N inputs for one or several runs, which are read in batches.

    Attributes
    ----------
    label
        What tells the inputs apart: ``row`` or ``file``.
    unit
        The name of the inputs, in the plural.
    batch_size
        The number of inputs that are read together.
    """

    label: ClassVar[str]
    unit: ClassVar[str]
    batch_size: ClassVar[int]

    @abstractmethod
    def __len__(self) -> int:
        """Return N."""

    @abstractmethod
    def names(self, batch: slice) -> Sequence[int | str]:
        """Return the numbers or names of some inputs."""

    @abstractmethod
    def read(self, run: Run, batch: slice) -> Tensor:
        """Return some inputs as a run takes them: (n, D), or (n, C, H, W).

        Raises
        ------
        UserError
            If an input cannot be read. The message names it.
        """

    def batches(self) -> list[slice]:
        """Return the slices in which the inputs are read."""
        return [slice(start, min(start + self.batch_size, len(self))) for start in range(0, len(self), self.batch_size)]


def new_inputs(path: Path, runs: Sequence[Run]) -> NewInputs:
    """Return the inputs in a file or folder: a table, a picture, or a folder of pictures at any depth.

    Raises
    ------
    UserError
        If there is no such file, or if it is not what the runs take. The message names the file.
    """
    if not path.exists():
        raise UserError(f"input={path}: no such file or folder")
    pictures = {len(run.predictor.input_shape) == 3 for run in runs}
    if len(pictures) > 1:
        raise UserError("runs: some take pictures and others do not; fusion needs runs of one dataset")
    if pictures == {True}:
        return PictureFiles(path, runs)
    if path.is_dir():
        raise UserError(f"input={path}: a folder; {runs[0].directory} takes a table: a CSV, Parquet or NPZ file")
    return TableRows(path, runs)


class TableRows(NewInputs):
    """The rows of a table, numbered from 0. The whole table is in memory, and its rows are encoded in batches.

    The columns are found by their names, in any order. Columns that no run takes are told, except targets.

    Parameters
    ----------
    path
        The file.
    runs
        The runs that will read the rows.
    """

    label, unit, batch_size = "row", "rows", 2**14

    def __init__(self, path: Path, runs: Sequence[Run]) -> None:
        self.tables = [_table_for(run, path) for run in runs]
        self.run_places = {id(run): place for place, run in enumerate(runs)}
        used = {name for run in runs if run.encoding for name in _names_of(run.encoding)}
        unused = [name for name in self.tables[0].names if name not in used]
        if used and unused:
            note(f"{path}: not used: {first_few([name or 'a column without a name' for name in unused])}")
        unseen: dict[str, int] = {}
        for run, table in zip(runs, self.tables, strict=True):
            if run.encoding is not None:
                unseen |= run.encoding.unseen(table, np.arange(len(table)))
        if unseen:
            words = first_few([f"{name} {count}" for name, count in unseen.items()])
            note(f"{path}: {words} cell(s) with levels that no training row has")

    def __len__(self) -> int:
        return len(self.tables[0])

    def names(self, batch: slice) -> Sequence[int]:
        """Return the numbers of rows."""
        return range(batch.start, batch.stop)

    def read(self, run: Run, batch: slice) -> Tensor:
        """Return the inputs (n, D) of rows."""
        table, rows = self.tables[self.run_places[id(run)]], np.arange(batch.start, batch.stop)
        if run.encoding is not None:
            return run.encoding.encode(table, rows)
        numbers = [column.numbers[rows] for column in table.columns if column.numbers is not None]
        return torch.from_numpy(np.stack(numbers, 1))


def _table_for(run: Run, path: Path) -> Table:
    """Return the table in a file, with the names of the columns that a run takes. Its cells are checked."""
    encoding, dataset = run.encoding, run.config.dataset
    asked = replace(dataset.asked if isinstance(dataset, CSVConfig) else Asked(), least=1)
    count = run.predictor.input_shape[0]
    if encoding is None:
        table = read_table_file(path, asked, "input")
        if len(table.names) != count or any(column.numbers is None for column in table.columns):
            raise UserError(f"{path}: {run.directory} takes tables of {count} columns of numbers, without targets")
        check_numbers(table, table.names, missing=False, remedy="")
        return table
    if asked.header is None and not _numbered(encoding):
        asked = replace(asked, header=True)
    table = _named(read_table_file(path, asked, "input"), encoding)
    needed = [column.name for column in encoding.inputs]
    if missing := [name for name in needed if name not in table]:
        raise UserError(f"{path}: no column {first_few(missing)}; {run.directory} takes {first_few(needed, 20)}")
    filled = {column.name: isinstance(column, NumberInput) and column.fill for column in encoding.inputs}
    encoding.encode(table, np.arange(0))  # which checks the kinds of the columns
    numbers = [column.name for column in encoding.inputs if isinstance(column, NumberInput)]
    check_numbers(table, [name for name in numbers if filled[name]], missing=True)
    check_numbers(table, [name for name in numbers if not filled[name]], missing=False)
    return table


def _names_of(encoding: Encoding) -> list[str]:
    """Return the names of the columns that a run takes, or predicts."""
    return [*(column.name for column in encoding.inputs), *encoding.targets]


def _numbered(encoding: Encoding) -> bool:
    """Return whether the columns of the training table seem to have no names, but numbers from 0."""
    names = {*_names_of(encoding), *encoding.left_out}
    return names == {str(place) for place in range(len(names))}


def _named(table: Table, encoding: Encoding) -> Table:
    """Return a table without names with the numbers that its columns had in the training table.

    The table may lack the targets, or have the inputs alone.
    """
    if table.header or not _numbered(encoding):
        return table
    inputs = [column.name for column in encoding.inputs]
    every = sorted((*_names_of(encoding), *encoding.left_out), key=int)
    without_targets = [name for name in every if name not in encoding.targets]
    for names in (every, without_targets, sorted(inputs, key=int)):
        if len(names) == len(table.names):
            return Table(table.source, tuple(names), table.columns, False, table.notes, table.locate)
    counts = " or ".join(map(str, sorted({len(every), len(without_targets), len(inputs)})))
    raise UserError(f"{table.source}: {len(table.names)} columns without names; expected {counts}")


class PictureFiles(NewInputs):
    """Picture files, named relative to the folder in which they are. Only one batch is in memory at a time.

    A picture is cropped and scaled as the dataset of the run does it (``dataset.image_size``).

    Parameters
    ----------
    path
        A picture, or a folder with pictures at any depth.
    runs
        The runs that will read the pictures.
    """

    label, unit, batch_size = "file", "pictures", 256

    def __init__(self, path: Path, runs: Sequence[Run]) -> None:
        self.root = path if path.is_dir() else path.parent
        found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(self.root).parts)]
        self.files = [file for file in found if file.name.lower().endswith(SUFFIXES)]
        if not self.files:
            raise UserError(f"input={path}: no picture ({', '.join(SUFFIXES)}), and {runs[0].directory} takes pictures")
        others = [str(file.relative_to(path)) for file in found if file not in set(self.files)]
        if others:
            note(f"{path}: not pictures, and so not used: {first_few(others, 3)}")

    def __len__(self) -> int:
        return len(self.files)

    def names(self, batch: slice) -> Sequence[str]:
        """Return the names of files."""
        return [str(file.relative_to(self.root)) for file in self.files[batch]]

    def read(self, run: Run, batch: slice) -> Tensor:
        """Return pictures (n, 3, H, W) in uint8."""
        dataset, shape = run.config.dataset, run.predictor.input_shape
        size = dataset.image_size if isinstance(dataset, ImageFolderConfig) else None

        def pixels(file: Path) -> Tensor:
            picture = decode(file, size)[1]
            assert picture is not None
            if picture.shape != shape:
                raise UserError(
                    f"{file}: {picture.shape[2]}×{picture.shape[1]} pixels, and {run.directory} takes "
                    f"{shape[2]}×{shape[1]}; scale the picture, or train with dataset.image_size={shape[1]}"
                )
            return torch.from_numpy(picture.copy())

        with ThreadPoolExecutor(os.cpu_count()) as pool, decoding():
            return torch.stack(list(pool.map(pixels, self.files[batch])))
