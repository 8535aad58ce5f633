"""CSV files: what is read, and one line for each way in which a file can be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from deeprob.data import CSVConfig
from deeprob.data.dialect import Asked
from deeprob.data.frames import table_of
from deeprob.data.table_file import read_table_file
from deeprob.errors import UserError

FLOWERS = "length,width,kind\n" + "".join(f"{4 + i / 10},{i % 3},{'abc'[i % 3]}\n" for i in range(30))


def table(text: str | bytes, **fields) -> CSVConfig:
    path = Path("table.csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CSVConfig(root=str(path), **fields)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(splits) -> list[tuple]:
    """All rows of both splits, in the order of their inputs."""
    inputs = torch.cat([splits.train.inputs, splits.test.inputs]).tolist()
    targets = torch.cat([splits.train.targets, splits.test.targets]).tolist()
    return sorted((*x, y) for x, y in zip(inputs, targets, strict=True))


def test_the_last_column_is_the_class_and_all_others_are_inputs():
    splits = table(FLOWERS).load()
    assert splits.classes == ("a", "b", "c")
    assert (len(splits.train), len(splits.test)) == (24, 6)
    assert splits.test.targets.bincount().tolist() == [2, 2, 2]  # drawn evenly
    assert rows(splits) == [(4 + i / 10, i % 3, i % 3) for i in range(30)]


def test_columns_by_name_and_by_place():
    splits = table(FLOWERS, targets=["width"], inputs=["length"]).load()
    assert splits.classes == ("0", "1", "2")
    assert splits.train.inputs.shape == (24, 1)
    without_header = FLOWERS.partition("\n")[2]
    by_place = table(without_header, targets=["1"], inputs=["0"]).load()
    assert rows(by_place) == rows(splits)


def test_names_are_those_of_the_header_and_none_without_one():
    splits = table(FLOWERS, inputs=["width", "length"]).load()
    assert (splits.columns, splits.target_columns) == (("width", "length"), ())
    assert table(FLOWERS.partition("\n")[2]).load().columns == ()
    text = "x,y\n" + "".join(f"{n},{2 * n}\n" for n in range(9))
    splits = table(text, task="regression", val_fraction=0.2).load()
    assert (splits.columns, splits.target_columns) == (("x",), ("y",))
    splits = table(text.partition("\n")[2], task="regression").load()
    assert (splits.columns, splits.target_columns) == ((), ())


def test_regression_to_several_columns():
    text = "x,y,z\n1,10,100\n2,20,200\n3,30,300\n4,40,400\n"
    config = table(text, task="regression", targets=["z", "x"], test_fraction=0.25)
    splits = config.load()
    assert config.regression
    assert splits.classes == ()
    assert splits.outputs == 2
    assert rows(splits) == [(10 * i, [100 * i, i]) for i in range(1, 5)]
    assert splits.train.targets.dtype == torch.float64


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_the_delimiter_is_found_out(separator):
    text = FLOWERS.replace(",", separator)
    assert rows(table(text).load()) == rows(table(FLOWERS).load())


def test_a_delimiter_may_be_told():
    splits = table("a,1;2;x\nb,1;3;y\na,1;4;x\n", header=False, delimiter="semicolon", inputs=["1"]).load()
    assert splits.classes == ("x", "y")


def test_numbers_as_classes_are_ordered_as_numbers():
    assert table("1,10\n2,9\n3,10\n4,9\n5,-1\n6,-1\n").load().classes == ("-1", "9", "10")


def test_quotes_spaces_blank_lines_and_a_byte_order_mark():
    text = '\ufeffx, "the, kind"\r\n\r\n 1 ,"a ""b"""\r\n2,c\r\n3,c\r\n 4, "a ""b"""\r\n'
    splits = table(text).load()
    assert splits.classes == ('a "b"', "c")
    assert rows(splits) == [(1, 0), (2, 1), (3, 1), (4, 0)]


