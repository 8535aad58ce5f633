"""Convert data from Python: arrays, nested lists, tensors and data frames become `Given` data, or rows for a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deeprob.assembly.inputs import as_tensor
from deeprob.data.cells import MISSING
from deeprob.data.columns import Column, Table
from deeprob.data.encoding import Encoding
from deeprob.data.frames import column_of_array, is_frame, table_of
from deeprob.data.given import Given
from deeprob.errors import UserError, first_few

_NAMES = {"b": "bool", "i": "int", "u": "int", "f": "float"}
_CHANNELS = (1, 3, 4)
"""The numbers of channels of usual pictures: gray, RGB, and RGB with opacity."""


def given_of(data: Any, name: str) -> Given:
    """Return data for a run.

    Parameters
    ----------
    data
        ``(X, y)``, ``(X, y, weights)``, or a data frame, in which the last column is the target unless
        ``dataset.targets`` says otherwise.
        X is an array (N, D), a data frame, or pictures (N, C, H, W). y is an array (N,) or (N, K), or a data frame. In
        place of an array, there may be a tensor, a nested list, or a series.
    name
        The name of the data in messages.

    Raises
    ------
    UserError
        If the data have another form, or if X and y differ in length.
    """
    if not isinstance(data, tuple) and is_frame(data):
        return Given(typed_table(data, name), labels=_types(data))
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise UserError(f"{name}: expected {name}=(X, y), or a data frame with a column of targets")
    inputs, targets, *weights = data
    table, raw = Table(name, (), ()), None
    if is_frame(inputs):
        table = typed_table(inputs, name)
    else:
        array = _array(inputs, f"{name}: X")
        if array.ndim < 2:
            raise UserError(f"{name}: X of shape {list(array.shape)}; expected rows [N, D], or pictures [N, C, H, W]")
        if array.ndim == 4 and array.shape[3] in _CHANNELS and array.shape[1] not in _CHANNELS:
            right = f"expected pictures [N, C, H, W]: give {_channels_first(inputs)}"
            raise UserError(f"{name}: X of shape {list(array.shape)}; {right}")
        if array.ndim == 2:
            table = typed_table(array, name)
        else:
            raw = as_tensor(inputs if isinstance(inputs, Tensor) else array, array.shape[1:])
    columns, labels = _targets(targets, name, table.names)
    length, count = len(table) if raw is None else len(raw), len(next(iter(columns.values())))
    if length != count:
        raise UserError(f"{name}: X has {length} rows, but y has {count}; give one target for each row")
    names, weighting = tuple(columns), None
    if weights:
        weighting = _unused("weights", (*table.names, *columns))
        columns[weighting] = _weights(weights[0], length, name)
    whole = Table(name, (*table.names, *columns), (*table.columns, *columns.values()), table.header)
    return Given(whole, names, labels, raw, weights=weighting)


def _channels_first(pictures: Any) -> str:
    """Return the Python expression that makes pictures (N, C, H, W) of ``X``, which has (N, H, W, C)."""
    if isinstance(pictures, Tensor):
        return "X.permute(0, 3, 1, 2)"
    return "X.transpose(0, 3, 1, 2)" if isinstance(pictures, np.ndarray) else "np.transpose(X, (0, 3, 1, 2))"


def _weights(weights: Any, length: int, name: str) -> Column:
    """Return the column of the weights (N,) of the examples."""
    array = _array(weights, f"{name}: weights")
    if array.shape != (length,) or array.dtype.kind not in "biuf":
        raise UserError(f"{name}: weights of shape {list(array.shape)}; expected [{length}], a number for each example")
    return Column(numbers=array.astype(np.float64))


def _unused(title: str, taken: tuple[str, ...]) -> str:
    """Return a name that no column has."""
    while title in taken:
        title += "_"
    return title


def new_rows(inputs: Any, encoding: Encoding) -> Table | None:
    """Return the rows of an array (N, D) whose D columns are those of the X that a run was trained on.

    None: the rows are encoded already, as those of `Run.data` are. The number of columns tells both apart.

    Raises
    ------
    UserError
        If the array has another number of columns, or if both numbers are the same and the cells do not tell either.
    """
    array = _array(inputs, "inputs")
    names, encoded = [column.name for column in encoding.inputs], len(encoding.names)
    if all(name.isdigit() for name in names):  # the columns of X had no names, and some of them may be left out
        names = [str(place) for place in range(len(names) + len(encoding.left_out))]
    if array.ndim == 2 and array.shape[1] == encoded and not _as_given(array):
        if encoded != len(names):
            return None
        if encoding.left_out or not encoding.plain:
            raise UserError(
                f"inputs of shape {list(array.shape)}: rows of X and encoded rows have {encoded} columns alike; "
                f"give rows of X as a data frame with the columns {first_few(names)}"
            )
    if array.ndim != 2 or array.shape[1] != len(names):
        single = "; this is a single row, and [row] a table of one" if array.shape == (len(names),) else ""
        raise UserError(f"inputs of shape {list(array.shape)}: expected [N, {len(names)}]{single}")
    return typed_table(array, "inputs", names)


def _as_given(array: npt.NDArray[Any]) -> bool:
    """Return whether cells (N, D) cannot be encoded: they are texts, or missing."""
    return array.dtype.kind not in "biuf" or bool(array.dtype.kind == "f" and np.isnan(array).any())


def typed_table(data: Any, name: str, names: Sequence[str] | None = None) -> Table:
    """Return the table in a data frame or an array, as `table_of` does, but texts stay texts, such as ``01``.

    Tables in files have no types. Columns of a frame, and arrays of Python objects, have.
    """
    table = table_of(data, names)
    if is_frame(data):
        keys = data.column_names if hasattr(data, "column_names") else getattr(data, "columns", data)
        parts: list[Any] = [data[key] for key in keys]
    else:
        parts = list(data.T) if data.dtype.kind == "O" else []
    columns = [_texts(part) for part in parts] or [None] * len(table.names)
    kept = [column if text is None else text for column, text in zip(table.columns, columns, strict=True)]
    return Table(name, table.names, tuple(kept), table.header)


def _texts(values: Any) -> Column | None:
    """Return the column of texts or of a frame's categories (N,), as they are; None if it has other values."""
    if str(getattr(values, "dtype", "")) == "category":  # of pandas; they may be numbers
        codes = np.asarray(values.cat.codes, np.int32)
        return Column(codes=codes, levels=tuple(map(str, values.cat.categories.tolist())), typed=True)
    array = np.asarray(values)
    if array.dtype.kind == "O":
        there = [cell for cell in array.tolist() if not _is_missing(cell)]
        return _labels(array, "text", "") if there and all(isinstance(cell, str) for cell in there) else None
    return _labels(array, "text", "") if array.dtype.kind in "UT" else None


