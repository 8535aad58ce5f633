"""Data from Python: each form gives the same data, labels keep their types, and one line says what is wrong."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from deeprob.assembly.python_data import given_of, new_rows
from deeprob.data import GivenConfig
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput
from deeprob.errors import UserError

X = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
Y = [1, 0, 1, 0]


def encoded(given, **fields):
    """The splits of given data, half of them for the test."""
    found = given.found()
    return GivenConfig(digest=found.digest, test_fraction=0.5, **fields).load()


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (X.tolist(), Y),
        (X.astype(np.float32), np.array(Y, np.int8)),
        (X.astype(">f8"), pd.Series(Y)),
        (torch.tensor(X), torch.tensor(Y)),
        (torch.tensor(X).bfloat16().requires_grad_(), np.array(Y)[:, None]),
        ([torch.tensor(row) for row in X], [torch.tensor(one) for one in Y]),
        (X, np.array(Y, object)),
    ],
)
def test_arrays_lists_and_tensors_are_the_same_data(inputs, targets):
    assert given_of((inputs, targets), "data").digest == given_of((X, Y), "data").digest


def test_any_change_is_other_data():
    digests = [
        given_of(data, "data").digest
        for data in (
            (X, Y), (X + 1, Y), (X, [1, 0, 1, 1]), (X, [True, False, True, False]), (X, list("1010")),
            (X[:, ::-1], Y), (pd.DataFrame(X, columns=list("ab")), Y), (pd.DataFrame(X, columns=list("ac")), Y),
        )
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("library", [pd.DataFrame, pa.table, dict])
def test_the_last_column_of_a_frame_is_the_target_unless_the_config_says_otherwise(library):
    given = given_of(library({"a": [1.5, 2, 3, 4], "b": list("xyxy"), "kind": Y}), "data")
    splits = encoded(given)
    assert splits.columns == ("a", "b=x", "b=y")
    assert splits.classes == ("0", "1")
    assert given.labels == {"a": "float", "b": "text", "kind": "int"}
    assert encoded(given, targets=["b"]).classes == ("x", "y")


def test_a_frame_with_targets_apart():
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]})
    for targets in (pd.Series(Y, name="kind"), pd.DataFrame({"kind": Y}), {"kind": Y}):
        given = given_of((frame, targets), "data")
        assert given.targets == ("kind",)
        assert encoded(given).columns == ("a", "b")
    assert given_of((frame, pd.Series(Y, name="a")), "data").targets == ("target",)
    assert given_of((pd.DataFrame({"target": Y}), Y), "data").targets == ("target_",)


def test_numbers_to_predict():
    splits = encoded(given_of((X, X[:, :1] * 10), "data"), task="regression")
    assert sorted(splits.train.targets.flatten().tolist() + splits.test.targets.flatten().tolist()) == [10, 30, 50, 70]
    given = given_of((X, torch.tensor(X) * 10), "data")
    assert given.targets == ("target 0", "target 1")
    assert encoded(given, task="regression").train.targets.shape == (2, 2)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 4), (1, 4, 3), (2, 5, 5), (5, 4)])
def test_inputs_of_more_dimensions_are_no_table(shape):
    kind = torch.uint8 if len(shape) == 3 else torch.float32
    inputs = torch.arange(8 * np.prod(shape)).view(8, *shape).remainder(256).to(kind)
    splits = encoded(given_of((inputs, [0, 1] * 4), "data"))
    assert splits.encoding is None
    assert splits.train.inputs.dtype == kind
    together = torch.cat([splits.train.inputs, splits.test.inputs])
    assert torch.equal(together.flatten(1).sort(0).values, inputs.flatten(1).sort(0).values)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([7, -3, 7, -3], [-3, 7]),
        (np.array([10, 9, 10, 9], np.uint8), [9, 10]),
        ([-1.0, 2.0, -1.0, 2.0], [-1.0, 2.0]),
        ([True, False, True, False], [False, True]),
        (["01", "1", "01", "1"], ["01", "1"]),
        (["NA", "-", "NA", "-"], ["-", "NA"]),
        (np.array(["b", "a", "b", "a"], object), ["a", "b"]),
        (pd.Series(["b", "a", "b", "a"], dtype="category"), ["a", "b"]),
        (pd.Series([3, 4, 3, 4], dtype="Int64"), [3, 4]),
        (np.array([1, 5.0, 1, 5.0], object), [1.0, 5.0]),
        (np.array([1, "x", 1, "x"], object), ["1", "x"]),
    ],
)
def test_labels_keep_their_type(labels, expected):
    given = given_of((X, labels), "data").found()
    config = GivenConfig(digest=given.digest, test_fraction=0.5).resolved()
    labels = config.labels_of(config.load().classes)
    assert sorted(labels.tolist(), key=expected.index) == expected
    assert {type(one) for one in labels.tolist()} == {type(one) for one in expected}


NUMBERS = "are no classes; to predict numbers, add dataset.task=regression loss=squared_error, or give classes as"
WRONG = {
    "neither": (X, "data: expected data=(X, y), or a data frame with a column of targets"),
    "four": ((X, Y, Y, Y), "data: expected data=(X, y), or a data frame with a column of targets"),
    "lengths": ((X, Y[:3]), "data: X has 4 rows, but y has 3; give one target for each row"),
    "one dimension": ((X[0], Y), "data: X of shape [2]; expected rows [N, D], or pictures [N, C, H, W]"),
    "ragged": (([[1, 2], [3]], Y), "data: X: no array; expected rows of one length"),
    "complex": ((X * 1j, Y), "data: X of complex128: expected numbers or texts"),
    "cube of targets": ((X, np.zeros((4, 2, 2))), "data: y of shape [4, 2, 2]; expected [N], or [N, K] to predict K"),
    "floats as pictures": ((np.zeros((4, 3, 2, 2)), Y), "inputs of float64: expected pictures of uint8, from 0 to 255"),
    "channels last": (
        (np.zeros((4, 9, 8, 3), np.uint8), Y),
        "data: X of shape [4, 9, 8, 3]; expected pictures [N, C, H, W]: give X.transpose(0, 3, 1, 2)",
    ),
    "channels last in a tensor": (
        (torch.zeros(4, 9, 9, 1), Y),
        "data: X of shape [4, 9, 9, 1]; expected pictures [N, C, H, W]: give X.permute(0, 3, 1, 2)",
    ),
    "channels last in lists": (
        (np.zeros((4, 2, 2, 4), int).tolist(), Y),
        "data: X of shape [4, 2, 2, 4]; expected pictures [N, C, H, W]: give np.transpose(X, (0, 3, 1, 2))",
    ),
    "twice": ((pd.DataFrame({"a": Y}), pd.DataFrame({"a": Y})), "data: a is a column of X and of y; a column is"),
    "no target": ((X, [1, None, 0, 1]), "data, row 1, column target: the cell is missing; 1 row(s) have no class"),
    "missing": ((np.where(X == 3, np.nan, X), Y), "data, row 1, column 0: the cell is missing; fill it in, leave"),
    "one class": ((X, [1, 1, 1, 1]), "data: column target has one class only, 1"),
    "two columns": ((X, X), "dataset.targets: classes are given by one column; to predict numbers, set dataset.task"),
    "fractions": ((X, [1, 0.5, 1, 0.5]), f"data, column target: numbers such as 0.5 {NUMBERS}"),
    "fractions in a frame": (
        pd.DataFrame({"a": Y, "b": [2, 2.25] * 2}),
        f"data, column b: numbers such as 2.25 {NUMBERS}",
    ),
    "no rows": ((X[:0], Y[:0]), "data: 0 row(s) of data; it needs two or more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong(case):
    data, line = WRONG[case]
    with pytest.raises(UserError) as raised:
        encoded(given_of(data, "data"))
    assert str(raised.value).startswith(line)


def test_new_rows_have_the_columns_of_the_training_rows():
    encoding = Encoding((NumberInput("0", 0, 1), CategoryInput("2", ("u", "v"), (1, 1))), ("target",), left_out=("1",))
    rows = new_rows([[5, "left out", "v"]], encoding)
    assert encoding.encode(rows).tolist() == [[5, 0, 1]]
    with pytest.raises(UserError, match=r"inputs of shape \[1, 2\]: expected \[N, 3\]$"):
        new_rows([[5, 6]], encoding)
    with pytest.raises(UserError, match=r"inputs of shape \[3\]: expected \[N, 3\]; this is a single row, and \[row\]"):
        new_rows(np.zeros(3), encoding)
    named = Encoding((NumberInput("b", 0, 1), NumberInput("a", 0, 1)), ("target",))
    assert named.encode(new_rows(np.array([[5, 6]]), named)).tolist() == [[5, 6]]


def test_texts_in_frames_stay_texts():
    codes = ["01", "1", "02", "01"]
    of_frame = given_of((pd.DataFrame({"code": codes, "size": [1, 2, 3, 4]}), Y), "data").table
    assert of_frame["code"].levels == ("01", "1", "02")
    assert of_frame["size"].numbers.tolist() == [1, 2, 3, 4]
    numbers = given_of((pd.DataFrame({"code": pd.Categorical([20, 1, 20, None])}), Y), "data").table["code"]
    assert (numbers.codes.tolist(), numbers.levels) == ([1, 0, 1, -1], ("1", "20"))
    assert given_of((pa.table({"code": codes}), Y), "data").table["code"].levels == ("01", "1", "02")
    rows = [[code, size] for code, size in zip(codes, range(4), strict=True)]
    for array in (rows, np.array(rows, object)):
        table = given_of((array, Y), "data").table
        assert table["0"].levels == ("01", "1", "02")
        assert table["1"].numbers.tolist() == [0, 1, 2, 3]
    for columns in (pd.DataFrame({"code": codes}), {"code": codes}, pa.table({"code": codes})):
        assert encoded(given_of((columns, Y), "data")).columns[0] == "code=01"
    mixed = given_of(({"code": ["1", "2", "x3", "4"]}, Y), "data")
    with pytest.raises(UserError, match="row 2, column code: the cell is not a finite number; correct it"):
        encoded(mixed)  # a mistake among numbers
    whole = given_of(pd.DataFrame({"x": [1, 2, 3, 4], "kind": ["1", "01", "1", "01"]}), "data")
    assert encoded(whole).classes == ("01", "1")


def test_rows_of_x_and_encoded_rows():
    size, shade = NumberInput("0", 0, 1, False), CategoryInput("1", ("1", "2"), (2, 2), (), False)
    wider = Encoding((size, shade), ("target",), (), ())
    assert wider.names == ("0", "1=1", "1=2")
    assert new_rows(np.ones((2, 3)), wider) is None
    assert new_rows(np.ones((2, 2)), wider).names == ("0", "1")
    same = Encoding((size, shade), ("target",), (), (), ("2",))  # X has a column 2, which is left out
    with pytest.raises(
        UserError, match=r"inputs of shape \[2, 3\]: rows of X and encoded rows have 3 columns alike; give"
    ):
        new_rows(np.ones((2, 3)), same)
    for rows in (np.array([[1, np.nan, 1]]), [[1, "2", 1]]):
        assert new_rows(rows, same).names == ("0", "1", "2")
    plain = Encoding((size,), ("target",), (), ())
    assert new_rows(np.ones((2, 1)), plain).names == ("0",)


def test_weights_of_examples():
    given = given_of((X, Y, [1, 2, 3, 4]), "data")
    assert (given.weights, given.targets) == ("weights", ("target",))
    assert given.table["weights"].numbers.tolist() == [1, 2, 3, 4]
    frame = pd.DataFrame({"weights": [1, 2, 3, 4]})
    assert given_of((frame, Y, torch.ones(4)), "data").weights == "weights_"
    for weights in ([1, 2], [[1], [2], [3], [4]], list("abcd")):
        with pytest.raises(UserError, match=r"data: weights of shape .*; expected \[4\], a number for each example"):
            given_of((X, Y, weights), "data")
