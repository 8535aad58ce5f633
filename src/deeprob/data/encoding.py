"""Columns of a table become inputs of a network: numbers stay, categories become one-hot, missing cells are filled.

An encoding is fitted on the training rows alone, and then encodes any rows with the same columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob.data.cells import is_number
from deeprob.data.columns import Column, Numbers, Table, setting
from deeprob.errors import UserError, first_few

Rows = npt.NDArray[np.int64]

RARE_COUNT, RARE_SHARE = 10, 0.01
"""A level is rare if fewer than `RARE_COUNT` training rows have it, and less than the share `RARE_SHARE` of them."""

MOST_LEVELS = 1000
"""The most levels of one category."""

SET_MISSING = "set dataset.missing=mean or dataset.missing=indicator"
"""What helps against missing cells of a table to train on."""

_BLOCK = 2**12  # rows that are encoded together, so that they stay in the processor's cache


@dataclass(frozen=True)
class NumberInput:
    """A column of numbers.

    Attributes
    ----------
    name
        The name of the column.
    mean, deviation
        The mean and the standard deviation of its numbers in the training rows.
    fill
        Whether missing cells become the mean.
    indicator
        Whether one more input, ``NAME missing``, is 1 where the cell is missing, and 0 elsewhere.
    """

    name: str
    mean: float
    deviation: float
    fill: bool = False
    indicator: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    @classmethod
    def fit(cls, name: str, table: Table, rows: Rows, missing: str, weights: Numbers | None = None) -> "NumberInput":
        """Measure the numbers of a column in the training rows of a table, which may have weights."""
        column = table[name]
        assert column.numbers is not None
        cells = column.numbers[rows]
        known = ~np.isnan(cells)
        there = cells[known]
        if not len(there):
            raise UserError(
                f"{table.source}: column {name} has no number in the training rows; set {setting('drop', [name])}"
            )
        low, extent = there.min(), max(there.max() - there.min(), np.finfo(np.float64).tiny)
        share = (there - low) / extent  # so that no sum overflows
        mean, deviation = share.mean(), share.std()
        if weights is not None:
            mean = np.average(share, weights=weights[known])
            deviation = np.sqrt(np.average((share - mean) ** 2, weights=weights[known]))
        return cls(
            name,
            float(low + extent * mean),
            float(extent * deviation),
            missing != "error",
            missing == "indicator" and len(there) < len(cells),
        )

    def encode(self, column: Column, rows: Rows, out: npt.NDArray[np.float64]) -> None:
        """Write the inputs (n, 1 or 2) of some rows into `out`."""
        assert column.numbers is not None
        cells = column.numbers[rows]
        out[:, 0] = cells
        if self.fill:
            empty = np.isnan(cells)
            out[empty, 0] = self.mean
            if self.indicator:
                out[:, 1] = empty


@dataclass(frozen=True)
class CategoryInput:
    """A column of categories, with one input for each level: 1 in the rows with this level, and 0 elsewhere.

    Attributes
    ----------
    name
        The name of the column.
    levels
        The levels that have an input of their own, sorted.
    counts
        The number of training rows of each level.
    pooled
        The rare levels, which share the input ``NAME=other`` with levels that no training row has. If there are no rare
        levels, there is no such input, and a level that no training row has gives 0 in all inputs of the column.
    missing
        Whether there is an input ``NAME missing``.
    """

    name: str
    levels: tuple[str, ...]
    counts: tuple[int, ...]
    pooled: tuple[str, ...] = ()
    missing: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        levels = (*self.levels, *(["other"] if self.pooled else []))
        return (*(f"{self.name}={level}" for level in levels), *([f"{self.name} missing"] if self.missing else []))

    @classmethod
    def fit(cls, name: str, table: Table, rows: Rows, weights: Numbers | None = None) -> "CategoryInput":
        """Count the levels of a column in the training rows of a table.

        Levels are rare if fewer than 10 training rows, and less than 1 % of them, have the level. Rows count as often
        as their weights say. Two or more rare levels are pooled.
        """
        column = table[name].coded()
        codes = column.codes
        assert codes is not None
        counts = np.bincount(codes[rows] + 1, minlength=len(column.levels) + 1)
        level_counts = dict(zip(column.levels, counts[1:].tolist(), strict=True))
        seen = sorted(level for level, count in level_counts.items() if count)
        sizes, total = level_counts, float(len(rows))
        if weights is not None:
            sums = np.bincount(codes[rows] + 1, weights, minlength=len(column.levels) + 1)
            sizes, total = dict(zip(column.levels, sums[1:].tolist(), strict=True)), float(weights.sum())
        least = min(RARE_COUNT, RARE_SHARE * total)
        rare = [level for level in seen if sizes[level] < least]
        pooled = tuple(rare) if len(rare) > 1 else ()
        levels = tuple(level for level in seen if level not in set(pooled))
        if len(levels) > MOST_LEVELS:
            raise UserError(
                f"{table.source}: column {name} has {len(levels)} categories, more than {MOST_LEVELS}; "
                f"set {setting('drop', [name])}"
            )
        ordered = in_order(levels)
        return cls(name, ordered, tuple(level_counts[level] for level in ordered), pooled, bool(counts[0]))

    def unseen(self, column: Column, rows: Rows) -> int:
        """Return the number of cells whose level no training row has."""
        known = {*self.levels, *self.pooled}
        new = np.array([level not in known for level in column.levels] + [not self.missing])
        assert column.codes is not None
        return int(new[column.codes[rows]].sum())

    def encode(self, column: Column, rows: Rows, out: npt.NDArray[np.float64]) -> None:
        """Write the inputs (n, K) of some rows into `out`."""
        assert column.codes is not None
        place = {level: number for number, level in enumerate(self.levels)}
        other = len(self.levels) if self.pooled else -1
        missing = len(self.names) - 1 if self.missing else other
        places = np.array([place.get(level, other) for level in column.levels] + [missing])[column.codes[rows]]
        out[:] = 0
        there = np.flatnonzero(places >= 0)
        out[there, places[there]] = 1


@dataclass(frozen=True)
class Encoding:
    """What the columns of a table became.

    Attributes
    ----------
    inputs
        The columns that are inputs.
    targets
        The names of the columns that are predicted.
    classes
        The names of the classes; empty for regression.
    counts
        The number of training rows of each class.
    left_out
        The names of the columns that are not used.
    """

    inputs: tuple[NumberInput | CategoryInput, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the D inputs, such as ``age``, ``age missing``, ``color=red``, ``color=other``."""
        return tuple(name for column in self.inputs for name in column.names)

    @property
    def plain(self) -> bool:
        """Whether each column is one input."""
        return all(isinstance(column, NumberInput) and not column.indicator for column in self.inputs)

    def encode(self, table: Table, rows: Rows | None = None) -> Tensor:
        """Return the inputs (n, D) of some rows of a table with the same columns, as float64.

        Raises
        ------
        UserError
            If the table lacks a column, or if a column of numbers has texts or missing cells.
        """
        needed = [column.name for column in self.inputs]
        if missing := [name for name in needed if name not in table]:
            raise UserError(f"{table.source}: no column {first_few(missing)}; the run takes {first_few(needed, 20)}")
        columns = [usable_column(table, column) for column in self.inputs]
        rows = np.arange(len(table)) if rows is None else rows
        inputs = np.empty((len(rows), len(self.names)))
        for start in range(0, len(rows), _BLOCK):
            chosen, end = rows[start : start + _BLOCK], 0
            for column, cells in zip(self.inputs, columns, strict=True):
                begin, end = end, end + len(column.names)
                column.encode(cells, chosen, inputs[start : start + _BLOCK, begin:end])
        return torch.from_numpy(inputs)

    def unseen(self, table: Table, rows: Rows) -> dict[str, int]:
        """Return the number of cells whose level no training row has, for each column that has any."""
        counts = {
            column.name: column.unseen(table[column.name].coded(), rows)
            for column in self.inputs
            if isinstance(column, CategoryInput)
        }
        return {name: count for name, count in counts.items() if count}

    def to_json(self) -> dict[str, Any]:
        """Return the content as lists, numbers and texts, from which `from_json` makes an equal object."""
        kinds = {NumberInput: "number", CategoryInput: "category"}
        inputs = [{"kind": kinds[type(column)], **vars(column)} for column in self.inputs]
        return {name: list(value) for name, value in {**vars(self), "inputs": inputs}.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Encoding":
        """Return the object of `to_json`."""
        kinds: dict[str, type[NumberInput | CategoryInput]] = {"number": NumberInput, "category": CategoryInput}

        def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: tuple(value) if isinstance(value, list | tuple) else value for name, value in values.items()}

        columns = [dict(column) for column in content["inputs"]]
        inputs = tuple(kinds[column.pop("kind")](**fields_of(column)) for column in columns)
        return cls(**{**fields_of(content), "inputs": inputs})