def test_the_split_is_the_seeds():
    assert torch.equal(table(FLOWERS).load().test.inputs, table(FLOWERS).load().test.inputs)
    assert not torch.equal(table(FLOWERS).load().test.inputs, table(FLOWERS, seed=1).load().test.inputs)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"targets": ["knd"]}, "dataset.targets: table.csv has no column knd; did you mean kind?"),
        ({"inputs": ["3"]}, "dataset.inputs: table.csv has no column 3; choose from length, width, kind"),
        ({"inputs": ["width", "kind"]}, "dataset.inputs: kind is a target; a column is one or the other"),
        ({"targets": ["length", "kind"]}, "dataset.targets: classes are given by one column; to"),
        ({"targets": ["length", "width", "kind"]}, "dataset.targets: no column of table.csv is left to predict from"),
        ({"targets": ["length"], "inputs": ["width"]}, "column length has 30 different values in 30 rows, too many"),
        (
            {"task": "regression"},
            "table.csv, line 2, column kind: 'a' is not a finite number; correct it, or predict",
        ),
        ({"test_fraction": 0.001}, "dataset.test_fraction=0.001: 30 examples give 0 for the test"),
    ],
)
def test_columns_that_do_not_fit_are_named(fields, line):
    with pytest.raises(UserError) as caught:
        table(FLOWERS, **fields).load()
    assert line in str(caught.value)


