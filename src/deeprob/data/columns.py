"""A table in memory: named columns of numbers or of coded texts."""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deeprob.data.cells import MISSING, number_in, spelled
from deeprob.errors import UserError, did_you_mean

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

_EXACT = 2.0**53
"""From this size on, float64 does not hold every whole number."""


@dataclass(frozen=True)
class Column:
    """One column: either numbers, or texts that are coded as positions in `levels`.

    Attributes
    ----------
    numbers
        (N,) float64, with NaN where a cell is missing; None for texts.
    codes
        (N,) int32 positions in `levels`, with −1 where a cell is missing; None for numbers.
    levels
        The different texts. Texts that are equal numbers, such as ``1`` and ``1.0``, are one level.
    dates
        Whether the column holds dates, as a file says that knows the types of its columns.
    typed
        Whether the source says that the cells are texts, also where all of them are numbers, such as ``01``.
    unusable
        The error if the column is chosen; empty if it can be used.
    """

    numbers: Numbers | None = None
    codes: Codes | None = None
    levels: tuple[str, ...] = ()
    dates: bool = False
    typed: bool = False
    unusable: str = ""

    def __len__(self) -> int:
        values = self.codes if self.numbers is None else self.numbers
        assert values is not None
        return len(values)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """(N,) booleans: whether a cell is missing."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    def coded(self) -> "Column":
        """Return the column with numbers turned into levels, in ascending order.

        Raises
        ------
        ValueError
            If a number is too large to be told apart from its neighbours.
        """
        if self.numbers is None:
            return self
        values, codes = np.unique(self.numbers, return_inverse=True)
        there = int((~np.isnan(values)).sum())
        if np.abs(values[:there]).max(initial=0) >= _EXACT:
            raise ValueError("whole numbers from 2^53 on are not exact")
        return Column(
            codes=np.where(codes < there, codes, -1).astype(np.int32),
            levels=tuple(spelled(float(value)) for value in values[:there]),
        )

    def take(self, rows: npt.NDArray[np.intp]) -> "Column":
        """Return the cells of the given rows."""
        if self.numbers is not None:
            return Column(numbers=self.numbers[rows])
        assert self.codes is not None
        return Column(codes=self.codes[rows], levels=self.levels, dates=self.dates, typed=self.typed)


def column_of_texts(codes: Codes, levels: Sequence[str], decimal: str = ".") -> Column:
    """Return the column whose cells are ``levels[codes]``.

    If every cell is a number or missing, the column is one of numbers. ``-`` is a level, not a missing cell, beside a
    level ``+``.

    Parameters
    ----------
    codes
        (N,) int32 positions in `levels`; −1 where a cell is missing.
    levels
        The different texts. Blanks around them are removed.
    decimal
        The decimal sign.
    """
    texts = [level.strip() for level in levels]
    missing = MISSING - {"-"} if "+" in texts else MISSING
    values = np.array([number_in(text, decimal) for text in texts] + [np.nan])
    if all(text in missing or not np.isnan(value) for text, value in zip(texts, values[:-1], strict=True)):
        return Column(numbers=values[codes])
    merged: dict[str, int] = {}
    places = np.full(len(texts) + 1, -1, np.int32)
    for place, (text, value) in enumerate(zip(texts, values[:-1], strict=True)):
        if text not in missing:
            own = np.isnan(value) or abs(value) >= _EXACT
            name = text if own else spelled(float(value))
            places[place] = merged.setdefault(name, len(merged))
    return Column(codes=places[codes], levels=tuple(merged))


def column_of_cells(cells: Iterable[str], decimal: str = ".") -> Column:
    """Return the column of the given texts (see `column_of_texts`)."""
    index: dict[str, int] = {}
    codes = np.fromiter((index.setdefault(cell, len(index)) for cell in cells), np.int32)
    return column_of_texts(codes, list(index), decimal)


def _by_row(row: int) -> tuple[str, Sequence[str]]:
    return f"row {row}", ()


@dataclass(frozen=True)
class Table:
    """Named columns of the same length.

    Attributes
    ----------
    source
        The name of the table in messages, such as the path of its file.
    names
        The names of the columns. If the table has no names, they are ``0``, ``1``, ….
    columns
        The columns, in the order of `names`.
    header
        Whether the names are those of the data.
    notes
        What was found out about the file, such as the sign between cells.
    locate
        A function from the number of a row to its place, such as ``line 7``, and to the texts of its cells, if they are
        known.
    """

    source: str
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    header: bool = True
    notes: tuple[str, ...] = ()
    locate: Callable[[int], tuple[str, Sequence[str]]] = field(default=_by_row, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len({len(column) for column in self.columns}) > 1:
            raise UserError(f"{self.source}: columns of different lengths; expected one cell a row in each")

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """The place of each column by its name."""
        return {name: place for place, name in reversed(list(enumerate(self.names)))}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> Column:
        return self.columns[self._places[name]]

    def check(self, key: str, names: Iterable[str]) -> None:
        """Raise a `UserError` if a name is not that of a column; the message names the config key `key`."""
        for name in names:
            if name not in self:
                hint = did_you_mean(name, [known for known in self.names if known])
                raise UserError(f"dataset.{key}: {self.source} has no column {name}; {hint}")

    def fault(self, row: int, name: str, words: str, advice: str) -> UserError:
        """Return the error about one cell: ``FILE, line 7, column age: 'many' is no number; …``."""
        place, cells = self.locate(row)
        cell = f"{cells[self._places[name]][:40]!r}" if cells else "the cell"
        return UserError(f"{self.source}, {place}, column {name}: {cell} {words}; {advice}")


def setting(key: str, names: Sequence[str]) -> str:
    """Return how to type a key of ``dataset`` with names of columns, such as ``dataset.drop=[id]``.

    Names with other signs than letters, digits and a few more are quoted, and then the whole word is quoted too.
    """
    if all(re.fullmatch(r"[\w./+-]+", name, re.ASCII) for name in names):
        return f"dataset.{key}=[{','.join(names)}]"
    quoted = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return f"'dataset.{key}=[{quoted}]'"
