"""``deeprob-predict``: tables of answers, and one line for each mistake."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from deeprob import load_run


@pytest.fixture
def points(one_run):
    Path("new.csv").write_text("x,y\n0.5,0.25\n-0.5,0\n")
    return [[0.5, 0.25], [-0.5, 0.0]]


def test_answers_are_printed(points, deeprob):
    run = load_run("run")
    names, shares = run.predict(points), run.probabilities(points)
    lines = [f"{i},{names[i]}," + ",".join(f"{share:.9g}" for share in shares[i]) for i in (0, 1)]
    for output in ((), ("output=-",)):
        status, out, err = deeprob("run", "input=new.csv", *output, command="predict")
        assert (status, err) == (0, "")
        assert out.splitlines() == ["row,class,p(arm 0),p(arm 1),p(arm 2)", *lines]


def test_answers_in_files(points, deeprob):
    names = load_run("run").predict(points).tolist()
    for suffix in ("csv", "jsonl", "parquet"):
        status, out, err = deeprob("run=run", "input=new.csv", f"output=a.{suffix}", command="predict")
        assert (status, out, err) == (0, f"answers    a.{suffix} (2 rows)\n", "")
    assert [json.loads(line)["class"] for line in Path("a.jsonl").read_text().splitlines()] == names
    assert parquet.read_table("a.parquet").to_pydict()["class"] == names
    assert [line.split(",")[1] for line in Path("a.csv").read_text().splitlines()] == ["class", *names]


def test_numbers_have_the_names_of_their_columns(deeprob):
    rows = "".join(f"{i % 7},{100 + i % 7},{i % 7}\n" for i in range(60))
    Path("table.csv").write_text("size,price,row\n" + rows)
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.task=regression", "loss=squared_error", "model=linear")
    lbfgs = ("dataset.targets=[price,row]", "optimizer=lbfgs", "trainer.epochs=5", "trainer.precision=float64")
    assert deeprob(*words, *lbfgs, "hydra.run.dir=run").status == 0
    Path("new.csv").write_text("size\n4\n10\n")
    out = deeprob("run", "input=new.csv", command="predict").out.splitlines()
    assert out[0] == "row of input,price,row"
    numbers = [[float(cell) for cell in line.split(",")] for line in out[1:]]
    assert numbers == [pytest.approx([0, 104, 4], abs=1e-4), pytest.approx([1, 110, 10], abs=1e-4)]


def test_a_large_table_goes_through_in_batches(points, deeprob):
    Path("large.csv").write_text("x,y\n" + "0.5,0.25\n-0.5,0\n" * 10_000)
    _, *rows = deeprob("run", "input=large.csv", command="predict").out.splitlines()
    assert len(rows) == 20_000
    few = deeprob("run", "input=new.csv", command="predict").out.splitlines()[1:]
    for place in (0, 1, 16_383, 16_384, 19_999):
        number, name, *shares = rows[place].split(",")
        _, known, *others = few[place % 2].split(",")
        assert (int(number), name) == (place, known)
        assert [float(share) for share in shares] == pytest.approx([float(share) for share in others], abs=1e-6)


def test_pictures_by_two_runs(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=2")
    assert deeprob(*words, "hydra.run.dir=one").status == 0
    assert deeprob(*words, "dataset.image_size=6", "features=pixels", "hydra.run.dir=two").status == 0
    status, out, err = deeprob("one", "two", f"input={pictures}/test", command="predict")
    assert (status, err) == (0, "")
    header, *rows = out.splitlines()
    assert header == "file,class,p(cats),p(dogs)"
    assert [row.split(",")[0].split("/")[0] for row in rows] == ["cats"] * 4 + ["dogs"] * 4


MISTAKES = {
    "input=new.csv": "run is missing: add its directory to the command, or several to fuse",
    "run=run": "input is missing: add input=FILE, a table or a picture, or a folder of pictures",
    "run=run runs=[a,b] input=new.csv": (
        "run and runs exclude each other: run=DIR takes one, runs=[DIR,DIR] fuses several"
    ),
    "runs=[run,./run] input=new.csv": "runs=[run,./run]: expected two runs or more, each once; run=DIR takes one",
    "run=run input=new.csv output=a.txt": (
        "output=a.txt: expected a name that ends in .csv, .jsonl, .ndjson, .parquet, .pq"
    ),
    "run=run input=new.csv output=new.csv": (
        "output=new.csv: there is such a file; set overwrite=true, or another output"
    ),
    "run=run input=new.csv output=no/a.csv": "output=no/a.csv: no folder no",
    "run=run input=nowhere.csv": "input=nowhere.csv: no such file or folder",
    "run=nowhere input=new.csv": "nowhere: no run there (no config.yaml); expected a directory that deeprob-train made",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(points, deeprob, words):
    status, out, err = deeprob(*words.split(), command="predict")
    assert (status, out, err) == (2, "", f"error: {MISTAKES[words]}\n")


def test_a_file_is_replaced_when_asked(points, deeprob):
    Path("a.csv").touch()
    assert deeprob("run", "input=new.csv", "output=a.csv", "overwrite=true", command="predict").status == 0
    assert Path("a.csv").read_text().startswith("row,class")
