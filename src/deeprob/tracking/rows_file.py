"""A table that is written batch by batch: CSV, JSON lines or Parquet."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

KINDS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}

Cells = Sequence[Any] | npt.NDArray[Any]
"""One column of some rows."""


class RowsFile(ABC):
    """A table that is being written."""

    @abstractmethod
    def add(self, columns: Sequence[Cells]) -> None:
        """Write rows, given as columns of the same length."""

    def close(self) -> None:  # noqa: B027
        """Write what is still to be written."""


@contextmanager
def rows_file(target: Path | TextIO, names: Sequence[str], digits: int) -> Iterator[RowsFile]:
    """Write a table into a file, whose ending tells the format (see `KINDS`), or in CSV into a stream.

    The file is complete or not there at all. The stream gets nothing before the first rows.

    Parameters
    ----------
    target
        The file, or the stream.
    names
        The names of the columns.
    digits
        The number of digits of numbers in CSV and JSON.
    """
    if not isinstance(target, Path):
        rows = _CSV(target, names, digits)
        yield rows
        rows.close()
        return
    temporary = target.with_name(f"{target.name}.tmp")
    kind = KINDS[target.suffix.lower()]
    try:
        if kind == "parquet":
            whole = _Parquet(temporary, names)
            yield whole
            whole.close()
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                lines = (_CSV if kind == "csv" else _JSONLines)(file, names, digits)
                yield lines
                lines.close()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


class _CSV(RowsFile):
    def __init__(self, file: TextIO, names: Sequence[str], digits: int) -> None:
        self.writer, self.header, self.digits = csv.writer(file, lineterminator="\n"), [names], digits

    def add(self, columns: Sequence[Cells]) -> None:
        self.close()
        self.writer.writerows(zip(*(self._texts(column) for column in columns), strict=True))

    def close(self) -> None:
        """Write the names of the columns, if they are not written yet."""
        while self.header:
            self.writer.writerow(self.header.pop())

    def _texts(self, column: Cells) -> Cells:
        if isinstance(column, np.ndarray) and column.dtype.kind == "f":
            return [f"{number:.{self.digits}g}" for number in column.tolist()]
        return column


class _JSONLines(RowsFile):
    def __init__(self, file: TextIO, names: Sequence[str], digits: int) -> None:
        self.file, self.names, self.digits = file, names, digits

    def add(self, columns: Sequence[Cells]) -> None:
        rows = zip(*(self._values(column) for column in columns), strict=True)
        lines = [json.dumps(dict(zip(self.names, row, strict=True)), ensure_ascii=False) for row in rows]
        self.file.writelines(f"{line}\n" for line in lines)

    def _values(self, column: Cells) -> Cells:
        if isinstance(column, np.ndarray):
            values: list[Any] = column.tolist()
            return [float(f"{value:.{self.digits}g}") for value in values] if column.dtype.kind == "f" else values
        return column


class _Parquet(RowsFile):
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self.writer: Any = None

    def add(self, columns: Sequence[Cells]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table([pa.array(column) for column in columns], list(self.names))
        if self.writer is None:
            self.writer = parquet.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        if self.writer is None:
            self.add([[] for _ in self.names])
        self.writer.close()