def in_order(levels: Sequence[str]) -> tuple[str, ...]:
    """Return levels in ascending order: by their numbers if all are numbers, else as texts."""
    numeric = all(map(is_number, levels))
    return tuple(sorted(levels, key=lambda level: (float(level) if numeric else 0.0, level)))


def usable_column(table: Table, column: NumberInput | CategoryInput) -> Column:
    """Return a column of a table in the kind that an encoding needs.

    Raises
    ------
    UserError
        If a column of numbers has texts, or missing cells that are not filled. The message names the cell.
    """
    found = table[column.name]
    if isinstance(column, CategoryInput):
        return found.coded()
    if found.numbers is None:
        row = first_text(found)
        raise table.fault(row, column.name, "is not a finite number", "correct it, or leave the row out")
    if not column.fill and (empty := np.flatnonzero(found.missing)).size:
        raise missing_fault(table, int(empty[0]), column.name, "train again with dataset.missing=mean")
    return found


def first_text(column: Column) -> int:
    """Return the first row whose cell is neither a number nor missing; of texts that are numbers, the first."""
    assert column.codes is not None
    texts = np.array([not is_number(level) for level in column.levels] + [False])
    found = np.flatnonzero(texts[column.codes])
    return int((found if found.size else np.flatnonzero(column.codes >= 0))[0])


