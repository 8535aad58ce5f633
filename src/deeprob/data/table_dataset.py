"""Datasets whose examples are rows of a table: some columns are inputs, and other columns are targets."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from deeprob.config import choice, number, some_words
from deeprob.data import encoding
from deeprob.data.base import DatasetConfig
from deeprob.data.columns import Table
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput, usable_column, words_about
from deeprob.data.examples import Examples, Splits
from deeprob.data.tabular import (
    Roles,
    categories_among,
    check_numbers,
    choose_roles,
    class_numbers,
    numbers_to_predict,
    weights_of_rows,
)
from deeprob.errors import UserError, first_few


@dataclass(kw_only=True, slots=True)
class TableConfig(DatasetConfig):
    """Fields of every dataset that is a table.

    Attributes
    ----------
    task
        The kind of prediction. ``classification`` predicts one column of labels. ``regression`` predicts columns of
        numbers.
    targets
        The columns that are predicted. They are given by name, or by number from 0 if there is no header. null takes
        the last column. Example: ``dataset.targets=[kind]``.
    inputs
        The columns from which the targets are predicted. They are given like `targets`. null takes all other columns.
        Example: ``dataset.inputs=[length,width]``.
    drop
        The columns that are not used. Example: ``dataset.drop=[id,date]``.
    weights
        The column with the weights of the rows. It is no input then, and its numbers are 0 or above. A row of weight 3
        is the same as three rows, in the loss and in what is fitted on the training split. A row of weight 0 is left
        out. Of weights that are not whole, only the proportions count. Example: ``dataset.weights=count``.
    categorical
        The columns of numbers that are categories, such as codes. Columns of texts are categories anyway. Each category
        has one input for each level in the training split: 1 where the row has this level, and else 0. Two or more rare
        levels (fewer than 10 training rows, and less than 1 %) share an input ``other``, with levels that no training
        row has. Without rare levels, a level that no training row has is 0 in all inputs of its column. null or
        ``auto`` lists no column. Example: ``dataset.categorical=[zip_code]``.
    missing
        What becomes of missing cells (empty, ``NA``, ``nan``, ``null``, ``?``, …) in inputs. ``error`` stops. ``mean``
        takes the mean of the training split, and ``indicator`` also adds an input that is 1 where a number is missing.
        With both, a missing category is a level of its own.
    test_fraction
        The share of the rows that is drawn at random as the test split. It is not used with `test`.
    """

    batch_size_hint: ClassVar[int] = 32
    tabular: ClassVar[bool] = True

    task: str = choice("classification", among=("classification", "regression"))
    targets: list[str] | None = some_words()
    inputs: list[str] | None = some_words()
    drop: list[str] | None = some_words()
    weights: str | None = None
    categorical: list[str] | None = some_words()
    missing: str = choice("error", among=("error", "mean", "indicator"))
    test_fraction: float = number(0.2, above=0, below=1)
    standardize_targets: bool = True

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers instead of classes."""
        return self.task == "regression"

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation split: either drawn at random, or given with the data."""
        return self.val_fraction > 0 or getattr(self, "val", None) is not None

    def split(
        self,
        table: Table,
        test: Table | None = None,
        val: Table | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> Splits:
        """Choose the columns of a table, draw its splits, and encode them.

        The encoding is fitted on the training rows. Tables of arrays and data frames come from
        `deeprob.data.frames.table_of`.

        Parameters
        ----------
        table
            The table.
        test, val
            Tables with the same columns, for the test split and the validation split. None draws the test split from
            `table`, and a validation split if `val_fraction` is not 0.
        classes
            The names of the classes. None: the classes are those in the table.

        Raises
        ------
        UserError
            If a column or a cell cannot be used.
        """
        if len(table) < 2:
            raise UserError(f"{table.source}: {len(table)} row(s) of data; it needs two or more")
        roles = choose_roles(table, self.targets, self.inputs, self.drop, self.weights)
        categories = categories_among(table, roles.inputs, self.categorical, self.drop)
        if not self.regression and len(roles.targets) > 1:
            raise UserError(
                "dataset.targets: classes are given by one column; to predict numbers, set dataset.task=regression"
            )
        self._check(table, roles, categories)
        everything, classes = self._examples(table, roles, classes)
        parts: dict[str, tuple[Table, Examples]] = {}
        for name, other in (("test", test), ("val", val)):
            if other is table:
                parts[name] = table, everything
            elif other is not None:
                _check_same(table, other, roles)
                self._check(other, roles, categories)
                parts[name] = other, self._examples(other, roles, classes)[0]
        held = None if val is None else parts["val"][1]
        if test is None:
            drawn = self.hold_out(everything, self.test_fraction, classes)
            drawn = drawn if held is None else dataclasses.replace(drawn, val=held)
        else:
            drawn = self.finish(everything, parts["test"][1], classes, held)
        return self._encoded(drawn, table, {name: part[0] for name, part in parts.items()}, roles, categories)

    def _check(self, table: Table, roles: Roles, categories: frozenset[str]) -> None:
        """Raise a `UserError` if a cell of an input cannot be used."""
        for name in roles.inputs:
            column: NumberInput | CategoryInput = NumberInput(name, 0, 1, fill=True)
            if name in categories:
                column = CategoryInput(name, (), ())
            found = usable_column(table, column)
            if self.missing == "error" and name in categories and (empty := np.flatnonzero(found.missing)).size:
                raise encoding.missing_fault(table, int(empty[0]), name)
        numbers = [name for name in roles.inputs if name not in categories]
        check_numbers(table, numbers, missing=self.missing != "error")

    def _examples(
        self, table: Table, roles: Roles, classes: tuple[str, ...] | None
    ) -> tuple[Examples, tuple[str, ...]]:
        """Return examples whose inputs are the numbers of their rows, and the names of the classes."""
        rows = torch.arange(len(table))
        if self.regression:
            targets, classes = numbers_to_predict(table, roles.targets), ()
        else:
            targets, classes = class_numbers(table, roles.targets[0], classes)
        if self.weights is None:
            return Examples(rows, targets), classes
        return Examples.weighted(rows, targets, weights_of_rows(table, self.weights)), classes

    def _encoded(
        self, drawn: Splits, table: Table, others: dict[str, Table], roles: Roles, categories: frozenset[str]
    ) -> Splits:
        """Return splits with encoded inputs in place of the numbers of rows."""
        parts = {name: getattr(drawn, name) for name in ("train", "val", "test")}
        rows = {
            name: (others.get(name, table), part.inputs.numpy()) for name, part in parts.items() if part is not None
        }
        weights = None if drawn.train.weights is None else drawn.train.weights.numpy()
        fitted = encoding.fit_inputs(table, roles.inputs, categories, self.missing, rows["train"][1], weights)
        counts = drawn.train.targets.bincount(minlength=len(drawn.classes)).tolist() if drawn.classes else ()
        made = Encoding(
            fitted,
            roles.targets,
            drawn.classes,
            tuple(counts),
            roles.left_out,
        )
        encoded: dict[str, Examples] = {}
        for name, (source, places) in rows.items():
            if source is table and name != "train" and np.array_equal(places, rows["train"][1]):
                encoded[name] = encoded["train"]  # the rows of the training split are the test split too
            else:
                encoded[name] = dataclasses.replace(parts[name], inputs=made.encode(source, places))
        return Splits(
            encoded["train"],
            encoded.get("val"),
            encoded["test"],
            drawn.classes,
            columns=made.names if table.header or not made.plain else (),
            target_columns=roles.targets if self.regression and table.header else (),
            encoding=made,
            told=_told(table, made, rows),
        )


def _check_same(table: Table, other: Table, roles: Roles) -> None:
    """Raise a `UserError` if a table for another split lacks a column."""
    if not table.header and len(table.names) != len(other.names):
        raise UserError(f"{other.source}: {len(other.names)} columns, but {table.source} has {len(table.names)}")
    if table.header != other.header:
        raise UserError(
            f"{other.source}: a header in only one of this file and {table.source}; set dataset.header=true or false"
        )
    for name in (*roles.inputs, *roles.targets, *roles.weights):
        if name not in other.names:
            raise UserError(f"{other.source}: no column {name}, which {table.source} has; it needs the same columns")
    if not len(other):
        raise UserError(f"{other.source}: 0 row(s) of data; it needs one or more")


def _told(table: Table, made: Encoding, rows: dict[str, tuple[Table, encoding.Rows]]) -> tuple[str, ...]:
    """Return the lines that say what the columns of a table became, at most 15."""
    counts = ", ".join(f"{len(places)} {name}" for name, (_, places) in rows.items())
    lines = [f"{table.source}: {counts} rows, {len(made.names)} input{'s' * (len(made.names) != 1)}"]
    if table.notes:
        lines.append(f"file        {'; '.join(table.notes)}")
    numbers = [column.name for column in made.inputs if isinstance(column, NumberInput)]
    if numbers:
        lines.append(f"numbers     {first_few(numbers, 8)}")
    categories = [column for column in made.inputs if isinstance(column, CategoryInput)]
    lines += [f"category    {column.name}: {words_about(column)}" for column in categories[:4]]
    if len(categories) > 4:
        lines.append(f"categories  {first_few([column.name for column in categories[4:]], 8)}")
    missing = {column.name: int(table[column.name].missing.sum()) for column in made.inputs}
    if filled := [f"{name} {count}" for name, count in missing.items() if count]:
        lines.append(f"missing     {first_few(filled, 8)} cell(s)")
    unseen: dict[str, int] = {}
    for name, (other, places) in rows.items():
        if name != "train":
            for column, count in made.unseen(other, places).items():
                unseen[column] = unseen.get(column, 0) + count
    if unseen:
        words = first_few([f"{name} {count}" for name, count in unseen.items()])
        lines.append(f"unseen      {words} cell(s) with levels that no training row has")
    if made.classes:
        shown = first_few([f"{name} {count}" for name, count in zip(made.classes, made.counts, strict=True)], 10)
        lines.append(f"classes     {made.targets[0]}: {shown}")
    else:
        lines.append(f"targets     {first_few(made.targets, 8)}")
    if made.left_out:
        lines.append(f"left out    {first_few(made.left_out, 8)}")
    return tuple(lines)