def _array(values: Any, name: str) -> npt.NDArray[Any]:
    """Return an array of anything that is like an array.

    Raises
    ------
    UserError
        If rows differ in length.
    """
    try:
        if isinstance(values, list | tuple) and values and all(isinstance(one, Tensor) for one in values):
            values = [one.detach().cpu().numpy() for one in values]
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = (values if values.dtype.itemsize > 2 or not values.is_floating_point() else values.float()).numpy()
        array = np.asarray(values)
        if array.dtype.kind == "U" and isinstance(values, list | tuple):  # numbers beside texts stay numbers
            array = np.asarray(values, object)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{name}: no array; expected rows of one length") from error
    if array.dtype.kind in "cV":
        raise UserError(f"{name} of {array.dtype}: expected numbers or texts")
    return array


def _targets(targets: Any, name: str, taken: tuple[str, ...]) -> tuple[dict[str, Column], dict[str, str]]:
    """Return the columns of y, and the types of their labels. Their names are not among those `taken`."""
    if isinstance(targets, Mapping) or hasattr(targets, "columns"):
        table = typed_table(targets, name)
        if shared := [column for column in table.names if column in taken]:
            raise UserError(f"{name}: {shared[0]} is a column of X and of y; a column is one or the other")
        return dict(zip(table.names, table.columns, strict=True)), _types(targets)
    known = getattr(targets, "name", None)
    array = _array(targets, f"{name}: y")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise UserError(f"{name}: y of shape {list(array.shape)}; expected [N], or [N, K] to predict K numbers")
    title = known if isinstance(known, str) and known and known not in taken else _unused("target", taken)
    parts = {title: array} if array.ndim == 1 else {f"{title} {place}": part for place, part in enumerate(array.T)}
    labels = {column: _type(part) for column, part in parts.items()}
    return {column: _labels(part, labels[column], f"{name}, column {column}") for column, part in parts.items()}, labels


def _labels(values: npt.NDArray[Any], kind: str, place: str) -> Column:
    """Return the column of labels or numbers (N,). Texts stay as they are, also those of numbers, such as ``01``."""
    if kind != "text" or values.dtype.kind == "M":
        return column_of_array(values, place)
    index: dict[str, int] = {}
    cells = values.tolist()
    codes = [-1 if _is_missing(cell) else index.setdefault(str(cell), len(index)) for cell in cells]
    return Column(codes=np.array(codes, np.int32), levels=tuple(index), typed=True)


def _is_missing(cell: Any) -> bool:
    """Return whether a Python object stands for no value, such as None, nan, or an empty text."""
    return not cell if isinstance(cell, str) else str(cell) in MISSING


def _types(frame: Any) -> dict[str, str]:
    """Return the type of each column of a data frame (see `deeprob.data.given.LABELS`)."""
    names = frame.column_names if hasattr(frame, "column_names") else getattr(frame, "columns", frame)
    return {str(name): _type(np.asarray(frame[name])) for name in names}


def _type(values: npt.NDArray[Any]) -> str:
    """Return the type of the values (N,) as a word of `deeprob.data.given.LABELS`."""
    if values.dtype.kind != "O":
        return _NAMES.get(values.dtype.kind, "text")
    kinds = {np.asarray(cell).dtype.kind for cell in values.tolist() if not _is_missing(cell)}
    names = {_NAMES.get(kind, "text") for kind in kinds}
    return "float" if names == {"int", "float"} else names.pop() if len(names) == 1 else "text"
