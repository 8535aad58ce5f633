"""What columns become: computed by hand, and beside pandas and scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from deeprob.data.columns import Column, Table, column_of_cells
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput, fit_inputs, in_order
from deeprob.data.frames import table_of
from deeprob.errors import UserError


def category(cells: list[str], train: int) -> CategoryInput:
    table = Table("t", ("c",), (column_of_cells(cells).coded(),))
    rows = np.arange(len(cells))
    return CategoryInput.fit("c", table, rows[:train])


def encoded(column: CategoryInput | NumberInput, cells: list[str]) -> list[list[float]]:
    found = column_of_cells(cells)
    table = Table("t", ("c",), (found,))
    return Encoding((column,), ("y",)).encode(table).tolist()


def test_a_category_has_an_input_for_each_level_of_the_training_rows():
    column = category(["b", "a", "b", "c"], train=3)
    assert column.names == ("c=a", "c=b")
    assert column.counts == (1, 2)
    assert encoded(column, ["a", "c", "b"]) == [[1, 0], [0, 0], [0, 1]]


def test_two_or_more_rare_levels_share_an_input():
    cells = ["a"] * 990 + ["b"] * 9 + ["c"]
    assert category(cells, train=1000).names == ("c=a", "c=other")
    assert category(cells, train=1000).pooled == ("b", "c")
    assert encoded(category(cells, train=1000), ["a", "b", "new"]) == [[1, 0], [0, 1], [0, 1]]
    assert category(["a"] * 990 + ["b"] * 10 + ["c"], train=1001).names == ("c=a", "c=b", "c=c")  # c alone is rare


def test_weights_decide_what_is_rare():
    table = Table("t", ("c",), (column_of_cells(["a", "b", "c", "d"]).coded(),))
    found = CategoryInput.fit("c", table, np.arange(4), np.array([980.0, 11, 8, 1]))
    assert (found.levels, found.pooled) == (("a", "b"), ("c", "d"))
    assert category(["a"] * 97 + ["b", "b", "c"], train=100).names == ("c=a", "c=b", "c=c")  # 1 % of 100 rows


def test_a_missing_category_is_a_level():
    column = category(["a", "", "b"], train=3)
    assert column.names == ("c=a", "c=b", "c missing")
    assert encoded(column, ["", "b"]) == [[0, 0, 1], [0, 1, 0]]
    late = category(["a", "b", ""], train=2)
    assert late.names == ("c=a", "c=b")
    assert encoded(late, ["", "b"]) == [[0, 0], [0, 1]]


def test_levels_that_are_numbers_match_by_value():
    column = category(["10", "9", "10"], train=3)
    assert column.names == ("c=9", "c=10")
    assert encoded(column, ["10.0", "09"]) == [[0, 1], [1, 0]]
    assert in_order(["b", "10", "9"]) == ("10", "9", "b")


def test_one_hot_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    cells = rng.choice(list("uvwxyz"), 300, p=[0.4, 0.3, 0.2, 0.08, 0.01, 0.01])
    column = category(list(cells), train=300)
    assert column.pooled == tuple(level for level in "yz" if level not in column.levels)
    theirs = OneHotEncoder(min_frequency=3, sparse_output=False).fit_transform(cells[:, None])
    np.testing.assert_array_equal(np.array(encoded(column, list(cells))).argmax(1), theirs.argmax(1))


def test_missing_numbers_become_the_mean_of_the_training_rows():
    table = Table("t", ("x",), (Column(numbers=np.array([1.0, np.nan, 4, 100, np.nan])),))
    rows = np.arange(3)
    (mean,) = fit_inputs(table, ["x"], frozenset(), "mean", rows)
    assert (mean.mean, mean.deviation, mean.names) == (2.5, 1.5, ("x",))
    assert Encoding((mean,), ()).encode(table).tolist() == [[1], [2.5], [4], [100], [2.5]]
    (indicator,) = fit_inputs(table, ["x"], frozenset(), "indicator", rows)
    assert indicator.names == ("x", "x missing")
    assert Encoding((indicator,), ()).encode(table, np.array([1, 3])).tolist() == [[2.5, 1], [100, 0]]
    (whole,) = fit_inputs(table, ["x"], frozenset(), "indicator", np.array([0, 2]))
    assert whole.names == ("x",)  # no training row has a missing cell


def test_statistics_are_those_of_pandas_even_of_large_numbers():
    numbers = pd.Series(np.random.default_rng(0).normal(1e9, 1e-3, 500))
    fitted = NumberInput.fit("x", table_of({"x": numbers}), np.arange(500), "error")
    assert fitted.mean == pytest.approx(numbers.mean(), rel=1e-15)
    assert fitted.deviation == pytest.approx(numbers.std(ddof=0), rel=1e-6)


def test_a_column_of_numbers_refuses_texts_and_missing_cells():
    number = NumberInput("c", 0, 1)
    with pytest.raises(UserError, match="t, row 1, column c: the cell is not a finite number"):
        encoded(number, ["1", "a"])
    with pytest.raises(UserError, match=r"t, row 1, column c: the cell is missing; .* or train again with dataset\.m"):
        encoded(number, ["1", ""])
    with pytest.raises(UserError, match=r"t: no column d; the run takes d$"):
        Encoding((NumberInput("d", 0, 1),), ()).encode(Table("t", ("c",), (column_of_cells(["1"]),)))


def test_an_encoding_goes_through_json():
    made = Encoding(
        (NumberInput("x", 1.5, 2, True, True), CategoryInput("c", ("a", "b"), (3, 4), ("d",), True)),
        ("kind",),
        ("p", "q"),
        (5, 6),
        ("id",),
    )
    assert Encoding.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.names == ("x", "x missing", "c=a", "c=b", "c=other", "c missing")
    assert not made.plain


def test_unseen_cells_are_counted():
    made = Encoding((category(["a", "b", "c", "c"], train=2),), ())
    table = Table("t", ("c",), (column_of_cells(["a", "c", "c"]),))
    assert made.unseen(table, np.arange(3)) == {"c": 2}
    assert made.unseen(table, np.arange(1)) == {}