MALFORMED = {
    "empty": (b"", "empty; expected a table"),
    "blank lines": (b"\n\n  \n", "empty; expected a table"),
    "names alone": (b"x,y\n", "0 row(s) of data; it needs two or more"),
    "one row": (b"x,y\n1,a\n", "1 row(s) of data; it needs two or more"),
    "one column": (b"x\n1\n2\n", "only one column; a table needs two or more"),
    "a short row": (b"x,y\n1,a\n2\n3,b\n", "line 3: 1 cells, but the first row has 2 (cells end at a comma); correct"),
    "a long row": (b"x,y\n1,a\n2,b,c\n", "line 3: 3 cells, but the first row has 2"),
    "an empty cell": (
        b"x,y\n1,a\n,b\n",
        "line 3, column x: '' is missing; fill it in, leave the row out, or set dataset.missing=mean",
    ),
    "a word": (b"x,y\n1,a\nmany,b\n", "line 3, column x: 'many' is not a finite number"),
    "nan": (b"x,y\n1,a\nnan,b\n", "line 3, column x: 'nan' is missing"),
    "infinity": (b"x,y\n-inf,a\n2,b\n", "line 2, column x: '-inf' is not a finite number"),
    "too large": (b"x,y\n1,a\n1e39,b\n", "line 3, column x: '1e39' is not a finite number"),
    "underscores": (b"x,y\n1,a\n1_0,b\n", "line 3, column x: '1_0' is not a finite number"),
    "one class": (b"x,y\n1,a\n2,a\n", "column y has one class only, a"),
    "no class": (b"x,y\n1,a\n2,\n", "line 3, column y: '' is missing; 1 row(s) have no class; the classes are a (1)"),
    "the same name twice": (b"x,x,y\n1,2,a\n3,4,b\n", "column 2 has the name x again"),
    "utf-16 without a mark": ("x,y\n1,a\n2,b\n".encode("utf-16-le"), "not a text file in UTF-8"),
    "zeros": (b"x,y\n1,a\n2,\0\n", "not a text file in UTF-8"),
    "an open quote": (b'x,y\n1,"a\n2,b\n', "line 3: not CSV (unexpected end of data)"),
    "a stray quote": (b'x,y\n1,"a"b\n2,b\n', "line 2: not CSV"),
    "an archive": (b"PK\x03\x04\x14\x00\x08\x08\x80\x93\xff\xfe", "a workbook or another zip archive; save"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_one_line_status_2_and_leaves_nothing(deeprob, name):
    content, line = MALFORMED[name]
    table(content)
    status, out, err = deeprob("dataset=csv", "dataset.root=table.csv")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith(f"error: {Path.cwd() / 'table.csv'}")
    assert line in err
    assert [path.name for path in Path.cwd().iterdir()] == ["table.csv"]


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_file_that_is_not_there(deeprob, name):
    status, _, err = deeprob("dataset=csv", f"dataset.root={name}")
    assert status == 2
    assert err.startswith(f"error: dataset.root={(Path.cwd() / name).resolve()}: ")
    assert list(Path.cwd().iterdir()) == []


def test_a_line_is_found_from_the_command_line(deeprob):
    # y = 3x − 2: least squares has no error left
    Path("line.csv").write_text("x,y\n" + "".join(f"{i / 10},{3 * i / 10 - 2}\n" for i in range(50)))
    words = ("dataset=csv", "dataset.root=line.csv", "dataset.task=regression", "dataset.val_fraction=0.2")
    more = ("loss=squared_error", "model=linear", "optimizer=lbfgs", "trainer.precision=float64")
    result = deeprob(*words, *more, "hydra.run.dir=run")
    assert result.status == 0
    assert "accuracy" not in result.out
    from deeprob import load_run

    run = load_run("run")
    assert run.metrics["test/loss"] < 1e-20
    assert run(torch.tensor([[10.0]])).item() == pytest.approx(28)
    assert run.config.trainer.monitor == "val/loss"
    assert not [name for name in run.metrics if "accuracy" in name]
    again = deeprob("run=run", command="evaluate")
    assert again.status == 0
    assert "accuracy" not in again.out


def table_of_two_targets(path, scale, shift):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = np.stack([x @ [1.0, -2.0, 0.5], np.tanh(x[:, 0])], 1) + 0.3 * rng.normal(size=(80, 2))
    rows = np.concatenate([x, y * scale + shift], 1)
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    Path(path).write_text("\n".join(["a,b,c,y,z", *lines]) + "\n")


def test_targets_are_trained_standardised_and_predicted_in_their_own_units(deeprob):
    from deeprob import load_run

    words = ("dataset=csv", "dataset.task=regression", "dataset.targets=[y,z]", "loss=squared_error", "model=linear")
    words += ("optimizer=lbfgs", "trainer.epochs=50", "trainer.figures=[]")
    table_of_two_targets("small.csv", 1.0, 0.0)
    table_of_two_targets("large.csv", 1e6, 1e9)
    for name in ("small", "large"):
        assert deeprob(*words, f"dataset.root={name}.csv", f"hydra.run.dir={name}").status == 0
    small, large = load_run("small"), load_run("large")
    assert large.metrics["test/loss"] == pytest.approx(small.metrics["test/loss"], rel=1e-5)
    test = small.data().test
    predicted = small(test.inputs)
    assert predicted.dtype == torch.float64
    torch.testing.assert_close((large(test.inputs) - 1e9) / 1e6, predicted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(small.scores("test"), predicted)
    deviation = small.data().train.targets.std(0, correction=0)
    loss = (((predicted - test.targets) / deviation) ** 2).sum(1).mean().item()
    assert loss == pytest.approx(small.metrics["test/loss"], rel=1e-5)
    assert small.evaluate("test") == {
        name.removeprefix("test/"): value for name, value in small.metrics.items() if name.startswith("test/")
    }
    design = torch.cat([small.data().train.inputs, torch.ones(64, 1)], 1).double()
    solution = torch.linalg.lstsq(design, small.data().train.targets).solution
    expected = torch.cat([test.inputs, torch.ones(16, 1)], 1).double() @ solution
    torch.testing.assert_close(predicted, expected, rtol=1e-3, atol=1e-3)


def test_standardised_targets_can_be_turned_off(deeprob):
    from deeprob import load_run

    table_of_two_targets("small.csv", 1.0, 5.0)
    words = ("dataset=csv", "dataset.root=small.csv", "dataset.task=regression", "dataset.inputs=[a,b,c]")
    more = ("dataset.standardize_targets=false", "loss=squared_error", "model=linear", "trainer.epochs=1")
    assert deeprob(*words, *more, "trainer.figures=[]", "hydra.run.dir=run").status == 0
    run = load_run("run")
    assert run.predictor.target_scale is None
    assert run(run.data().test.inputs).dtype == torch.float32
    assert run.metrics["test/loss"] > 10  # predictions near 0, targets near 5


MIXED = "size,color,age,kind\n" + "".join(
    f"{n % 9},{['red', 'blue', ''][n % 3]},{'' if n % 10 == 0 else n},{'ab'[n % 2]}\n" for n in range(60)
)


def test_a_table_of_all_kinds_through_a_run(deeprob):
    Path("mixed.csv").write_text(MIXED)
    words = ("dataset=csv", "dataset.root=mixed.csv", "dataset.missing=indicator", "dataset.categorical=[size]")
    words = (*words, "scheduler=constant", "model=linear")
    result = deeprob(*words, "trainer.epochs=2", "hydra.run.dir=run")
    assert result.status == 0
    told = result.err.splitlines()
    assert told[:3] == [
        f"note: {Path.cwd() / 'mixed.csv'}: 48 train, 12 test rows, 14 inputs",
        "  file        comma between cells; first line has the names",
        "  numbers     age",
    ]
    assert told[3].startswith("  category    size: 0 ")
    assert told[4].startswith("  category    color: blue ")
    assert told[5:] == ["  missing     color 20, age 6 cell(s)", "  classes     kind: a 24, b 24"]
    from deeprob import load_run

    run = load_run("run")
    assert run.encoding == run.data().encoding
    assert run.data().columns == (
        *(f"size={level}" for level in range(9)), "color=blue", "color=red", "color missing", "age", "age missing",
    )  # fmt: skip
    rows = {"color": ["blue", None, "green"], "age": [30.0, None, 41.0], "size": [1, 2, 3]}
    assert torch.equal(run(pd.DataFrame(rows)), run(run.encoding.encode(table_of(rows))))
    with pytest.raises(UserError, match=r"the table: no column age; the run takes size, color, age$"):
        run(pd.DataFrame({"color": ["blue"], "size": [1]}))
    text = Path("mixed.csv").read_text()
    Path("mixed.csv").write_text(text.replace("blue", "azure"))
    changed = deeprob("run=run", command="evaluate")
    assert changed.status == 2
    assert "no longer that of the run, which had the inputs size=0, size=1" in changed.err
    Path("mixed.csv").write_text(text)
    assert json.loads(Path("run/columns.json").read_text()) == json.loads(json.dumps(run.encoding.to_json()))
    rows = run.encoding.encode(read_table_file(Path("mixed.csv"), Asked()))
    assert rows.shape == (60, 14)
    assert torch.isfinite(run(rows)).all()
    again = deeprob("resume=run", "trainer.epochs=3")
    assert again.status == 0


def test_a_sweep_tells_a_table_once(deeprob):
    Path("mixed.csv").write_text(MIXED)
    words = ("-m", "dataset=csv", "dataset.root=mixed.csv", "dataset.drop=[age]", "dataset.missing=mean")
    result = deeprob(*words, "model=linear", "trainer.epochs=1", "dataset.seed=0,1", "seed=0,1")
    assert result.status == 0
    assert result.err.count("note:") == result.err.count("rows,") == 1


def test_the_encoding_is_fitted_on_the_training_rows():
    lines = "".join(f"{n},{'late' if n == 3 else 'uv'[n % 2]},{'ab'[n % 2]}\n" for n in range(10))
    splits = table("x,c,kind\n" + lines).load()
    for seed in range(50):
        splits = table("x,c,kind\n" + lines, seed=seed).load()
        trained = 3 in splits.train.inputs[:, 0].tolist()
        assert splits.columns[1:] == (("c=late", "c=u", "c=v") if trained else ("c=u", "c=v"))
        assert splits.encoding.inputs[0].mean == pytest.approx(splits.train.inputs[:, 0].mean().item())
        if not trained:
            assert "unseen      c 1 cell(s)" in "\n".join(splits.told)
            return
    pytest.fail("row 3 was always in the training split")


def test_files_for_the_test_and_the_validation():
    config = table(FLOWERS)
    Path("test.csv").write_text("kind;length;more;width\nb;1,5;9;2\na;2,5;9;3\n")
    Path("val.csv").write_text("length,width,kind\n7,8,c\n")
    both = replace(config, test="test.csv", val="val.csv")
    splits = both.load()
    assert both.has_validation
    assert (len(splits.train), splits.test.inputs.tolist()) == (30, [[1.5, 2], [2.5, 3]])
    assert (splits.test.targets.tolist(), splits.val.inputs.tolist(), splits.val.targets.tolist()) == (
        [1, 0], [[7, 8]], [2],
    )  # fmt: skip
    drawn = replace(config, val="val.csv").load()
    assert (len(drawn.train), len(drawn.val), len(drawn.test)) == (24, 1, 6)
    assert torch.equal(drawn.test.inputs, config.load().test.inputs)
    assert replace(config, test="test.csv").resolved().test == str(Path("test.csv").resolve())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("length,kind\n1,a\n", "other.csv: no column width, which table.csv has; it needs the same columns"),
        (
            "length,width,kind\n1,2,d\n",
            "other.csv, line 2, column kind: 'd' is no class of the training table; expected",
        ),
        ("length,width,kind\n1,x,a\n1,2,b\n1,3,a\n", "other.csv, line 2, column width: 'x' is not a finite number"),
        ("1,2,a\n1,2,b\n3,4,a\n", "other.csv: a header in only one of this file and table.csv; set dataset.header"),
        ("length,width,kind\n", "other.csv: 0 row(s) of data; it needs one or more"),
    ],
)
@pytest.mark.parametrize("split", ["test", "val"])
def test_other_files_have_the_same_columns(split, text, line):
    config = table(FLOWERS)
    Path("other.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        replace(config, **{split: "other.csv"}).load()
    assert line in str(caught.value)


def test_a_validation_file_excludes_a_drawn_validation_split(deeprob):
    Path("table.csv").write_text(FLOWERS)
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.val=table.csv", "dataset.val_fraction=0.2")
    status, _, err = deeprob(*words)
    assert status == 2
    assert "dataset.val_fraction=0.2" in err
    assert "set one of them" in err
    status, _, err = deeprob("dataset=csv", "dataset.root=table.csv", "dataset.test=none.csv")
    assert status == 2
    assert err.startswith(f"error: dataset.test={Path.cwd() / 'none.csv'}: No such file")


def test_many_columns_are_summarised():
    names = [f"n{place}" for place in range(300)] + [f"c{place}" for place in range(20)]
    lines = [",".join([*(["1"] * 300), *(["uv"[row % 2]] * 20), "ab"[row % 2]]) for row in range(10)]
    told = table(",".join([*names, "kind"]) + "\n" + "\n".join(lines) + "\n").load().told
    assert len(told) <= 15
    assert max(map(len, told)) < 120
    assert told[2] == "numbers     n0, n1, n2, n3, n4, n5, n6, n7 and 292 more"


def test_a_column_of_weights():
    rows_of = [(i % 7, "uvw"[i % 3], i % 4, "ab"[i % 2]) for i in range(40)]
    frame = pd.DataFrame(rows_of, columns=["x", "c", "count", "kind"])
    frame.loc[frame.index % 5 == 0, "x"] = None
    test = frame[:6].assign(count=1)
    config = CSVConfig(root="", weights="count", missing="indicator")
    found = config.split(table_of(frame), table_of(test))
    assert found.columns == ("x", "x missing", "c=u", "c=v", "c=w")
    assert found.train.weights.tolist() == [count for count in frame["count"] if count]
    assert found.test.weights.tolist() == [1] * 6
    copies = frame.loc[frame.index.repeat(frame["count"])]
    wanted = replace(config, weights=None, drop=["count"]).split(table_of(copies), table_of(test))
    for mine, theirs in zip(found.encoding.inputs, wanted.encoding.inputs, strict=True):
        if hasattr(mine, "mean"):
            assert (mine.mean, mine.deviation) == pytest.approx((theirs.mean, theirs.deviation), rel=1e-12)
        assert mine.names == theirs.names
    places = torch.arange(len(found.train)).repeat_interleave(found.train.weights.long())
    torch.testing.assert_close(found.train.inputs[places], wanted.train.inputs)
    assert torch.equal(found.train.targets[places], wanted.train.targets)


def test_weights_go_to_each_split_with_their_rows():
    text = "x,n,y\n" + "".join(f"{i},{i % 3},{'ab'[i % 2]}\n" for i in range(30))
    splits = table(text, weights="n", val_fraction=0.25).load()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (12, 4, 4)
    for part in (splits.train, splits.val, splits.test):
        assert (part.inputs[:, 0] % 3).tolist() == part.weights.tolist()


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ("1,-2,1", r"table.csv, line 3, column n: '-2' is no weight; expected a number of 0 or above; correct it, or"),
        ("1,,1", r"table.csv, line 3, column n: '' is missing; expected a number of 0 or above"),
        ("1,many,1", r"table.csv, line 3, column n: 'many' is no weight"),
        ("0,0,0", r"table.csv, column n: all weights are 0; some must be above 0"),
    ],
)
def test_weights_that_cannot_be(cells, line):
    text = "x,n,y\n" + "".join(f"{i},{cell},{'ab'[i % 2]}\n" for i, cell in enumerate(cells.split(",") * 2))
    with pytest.raises(UserError, match=line):
        table(text, weights="n").load()
