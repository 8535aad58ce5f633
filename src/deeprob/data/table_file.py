"""Read the table in a file: text such as CSV, Parquet, or NPZ."""

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprob.data import cells, columns, dialect, text_file
from deeprob.data.columns import Column, Table
from deeprob.data.dialect import Asked
from deeprob.data.frames import column_of_arrow, columns_of_array
from deeprob.data.picture_cache import stamp
from deeprob.data.text_file import read_text_file
from deeprob.errors import UserError, one_line
from deeprob.tracking.cache import Cache, Damaged, user_cache
from deeprob.tracking.console import note

WORTHWHILE = 2**20
"""The smallest size of a file that is kept in the cache, in bytes. Smaller files are read faster than checked."""


def read_table_file(path: Path, asked: Asked, key: str = "dataset.root") -> Table:
    """Read the table in a file. The ending of its name tells the format: ``.parquet``, ``.npz``, or else text.

    A large file that was read before is not parsed again, unless it has changed. `key` is the key that names the
    file.

    Raises
    ------
    UserError
        If the file cannot be read as a table. The message names the file.
    """
    try:
        found = path.stat()
        if not path.is_file():
            raise UserError(f"{key}={path}: no file; expected a CSV file")
        name = _name(path, found, asked) if found.st_size >= WORTHWHILE else None
        if name is not None and (kept := _kept(path, name, asked)) is not None:
            return kept
        read = _read(path, asked)
    except OSError as error:
        raise UserError(f"{key}={path}: {error.strerror or one_line(error)}; expected a CSV file") from error
    if name is not None:
        _keep(name, read)
    return read


def _read(path: Path, asked: Asked) -> Table:
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parquet(path)
    return _npz(path) if suffix == ".npz" else read_text_file(path, asked)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        known = file.schema_arrow.names
        parts = [_parquet_column(file, name, f"{path}, column {name}") for name in known]
        names = tuple("" if name.startswith("__index_level_") else name for name in known)  # the index of pandas
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path}: not a Parquet file, or damaged ({one_line(error)})") from error
    return Table(str(path), names, tuple(parts), notes=("a Parquet file",))


def _parquet_column(file: Any, name: str, place: str) -> Column:
    """Return a column of a Parquet file. If it has neither numbers nor texts, only a chosen column is an error."""
    try:
        return column_of_arrow(file.read([name], use_threads=False).column(0), place)
    except UserError as error:
        return Column(numbers=np.full(file.metadata.num_rows, np.nan), unusable=str(error))


def _npz(path: Path) -> Table:
    parts: dict[str, Column] = {}
    try:
        whole = np.load(path, allow_pickle=False)
        if not isinstance(whole, np.lib.npyio.NpzFile):
            raise ValueError("one array without a name")
        with whole as file:
            for name in file.files:
                for column, content in columns_of_array(name, file[name], str(path)).items():
                    if column in parts:
                        raise UserError(f"{path}: two columns with the name {column}; each column needs its own name")
                    parts[column] = content
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise UserError(f"{path}: not an NPZ file of numbers and texts, or damaged ({one_line(error)})") from error
    return Table(str(path), tuple(parts), tuple(parts.values()), notes=("an NPZ file",))


def _name(path: Path, found: os.stat_result, asked: Asked) -> str | None:
    """Return the name of a file's table in the cache; None if the file changed just now."""
    import pyarrow as pa

    seal = stamp(found, time.time_ns())
    if not any(seal):
        return None
    code = [Path(str(module.__file__)).read_bytes() for module in (cells, columns, dialect, text_file)]
    words = [repr((str(path.resolve()), seal, asked, pa.__version__)).encode(), Path(__file__).read_bytes(), *code]
    return hashlib.blake2b(b"\0".join(words), digest_size=16).hexdigest()


def _cache() -> Cache:
    return Cache(user_cache() / "tables")


def _kept(path: Path, name: str, asked: Asked) -> Table | None:
    """Return the table of a file that was read before; None if it is not in the cache."""
    try:
        content = _cache().get(name)
    except Damaged as error:
        note(f"{one_line(error)}, and not used")
        return None
    if content is None:
        return None
    words = json.loads(content["words"].numpy().tobytes())
    parts = [
        Column(content[f"{place}"].numpy())
        if levels is None
        else Column(codes=content[f"{place}"].numpy(), levels=tuple(levels))
        for place, levels in enumerate(words["levels"])
    ]
    # a place is only asked for in an error, so the file is read again then
    return Table(
        str(path),
        tuple(words["names"]),
        tuple(parts),
        words["header"],
        tuple(words["notes"]),
        lambda row: _read(path, asked).locate(row),
    )


def _keep(name: str, read: Table) -> None:
    """Write a table to the cache."""
    if any(column.dates for column in read.columns):
        return
    words = {
        "names": read.names,
        "header": read.header,
        "notes": read.notes,
        "levels": [None if column.numbers is not None else column.levels for column in read.columns],
    }
    content: dict[str, Tensor] = {"words": torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8)}
    for place, column in enumerate(read.columns):
        values: Any = column.codes if column.numbers is None else column.numbers
        content[str(place)] = torch.from_numpy(np.ascontiguousarray(values))
    try:
        _cache().put(name, content)
    except OSError as error:
        note(f"the table cannot be kept in {_cache().folder} ({error.strerror}); it will be parsed again each time")
