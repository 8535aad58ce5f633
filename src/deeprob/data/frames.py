"""Tables in Python: arrays, dictionaries of columns, and the data frames of pandas, polars and pyarrow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprob.data.cells import MISSING
from deeprob.data.columns import Column, Table, column_of_texts
from deeprob.errors import UserError, one_line

_NAME = "the table"


def table_of(data: Any, names: Sequence[str] | None = None) -> Table:
    """Return the table in a data frame, a mapping from names to columns, or an array (N, D).

    Parameters
    ----------
    data
        A data frame (anything with ``columns`` and ``[name]``), a table of Arrow (anything with
        ``__arrow_c_stream__``), a mapping, or an array.
    names
        The names of the D columns of an array. None for no names.

    Raises
    ------
    UserError
        If a column is neither of numbers nor of texts, or if columns have different lengths.
    """
    header = True
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        known = list(data.columns)
        parts = [(str(name), data[name]) for name in known] if _are_words(known) else _from_arrow(data)
    elif isinstance(data, Mapping):
        parts = [(str(name), column) for name, column in data.items()]
    elif hasattr(data, "__arrow_c_stream__"):
        parts = _from_arrow(data)
    else:
        array = np.asarray(data)
        if array.ndim != 2:
            raise UserError(f"{_NAME}: an array of shape {list(array.shape)}; expected [N, D]")
        header = names is not None
        known = [str(place) for place in range(array.shape[1])] if names is None else list(names)
        parts = list(zip(known, array.T, strict=True))
    columns = [_column(part, f"{_NAME}, column {name}") for name, part in parts]
    return Table(_NAME, tuple(name for name, _ in parts), tuple(columns), header)


def is_frame(data: Any) -> bool:
    """Return whether the columns of `data` have names, as in a data frame or a dictionary."""
    return isinstance(data, Mapping) or hasattr(data, "columns") or hasattr(data, "__arrow_c_stream__")


def _are_words(names: Sequence[Any]) -> bool:
    return all(isinstance(name, str | int) for name in names)


def _from_arrow(data: Any) -> list[tuple[str, Any]]:
    import pyarrow as pa

    table = pa.table(data)
    return list(zip(table.column_names, table.columns, strict=True))


def _column(values: Any, place: str) -> Column:
    """Return a column of any data frame."""
    if type(values).__module__.startswith("pyarrow"):
        return column_of_arrow(values, place)
    return column_of_array(np.asarray(values), place)


def columns_of_array(name: str, values: npt.NDArray[Any], source: str) -> dict[str, Column]:
    """Return the columns of an array (N,), or of an array (N, K) as ``name 0``, ``name 1``, …."""
    if values.ndim == 1:
        return {name: column_of_array(values, f"{source}, {name}")}
    if values.ndim != 2:
        raise UserError(f"{source}, {name}: an array of shape {list(values.shape)}; expected [N] or [N, K]")
    if values.shape[1] == 1:
        return {name: column_of_array(values[:, 0], f"{source}, {name}")}
    return {f"{name} {place}": column_of_array(part, f"{source}, {name}") for place, part in enumerate(values.T)}


def column_of_array(values: npt.NDArray[Any], place: str) -> Column:
    """Return the column of an array (N,) of numbers, booleans, texts, or Python objects; NaN and None are missing.

    Raises
    ------
    UserError
        If the array has other values. The message begins with `place`.
    """
    kind = values.dtype.kind
    if kind in "iuf":
        return Column(numbers=values.astype(np.float64))
    if kind == "M":
        return _dates(values)
    if kind == "b":
        return Column(codes=values.astype(np.int32), levels=("false", "true"))
    if kind in "UTO":
        index: dict[str, int] = {}
        codes = np.fromiter((index.setdefault(_text(cell, place), len(index)) for cell in values), np.int32)
        return column_of_texts(codes, list(index))
    raise UserError(f"{place}: values of {values.dtype}; expected numbers or texts")


def _text(cell: Any, place: str) -> str:
    """Return the text of one Python object; an empty text if it is missing."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell)).lower()
    if cell is None or str(cell) in MISSING:  # such as nan, NaT and <NA>
        return ""
    if isinstance(cell, int | float | np.number):
        return repr(float(cell)) if isinstance(cell, float | np.floating) else str(int(cell))
    raise UserError(f"{place}: a value of type {type(cell).__name__}; expected numbers or texts")


def _dates(values: npt.NDArray[Any]) -> Column:
    texts, codes = np.unique(values.astype(str), return_inverse=True)
    return dataclasses.replace(column_of_texts(codes.astype(np.int32), [str(text) for text in texts]), dates=True)


def column_of_arrow(values: Any, place: str) -> Column:
    """Return the column of an Arrow array; nulls are missing.

    Raises
    ------
    UserError
        If the array has neither numbers nor texts. The message begins with `place`.
    """
    import pyarrow as pa
    from pyarrow import types

    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    if types.is_dictionary(chunked.type):
        chunked = chunked.cast(chunked.type.value_type)
    kind = chunked.type
    try:
        if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
            pieces = chunked.cast(pa.float64(), safe=False).chunks
            return Column(numbers=np.concatenate([np.zeros(0), *(values_of(piece, np.float64) for piece in pieces)]))
        dates = types.is_temporal(kind) and not types.is_duration(kind)
        if types.is_boolean(kind) or types.is_string(kind) or types.is_large_string(kind) or dates:
            coded = chunked.cast(pa.string()).dictionary_encode().unify_dictionaries()
            codes = [values_of(piece.indices, np.int32, -1) for piece in coded.chunks]
            levels = coded.chunk(0).dictionary.to_pylist() if codes else []
            found = column_of_texts(np.concatenate([np.zeros(0, np.int32), *codes]), levels)
            return dataclasses.replace(found, dates=dates)
    except pa.ArrowException as error:
        raise UserError(f"{place}: {one_line(error)}") from error
    raise UserError(f"{place}: values of {kind}; expected numbers or texts; leave it out with dataset.drop")


def values_of(array: Any, dtype: type[np.generic], null: float = np.nan) -> npt.NDArray[Any]:
    """Return the values (N,) of an Arrow array of numbers, with `null` for its nulls.

    This is ``array.to_numpy()`` without its import of pandas, which takes half a second.
    """
    if array.null_count:
        array = array.fill_null(null)
    if not len(array):
        return np.zeros(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]
