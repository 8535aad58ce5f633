import numpy as np
import pytest

from deeprob.data.columns import Column, Table, column_of_cells, column_of_texts
from deeprob.errors import UserError


def test_texts_that_are_all_numbers_become_numbers():
    column = column_of_cells([" 1", "NA", "+2", "1e3", ""])
    np.testing.assert_array_equal(column.numbers, [1, np.nan, 2, 1000, np.nan])
    assert column.missing.tolist() == [False, True, False, False, True]
    assert column_of_cells(["1,5", "2"], ",").numbers.tolist() == [1.5, 2]


def test_equal_numbers_among_texts_are_one_level():
    column = column_of_cells(["1", "K", "1.0", "?", " K"])
    assert (column.levels, column.codes.tolist()) == (("1", "K"), [0, 1, 0, -1, 1])


def test_a_minus_is_a_level_beside_a_plus():
    assert column_of_cells(["+", "-"]).levels == ("+", "-")
    assert column_of_cells(["a", "-"]).codes.tolist() == [0, -1]


def test_a_code_of_minus_one_is_missing():
    assert column_of_texts(np.array([0, -1], np.int32), ["a"]).codes.tolist() == [0, -1]
    np.testing.assert_array_equal(column_of_texts(np.array([0, -1], np.int32), ["1"]).numbers, [1, np.nan])


def test_numbers_as_levels():
    column = Column(numbers=np.array([10.0, np.nan, 9, 0.5, 10])).coded()
    assert (column.levels, column.codes.tolist()) == (("0.5", "9", "10"), [2, -1, 1, 0, 2])
    with pytest.raises(ValueError, match="not exact"):
        Column(numbers=np.array([2.0**53])).coded()
    assert Column(numbers=np.array([np.nan])).coded().levels == ()


def test_rows_are_taken():
    rows = np.array([1, 0])
    assert Column(numbers=np.array([1.0, 2])).take(rows).numbers.tolist() == [2, 1]
    taken = Column(codes=np.array([0, 1], np.int32), levels=("a", "b"), typed=True).take(rows)
    assert (taken.codes.tolist(), taken.levels, taken.typed) == ([1, 0], ("a", "b"), True)


def test_a_table_names_its_faults():
    table = Table("t", ("x", "y"), (Column(numbers=np.array([1.0])), Column(numbers=np.array([2.0]))))
    assert (len(table), table["y"].numbers.tolist()) == (1, [2])
    assert str(table.fault(0, "x", "is odd", "mend it")) == "t, row 0, column x: the cell is odd; mend it"
    with pytest.raises(UserError, match=r"dataset\.inputs: t has no column z; choose from x, y"):
        table.check("inputs", ["z"])
    with pytest.raises(UserError, match="t: columns of different lengths"):
        Table("t", ("x", "y"), (Column(numbers=np.zeros(1)), Column(numbers=np.zeros(2))))