def missing_fault(table: Table, row: int, name: str, remedy: str = SET_MISSING) -> UserError:
    """Return the error about a missing cell. `remedy` is what helps besides filling it in or leaving the row out."""
    advice = f"fill it in, leave the row out, or {remedy}" if remedy else "fill it in, or leave the row out"
    return table.fault(row, name, "is missing", advice)


def fit_inputs(
    table: Table,
    names: Sequence[str],
    categories: frozenset[str],
    missing: str,
    rows: Rows,
    weights: Numbers | None = None,
) -> tuple[NumberInput | CategoryInput, ...]:
    """Fit the inputs of an encoding on the training rows.

    Parameters
    ----------
    table, names
        The table, and the names of the columns that are inputs.
    categories
        The names of those columns that are categories.
    missing
        What missing cells become: ``error``, ``mean`` or ``indicator``.
    rows
        The training rows.
    weights
        The weight of each training row; None for ones.
    """
    return tuple(
        CategoryInput.fit(name, table, rows, weights)
        if name in categories
        else NumberInput.fit(name, table, rows, missing, weights)
        for name in names
    )


def words_about(column: CategoryInput) -> str:
    """Return the levels of a category with their counts in the training rows, such as ``red 10, blue 9, other``."""
    known = [f"{level} {count}" for level, count in zip(column.levels, column.counts, strict=True)]
    rest = [f"other ({len(column.pooled)} rare)"] if column.pooled else []
    return first_few([*known, *rest, *(["missing"] if column.missing else [])], 8)
