"""Arrays and data frames become the same table as a file."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from deeprob.data import CSVConfig
from deeprob.data.frames import table_of
from deeprob.errors import UserError

COLUMNS = {
    "x": [1.5, 2, 3, 4, 5, 6, 7, 8],
    "c": list("uvuvuvuv"),
    "kind": list("abababab"),
}


def splits(table):
    return CSVConfig(root="").split(table)


def same(one, two) -> bool:
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("train", "test")]
    return (one.columns, one.classes) == (two.columns, two.classes) and all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs
    )


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, pa.table, lambda columns: pd.DataFrame(columns).astype({"c": "category"})]
)
def test_frames_are_the_splits_of_the_file(kind, tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame(COLUMNS).to_csv(path, index=False)
    from_file = CSVConfig(root=str(path)).load()
    assert from_file.columns == ("x", "c=u", "c=v")
    assert same(splits(table_of(kind(COLUMNS))), from_file)
    assert same(splits(table_of(COLUMNS)), from_file)


def test_an_array_has_columns_without_names():
    array = np.column_stack([np.arange(10), np.arange(10) % 2])
    made = splits(table_of(array))
    assert (made.columns, made.classes) == ((), ("0", "1"))
    assert splits(table_of(array, ["x", "y"])).columns == ("x",)
    assert splits(table_of(torch.tensor(array))).classes == ("0", "1")


def test_missing_values_of_all_kinds():
    frame = pd.DataFrame({"x": [1, None, 3], "n": pd.array([1, None, 3], "Int64"), "t": ["a", None, "b"]})
    table = table_of(frame)
    assert [column.missing.tolist() for column in table.columns] == 3 * [[False, True, False]]
    table = table_of(
        pa.table({"x": [1, None, 3], "d": pa.array(["a", None, "b"]).dictionary_encode(), "z": pa.nulls(3)})
    )
    assert [column.missing.sum() for column in table.columns] == [1, 1, 3]


def test_booleans_are_categories():
    for data in ({"b": np.array([True, False])}, pd.DataFrame({"b": [True, False]}), pa.table({"b": [True, False]})):
        column = table_of(data)["b"]
        assert [column.levels[code] for code in column.codes] == ["true", "false"]


def test_dates_are_dates():
    days = np.array(["2026-01-01", "2026-01-02"], "M8[D]")
    for data in ({"d": days, "y": [0, 1]}, pd.DataFrame({"d": days, "y": [0, 1]}), pa.table({"d": days, "y": [0, 1]})):
        assert table_of(data)["d"].dates
        with pytest.raises(UserError, match="column d has dates or times"):
            splits(table_of(data))


def test_what_is_no_table():
    with pytest.raises(UserError, match=r"an array of shape \[3\]; expected \[N, D\]"):
        table_of(np.arange(3))
    with pytest.raises(UserError, match="column x: values of complex128"):
        table_of({"x": np.array([1j])})
    with pytest.raises(UserError, match="column x: a value of type list"):
        table_of({"x": np.array([[1], "a"], object)})
    with pytest.raises(UserError, match="columns of different lengths"):
        table_of({"x": [1, 2], "y": [1]})
