import numpy as np
import pytest
import torch

from deeprob.data.columns import Column, Table
from deeprob.data.frames import table_of
from deeprob.data.tabular import (
    Roles,
    categories_among,
    check_numbers,
    choose_roles,
    class_numbers,
    numbers_to_predict,
)
from deeprob.errors import UserError

TABLE = table_of({"x": [1.0, 2, 3], "c": ["u", "v", "u"], "": [0, 1, 2], "y": ["10", "9", "10.0"]})


def test_the_last_column_is_predicted_from_all_others_with_a_name():
    assert choose_roles(TABLE, None, None, None) == Roles(("x", "c"), ("y",), ("a column without a name",))
    assert choose_roles(TABLE, None, None, ["y"]) == Roles(("x",), ("c",), ("a column without a name", "y"))
    assert choose_roles(TABLE, ["x"], ["y", "c"], None).inputs == ("y", "c")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((["z"], None, None), r"dataset\.targets: the table has no column z"),
        ((None, ["x", "y"], None), r"dataset\.inputs: y is a target"),
        ((None, ["x"], ["x"]), r"dataset\.drop: x is a target or an input"),
        ((["x", "c", "y"], None, None), r"dataset\.targets: no column of the table is left to predict from"),
        ((None, None, ["x", "c", "y"]), r"dataset\.drop: no column of the table is left"),
    ],
)
def test_roles_that_do_not_fit(given, line):
    with pytest.raises(UserError, match=line):
        choose_roles(TABLE, *given)


def test_a_column_of_weights_is_no_input_and_no_target():
    assert choose_roles(TABLE, None, None, None, "y") == Roles(("x",), ("c",), ("a column without a name",), ("y",))
    assert choose_roles(TABLE, ["y"], None, None, "x").inputs == ("c",)
    with pytest.raises(UserError, match=r"dataset\.weights: the table has no column z"):
        choose_roles(TABLE, None, None, None, "z")
    for given in ((["x"], None, None), (None, ["x"], None), (None, None, ["x"])):
        with pytest.raises(UserError, match=r"dataset\.weights: x is a target, an input or dropped"):
            choose_roles(TABLE, *given, "x")


def test_texts_are_categories_and_numbers_when_listed():
    assert categories_among(TABLE, ["x", "c"], None) == {"c"}
    assert categories_among(TABLE, ["x", "c"], ["auto"]) == {"c"}
    assert categories_among(TABLE, ["x", "c"], ["x"]) == {"x", "c"}
    with pytest.raises(UserError, match="has no column z"):
        categories_among(TABLE, ["x"], ["z"])


def test_many_texts_are_no_categories_unless_listed():
    names = table_of({"n": [f"n{place}" for place in range(100)], "y": [0, 1] * 50})
    with pytest.raises(UserError, match="100 different texts in 100 rows, too many"):
        categories_among(names, ["n"], None)
    assert categories_among(names, ["n"], ["n"]) == {"n"}


def test_numbers_that_repeat_may_be_levels_beside_texts():
    assert categories_among(table_of({"c": ["1", "2", "1", "2", "K"]}), ["c"], None) == {"c"}
    with pytest.raises(UserError, match="row 2, column c"):
        categories_among(table_of({"c": ["1", "2", "K", "4"]}), ["c"], None)


def test_texts_of_numbers_are_categories_if_the_source_has_types():
    def table(levels: tuple[str, ...], *, typed: bool) -> Table:
        return Table("t", ("c",), (Column(codes=np.arange(len(levels), dtype=np.int32), levels=levels, typed=typed),))

    assert categories_among(table(("01", "02"), typed=True), ["c"], None) == {"c"}
    for levels, typed in ((("01", "02"), False), (("01", "02", "1 000"), True), (("1", "2", "3", "K"), True)):
        with pytest.raises(UserError, match="the cell is not a finite number"):
            categories_among(table(levels, typed=typed), ["c"], None)
    with pytest.raises(UserError, match="30 different texts in 30 rows, too many for categories"):
        categories_among(table(tuple(map(str, range(30))), typed=True), ["c"], None)


def test_classes_are_sorted_by_value():
    numbers, classes = class_numbers(TABLE, "y")
    assert (numbers.tolist(), classes) == ([1, 0, 1], ("9", "10"))
    assert class_numbers(TABLE, "y", ("8", "9", "10"))[0].tolist() == [2, 1, 2]
    with pytest.raises(UserError, match="row 1, column y: the cell is no class of the training table; expected 8, 10"):
        class_numbers(TABLE, "y", ("8", "10"))


def test_numbers_to_predict():
    table = table_of({"a": [1, 2], "b": [3.5, 4], "c": ["u", "v"], "d": [1, np.nan]})
    assert torch.equal(numbers_to_predict(table, ["b", "a"]), torch.tensor([[3.5, 1], [4, 2]], dtype=torch.float64))
    with pytest.raises(UserError, match=r"row 0, column c: the cell is not a finite number; .*task=classification"):
        numbers_to_predict(table, ["c"])
    with pytest.raises(UserError, match="row 1, column d: the cell is missing"):
        numbers_to_predict(table, ["d"])


def test_numbers_are_checked():
    table = table_of({"a": [1, np.nan], "b": [1, -np.inf], "c": [1, 3.5e38]})
    check_numbers(table, ["a"], missing=True)
    with pytest.raises(UserError, match="row 1, column a: the cell is missing"):
        check_numbers(table, ["a"], missing=False)
    for name in ("b", "c"):
        with pytest.raises(UserError, match=f"row 1, column {name}: the cell is not a finite number"):
            check_numbers(table, [name], missing=True)
