"""The user's own table: a CSV file, in which some columns are inputs and other columns are targets."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from omegaconf import MISSING
from torch import Tensor

from deeprob.config import choice, number, register, some_words
from deeprob.data.base import DatasetConfig, place
from deeprob.data.examples import Examples, Splits
from deeprob.errors import UserError, did_you_mean

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " "}


@register("dataset", "csv")
@dataclass(kw_only=True, slots=True)
class CSVConfig(DatasetConfig):
    """Your own table, a CSV file: some columns are predicted from the others.

    Attributes
    ----------
    root
        The file of the table, in UTF-8. Example: ``dataset=csv dataset.root=TABLE.csv``.
    task
        The kind of prediction. ``classification`` predicts one column of labels. ``regression`` predicts columns of
        numbers.
    targets
        The columns that are predicted. They are given by name, or by number from 0 if there is no header. null takes
        the last column. Example: ``dataset.targets=[kind]``.
    inputs
        The columns from which the targets are predicted. They are given like `targets`. null takes all other columns.
        Example: ``dataset.inputs=[length,width]``.
    header
        Whether the first line holds the names of the columns. With null, it holds them if no cell of the line is a
        number.
    delimiter
        The character between cells. ``auto`` takes the character that is most frequent in the first line.
    test_fraction
        The share of the rows that is drawn at random as the test split.
    """

    root: str = MISSING
    task: str = choice("classification", among=("classification", "regression"))
    targets: list[str] | None = some_words()
    inputs: list[str] | None = some_words()
    header: bool | None = None
    delimiter: str = choice("auto", among=("auto", *DELIMITERS))
    test_fraction: float = number(0.2, above=0, below=1)
    standardize_targets: bool = True

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers instead of classes."""
        return self.task == "regression"

    def load(self) -> Splits:
        """Read the table, and draw its splits.

        Raises
        ------
        UserError
            If the file or a column cannot be used. The message names the file, and the line and column of the error.
        """
        table = read_csv(place(self.root), self.delimiter, self.header)
        targets = [table.column("targets", name) for name in self.targets or table.names[-1:]]
        others = [name for place, name in enumerate(table.names) if place not in targets]
        inputs = [table.column("inputs", name) for name in self.inputs or others]
        if not inputs:
            raise UserError(f"dataset.targets: no column of {table.path} is left to predict from")
        if both := set(targets) & set(inputs):
            raise UserError(f"dataset.inputs: {table.names[min(both)]} is a target; a column is one or the other")
        numbers = table.numbers(inputs)
        columns = table.header_of(inputs)
        if self.regression:
            splits = self.hold_out(Examples(numbers, table.numbers(targets)), self.test_fraction, ())
            return replace(splits, columns=columns, target_columns=table.header_of(targets))
        if len(targets) > 1:
            raise UserError(
                "dataset.targets: classes are given by one column; to predict numbers, set dataset.task=regression"
            )
        labels, classes = table.labels(targets[0])
        return replace(self.hold_out(Examples(numbers, labels), self.test_fraction, classes), columns=columns)


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file.

    Attributes
    ----------
    path
        The file.
    names
        The names of the columns. If the file has no header, they are ``0``, ``1``, ….
    rows
        The cells of each row, without leading and trailing spaces.
    lines
        The line number in the file at which each row ends. A cell in quotes can contain line breaks, so a row can have
        several lines.
    header
        Whether the first row of the file holds the names of the columns.
    """

    path: Path
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    header: bool

    def column(self, key: str, name: str) -> int:
        """Return the position of the column `name`; an error message names the config key `key`."""
        if name not in self.names:
            raise UserError(f"dataset.{key}: {self.path} has no column {name}; {did_you_mean(name, self.names)}")
        return self.names.index(name)

    def header_of(self, columns: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the columns at positions `columns`, or an empty tuple if the file has no header."""
        return tuple(self.names[column] for column in columns) if self.header else ()

    def numbers(self, columns: Sequence[int]) -> Tensor:
        """Return the numbers (N, K) in the K columns at positions `columns`, as float64.

        Raises
        ------
        UserError
            If a cell is not a number, or its number is not finite as float32.
        """
        values = torch.tensor([[_number(row[column]) for column in columns] for row in self.rows], dtype=torch.float64)
        wrong = (~values.float().isfinite()).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            cell = self.rows[row][columns[column]]
            raise UserError(
                f"{self.path}, line {self.lines[row]}, column {self.names[columns[column]]}: "
                f"{cell[:40]!r} is not a finite number; correct it, or leave the row or the column out"
            )
        return values

    def labels(self, column: int) -> tuple[Tensor, tuple[str, ...]]:
        """Return the class number of each row (N,), and the sorted names of the classes.

        If all names are numbers, they are sorted by value: ``9`` comes before ``10``.

        Raises
        ------
        UserError
            If a cell is empty, if there is only one class, or if there are too many classes.
        """
        cells = [row[column] for row in self.rows]
        for cell, line in zip(cells, self.lines, strict=True):
            if not cell:
                raise UserError(f"{self.path}, line {line}, column {self.names[column]}: empty; expected a class")
        names = set(cells)
        numeric = all(math.isfinite(_number(name)) for name in names)
        classes = tuple(sorted(names, key=lambda name: (_number(name) if numeric else 0.0, name)))
        if len(classes) < 2:
            raise UserError(f"{self.path}: column {self.names[column]} has one class only, {classes[0]}")
        if len(classes) > max(2, len(cells) // 2):
            raise UserError(
                f"{self.path}: column {self.names[column]} has {len(classes)} different values in {len(cells)} rows, "
                "too many for classes; name another column in dataset.targets, or set dataset.task=regression"
            )
        places = {name: place for place, name in enumerate(classes)}
        return torch.tensor([places[cell] for cell in cells]), classes


def read_csv(path: Path, delimiter: str, header: bool | None) -> Table:
    """Read a CSV file.

    Parameters
    ----------
    path
        The file.
    delimiter, header
        See `CSVConfig`.

    Raises
    ------
    UserError
        If the file is not a table with at least two columns and two rows.
    """
    rows, lines = _rows(path, delimiter)
    if not rows:
        raise UserError(f"{path}: empty; expected a table")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise UserError(f"{path}, line {line}: {len(row)} cells, but line {lines[0]} has {len(rows[0])}")
    if len(rows[0]) < 2:
        raise UserError(
            f"{path}: only one column; a table needs two or more (dataset.delimiter sets the sign between them)"
        )
    named = all(math.isnan(_number(cell)) for cell in rows[0]) if header is None else header
    names = tuple(rows[0]) if named else tuple(str(place) for place in range(len(rows[0])))
    if named:
        del rows[0], lines[0]
        for place, name in enumerate(names):
            if not name or name in names[:place]:
                fault = f"the name {name} again" if name else "no name"
                raise UserError(f"{path}: column {place + 1} has {fault}; each column needs its own name")
    if len(rows) < 2:
        raise UserError(f"{path}: {len(rows)} row(s) of data; it needs two or more")
    return Table(path, names, rows, lines, named)


def _rows(path: Path, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Return the cells of all rows that are not empty, and the line number at which each row ends."""
    if path.exists() and not path.is_file():
        raise UserError(f"dataset.root={path}: no file; expected a CSV file")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"dataset.root={path}: {error.strerror}; expected a CSV file") from error
    except UnicodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path}: not a text file in UTF-8; save the table as CSV in UTF-8")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = DELIMITERS.get(delimiter) or max(DELIMITERS.values(), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
    return rows, lines


def _number(cell: str) -> float:
    """Return the number in a cell, or NaN if the cell does not contain a number."""
    try:
        return math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
