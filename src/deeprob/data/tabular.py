"""Choose the columns of a table: which are inputs, which of these are categories, and which are predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deeprob.data.cells import is_date, is_number, looks_like_number
from deeprob.data.columns import Table, setting
from deeprob.data.encoding import SET_MISSING, first_text, in_order, missing_fault
from deeprob.errors import UserError, first_few

_FEW = 20
"""A column of texts with at most this many different texts is never taken for one of names or free text."""

_LARGEST = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Attributes
    ----------
    inputs, targets, left_out
        The names of the columns that are inputs, that are predicted, and that are not used.
    weights
        The name of the column with the weights of the rows, if there is one.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    left_out: tuple[str, ...]
    weights: tuple[str, ...] = ()


def choose_roles(
    table: Table,
    targets: Sequence[str] | None,
    inputs: Sequence[str] | None,
    drop: Sequence[str] | None,
    weights: str | None = None,
) -> Roles:
    """Choose the columns.

    Without `targets`, the last column that is not dropped is predicted. Without `inputs`, all other columns with a name
    are inputs, except those in `drop`. The column `weights` is neither.

    Raises
    ------
    UserError
        If a name is not that of a column, if a name is given for two purposes, or if two columns have one name.
    """
    seen: set[str] = set()
    for place, name in enumerate(table.names):
        if name and name in seen:
            raise UserError(
                f"{table.source}: column {place + 1} has the name {name} again; each column needs its own name"
            )
        seen.add(name)
    weighting = () if weights is None else (weights,)
    for key, names in (("targets", targets), ("inputs", inputs), ("drop", drop), ("weights", weighting)):
        table.check(key, names or ())
    if weights in {*(targets or ()), *(inputs or ()), *(drop or ())}:
        raise UserError(f"dataset.weights: {weights} is a target, an input or dropped; a column has one purpose")
    dropped = {*(drop or ()), *weighting}
    named = [name for name in table.names if name and name not in dropped]
    if not named:
        raise UserError(f"dataset.drop: no column of {table.source} is left")
    wanted = tuple(dict.fromkeys(targets or named[-1:]))
    predicted = set(wanted)
    chosen = tuple(name for name in named if name not in predicted) if inputs is None else tuple(dict.fromkeys(inputs))
    for name in chosen:
        if name in predicted:
            raise UserError(f"dataset.inputs: {name} is a target; a column is one or the other")
    for name in (*chosen, *wanted):
        if name in dropped:
            raise UserError(f"dataset.drop: {name} is a target or an input; a column is one or the other")
    if not chosen:
        raise UserError(f"dataset.targets: no column of {table.source} is left to predict from")
    used = {*chosen, *wanted, *weighting}
    unused = tuple(name or "a column without a name" for name in table.names if name not in used)
    for name in (*wanted, *chosen, *weighting):
        if table[name].unusable:
            raise UserError(table[name].unusable)
    return Roles(chosen, wanted, unused, weighting)


def categories_among(
    table: Table, inputs: Sequence[str], listed: Sequence[str] | None, dropped: Sequence[str] | None = None
) -> frozenset[str]:
    """Return the names of the inputs that are categories: those in `listed`, and those with a cell of text.

    `dropped` are the columns that the user has dropped already, for messages.

    Raises
    ------
    UserError
        If a column of texts seems to be something else: numbers with a mistake, dates, names or free text. The message
        names the column, and what to set if the column is one of categories.
    """
    names = [name for name in listed or () if name != "auto" or "auto" in table.names]
    table.check("categorical", names)
    for name in names:
        if name not in inputs:
            raise UserError(f"dataset.categorical: {name} is not an input; name only inputs")
        try:
            table[name].coded()
        except ValueError as error:
            raise UserError(f"dataset.categorical: {table.source}, column {name}: {error}; drop the column") from error
    texts = [name for name in inputs if name not in names and table[name].numbers is None]
    unusable = [name for name in texts if _fault_of(table, name, "")]
    if unusable:
        drop, categorical = setting("drop", [*(dropped or ()), *unusable]), setting("categorical", [*names, *unusable])
        fault = _fault_of(table, unusable[0], f"set {drop}, or {categorical} if it is a category")
        assert fault is not None
        if len(unusable) == 1:
            raise fault
        raise UserError(f"{fault}; {first_few(unusable[1:])} cannot be used either")
    return frozenset((*names, *texts))


def _fault_of(table: Table, name: str, either: str) -> UserError | None:
    """Return the error about texts that seem to be no categories; None if they may be some.

    `either` says what to set.
    """
    column = table[name]
    assert column.codes is not None
    place = f"{table.source}: column {name}"
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
    numeric = np.array([is_number(level) for level in column.levels])
    texts = [level for level, number in zip(column.levels, numeric, strict=True) if not number]
    if column.dates or (texts and all(map(is_date, texts))):
        return UserError(f"{place} has dates or times, such as {column.levels[0][:40]}; {either}")
    suspects = () if column.typed and not texts else column.levels
    for level in suspects:
        if looks_like_number(level) and (not texts or not is_number(level)):  # 1.100 where commas are decimal
            row = int(np.flatnonzero(column.codes == column.levels.index(level))[0])
            advice = "write it without signs between or after the digits (dataset.decimal sets the decimal sign), or "
            return table.fault(row, name, "is not a finite number", advice + either)
    if suspects and 2 * counts[numeric].sum() >= counts.sum() and 2 * numeric.sum() > counts[numeric].sum():
        advice = f"correct it, leave the row or the column out, or {either}"
        return table.fault(first_text(column), name, "is not a finite number", advice)
    if len(column.levels) > max(_FEW, counts.sum() // 2):
        return UserError(
            f"{place} has {len(column.levels)} different texts in {counts.sum()} rows, too many for categories; "
            f"{either}"
        )
    return None


def check_numbers(table: Table, names: Sequence[str], *, missing: bool, remedy: str = SET_MISSING) -> None:
    """Raise a `UserError` if a number is infinite or too large for float32, or missing unless `missing` is allowed.

    See `missing_fault` for `remedy`.
    """
    for name in names:
        numbers = table[name].numbers
        assert numbers is not None
        largest = np.abs(numbers).max(initial=0)
        if np.isnan(largest) and not missing:
            raise missing_fault(table, int(np.flatnonzero(np.isnan(numbers))[0]), name, remedy)
        if not largest <= _LARGEST and (wrong := np.flatnonzero(np.abs(numbers) > _LARGEST)).size:
            advice = "correct it, or leave the row or the column out"
            raise table.fault(int(wrong[0]), name, "is not a finite number (up to 3e38)", advice)


def numbers_to_predict(table: Table, names: Sequence[str]) -> Tensor:
    """Return the targets (N, K) of a regression, as float64.

    Raises
    ------
    UserError
        If a cell is missing or no number.
    """
    numbers = []
    for name in names:
        column = table[name]
        if column.numbers is None:
            advice = "correct it, or predict classes with dataset.task=classification"
            raise table.fault(first_text(column), name, "is not a finite number", advice)
        if (empty := np.flatnonzero(column.missing)).size:
            raise missing_fault(table, int(empty[0]), name, remedy="")
        numbers.append(column.numbers)
    check_numbers(table, names, missing=False)
    return torch.from_numpy(np.stack(numbers, axis=1))


def weights_of_rows(table: Table, name: str) -> Tensor:
    """Return the weights (N,) of the rows, as float64.

    Raises
    ------
    UserError
        If a cell is missing, no number, or negative, or if all are 0.
    """
    column, advice = table[name], "expected a number of 0 or above; correct it, or leave the row out"
    if column.numbers is None:
        raise table.fault(first_text(column), name, "is no weight", advice)
    wrong = np.flatnonzero(~((column.numbers >= 0) & (column.numbers < np.inf)))
    if wrong.size:
        words = "is missing" if column.missing[wrong[0]] else "is no weight"
        raise table.fault(int(wrong[0]), name, words, advice)
    if not column.numbers.any():
        raise UserError(f"{table.source}, column {name}: all weights are 0; some must be above 0")
    return torch.from_numpy(column.numbers)


def class_numbers(table: Table, name: str, known: tuple[str, ...] | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Return the class number of each row (N,), and the sorted names of the classes.

    If all names are numbers, they are sorted by value: ``9`` comes before ``10``. Equal numbers are one class. `known`
    are the classes if they are known already.

    Raises
    ------
    UserError
        If a cell is missing, if there is only one class, if there are too many, or if a class is not `known`.
    """
    try:
        column = table[name].coded()
    except ValueError as error:
        raise UserError(f"{table.source}: column {name}: {error}; name another column in dataset.targets") from error
    assert column.codes is not None
    codes, levels = column.codes, column.levels
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    if (empty := np.flatnonzero(codes < 0)).size:
        there = first_few([f"{level} ({count})" for level, count in zip(levels, counts, strict=True)])
        more = f"{len(empty)} row(s) have no class; the classes are {there}; give a class, or leave the row out"
        raise table.fault(int(empty[0]), name, "is missing", more)
    if known is not None:
        if unknown := sorted(set(levels) - set(known)):
            row = int(np.flatnonzero(codes == levels.index(unknown[0]))[0])
            raise table.fault(row, name, "is no class of the training table", f"expected {first_few(known)}")
        classes = known
    else:
        classes = in_order(levels)
        if len(classes) < 2:
            raise UserError(f"{table.source}: column {name} has one class only, {classes[0]}")
        if len(classes) > max(2, len(table) // 2):
            raise UserError(
                f"{table.source}: column {name} has {len(classes)} different values in {len(table)} rows, too many for "
                "classes; name another column in dataset.targets, or set dataset.task=regression"
            )
    places = {level: place for place, level in enumerate(classes)}
    order = np.array([places[level] for level in levels], np.int64)
    return torch.from_numpy(order[codes]), classes
