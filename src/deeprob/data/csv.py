"""The user's own table, a file: some columns are inputs, and other columns are targets."""

import dataclasses
import os
from dataclasses import dataclass
from typing import Any, Self

from omegaconf import MISSING

from deeprob.config import choice, register
from deeprob.data.base import place
from deeprob.data.dialect import COMMENTS, DECIMALS, DELIMITERS, Asked
from deeprob.data.examples import Splits
from deeprob.data.table_dataset import TableConfig
from deeprob.data.table_file import read_table_file
from deeprob.errors import UserError


@register("dataset", "csv")
@dataclass(kw_only=True, slots=True)
class CSVConfig(TableConfig):
    """Your own table, a file in CSV, Parquet or NPZ: some columns are predicted from the others.

    Attributes
    ----------
    root
        The file of the table. Its format is Parquet if the name ends in ``.parquet``, NPZ (arrays of NumPy) if it ends
        in ``.npz``, and text otherwise. Example: ``dataset=csv dataset.root=TABLE.csv``.
    test
        The file of the test split, with the same columns. null draws the test split from `root`. Example:
        ``dataset=csv dataset.root=TABLE.csv dataset.test=TEST.csv``.
    val
        The file of the validation split, with the same columns. Example: ``dataset=csv dataset.root=TABLE.csv
        dataset.val=VAL.csv``.
    header
        Whether the first line holds the names of the columns. null finds it out.
    delimiter
        The sign between cells. ``auto`` takes the sign under which all lines have the same number of cells. ``space``
        stands for runs of blanks.
    decimal
        The decimal sign: ``point``, ``comma``, or ``auto`` to find it out.
    comment
        The sign that begins comment lines: ``hash`` (#), ``percent`` (%), or ``none``. ``auto`` finds out about #.
    encoding
        The encoding of the text, such as ``cp1252``. ``auto`` takes UTF-8, or what a byte-order mark says.
    """

    root: str = MISSING
    test: str | None = None
    val: str | None = None
    header: bool | None = None
    delimiter: str = choice("auto", among=("auto", *DELIMITERS))
    decimal: str = choice("auto", among=("auto", *DECIMALS))
    comment: str = choice("auto", among=("auto", *COMMENTS))
    encoding: str = "auto"

    @property
    def asked(self) -> Asked:
        """What the user says about the text files."""
        return Asked(
            DELIMITERS.get(self.delimiter),
            DECIMALS.get(self.decimal),
            COMMENTS.get(self.comment),
            self.header,
            None if self.encoding == "auto" else self.encoding,
        )

    def resolved(self) -> Self:
        """Return the config with absolute paths."""
        paths = {name: getattr(self, name) for name in ("root", "test", "val")}
        changes: dict[str, Any] = {
            name: os.path.realpath(place(path)) for name, path in paths.items() if path is not None
        }
        return dataclasses.replace(self, **changes)

    def load(self) -> Splits:
        """Read the table, and draw its splits.

        Raises
        ------
        UserError
            If a file or a column cannot be used. The message names the file, and the line and column of the error.
        """
        if self.val is not None and self.val_fraction:
            raise UserError(
                f"dataset.val_fraction={self.val_fraction}: dataset.val={self.val} is the validation split already; "
                "set one of them"
            )
        train = read_table_file(place(self.root), self.asked, "dataset.root")
        if len(train) > 1 and len(train.names) < 2:
            raise UserError(
                f"{train.source}: only one column; a table needs two or more (dataset.delimiter sets the sign between "
                "them)"
            )
        test = None if self.test is None else read_table_file(place(self.test), self.asked, "dataset.test")
        val = None if self.val is None else read_table_file(place(self.val), self.asked, "dataset.val")
        return self.split(train, test, val)
