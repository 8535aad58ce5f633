"""New rows and pictures, as the runs take them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob import load_run
from deeprob.assembly.new_inputs import PictureFiles, TableRows, new_inputs
from deeprob.errors import UserError


@pytest.fixture
def table_run(deeprob):
    """A run on a table with a number, a category and a column that is not used."""
    rows = "".join(f"{i},{i % 7},{'red' if i % 3 else 'blue'},{i % 2}\n" for i in range(60))
    Path("table.csv").write_text("id,size,color,kind\n" + rows)
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.drop=[id]", "dataset.limit=40", "trainer.epochs=1")
    assert deeprob(*words, "dataset.missing=mean", "hydra.run.dir=run").status == 0
    return load_run("run")


def test_columns_are_found_by_name(table_run, capsys):
    Path("new.csv").write_text("color,note,size\nred,x,3\ngreen,y,\nblue,z,1\n")
    inputs = new_inputs(Path("new.csv"), [table_run])
    assert capsys.readouterr().err == (
        "note: new.csv: not used: note\nnote: new.csv: color 1 cell(s) with levels that no training row has\n"
    )
    mean = table_run.encoding.inputs[0].mean
    expected = [[3, 0, 1], [mean, 0, 0], [1, 1, 0]]  # size, color=blue, color=red
    assert torch.equal(inputs.read(table_run, slice(0, 3)), torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(inputs.read(table_run, slice(1, 2)), torch.tensor(expected[1:2], dtype=torch.float64))
    assert (len(inputs), list(inputs.names(slice(1, 3))), inputs.label) == (3, [1, 2], "row")


def test_the_first_line_has_names_if_the_training_table_had_some(table_run):
    """Without numbers below it, nothing else would tell names from categories."""
    Path("new.csv").write_text("color,size\nred,\nblue,\n")
    inputs = new_inputs(Path("new.csv"), [table_run])
    assert inputs.read(table_run, slice(0, 2))[:, 1:].tolist() == [[0, 1], [1, 0]]


def test_targets_are_ignored_without_a_word(table_run, capsys):
    Path("new.csv").write_text("size,color,kind\n1,red,0\n")
    new_inputs(Path("new.csv"), [table_run])
    assert capsys.readouterr().err == ""


def test_a_mistake_in_a_table_is_one_line(table_run):
    for text, line in (
        ("size\n1\n", "new.csv: no column color; run takes size, color"),
        ("size,color\n1,red\nmany,red\n", "new.csv, line 3, column size: 'many' is not a finite number"),
        ("size,color\n1,red\ninf,red\n", r"new.csv, line 3, column size: 'inf' is not a finite number \(up to 3e38\)"),
    ):
        Path("new.csv").write_text(text)
        with pytest.raises(UserError, match=f"^{line}"):
            new_inputs(Path("new.csv"), [table_run])


def test_columns_without_names_have_their_places(deeprob):
    rows = "".join(f"{i % 2},{i % 7},{i % 5}\n" for i in range(40))
    Path("table.csv").write_text(rows)
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.targets=[0]", "trainer.epochs=1", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    run = load_run("run")
    for text in ("1,3,4\n0,5,2\n", "3,4\n5,2\n"):
        Path("new.csv").write_text(text)
        assert new_inputs(Path("new.csv"), [run]).read(run, slice(0, 2)).tolist() == [[3, 4], [5, 2]]
    Path("new.csv").write_text("1,2,3,4\n")
    with pytest.raises(UserError, match=r"^new.csv: 4 columns without names; expected 2 or 3$"):
        new_inputs(Path("new.csv"), [run])


def test_points_of_the_plane(one_run):
    run = load_run(one_run)
    Path("new.csv").write_text("x,y\n0.5,1\n2,3\n")
    inputs = new_inputs(Path("new.csv"), [run])
    assert isinstance(inputs, TableRows)
    assert inputs.read(run, slice(0, 2)).tolist() == [[0.5, 1], [2, 3]]
    Path("new.csv").write_text("x,y,z\n0.5,1,2\n")
    with pytest.raises(UserError, match=r"^new.csv: .*run takes tables of 2 columns of numbers, without targets$"):
        new_inputs(Path("new.csv"), [run])
    Path("new.csv").write_text("x,y\n0.5,1\n2,\n")
    with pytest.raises(UserError, match=r"^new.csv, line 3, column y: '' is missing; fill it in, or leave the row"):
        new_inputs(Path("new.csv"), [run])


@pytest.fixture
def picture_run(deeprob, pictures):
    """A run on the pictures of the fixture."""
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=1")
    assert deeprob(*words, "hydra.run.dir=seen").status == 0
    return load_run("seen")


def test_pictures_at_any_depth(picture_run, pictures, capsys):
    (pictures / "test" / "notes.txt").touch()
    (pictures / "test" / ".hidden").mkdir()
    shutil.copy(pictures / "test/cats/0000.png", pictures / "test/.hidden/a.png")
    inputs = new_inputs(pictures / "test", [picture_run])
    assert isinstance(inputs, PictureFiles)
    assert inputs.names(slice(0, 5)) == [*(f"cats/{i:04}.png" for i in range(4)), "dogs/0000.png"]
    expected = np.asarray(Image.open(pictures / "test/cats/0001.png")).transpose(2, 0, 1)
    assert (inputs.read(picture_run, slice(1, 2))[0].numpy() == expected).all()
    assert len(inputs) == 8
    assert capsys.readouterr().err == f"note: {pictures / 'test'}: not pictures, and so not used: notes.txt\n"
    one = new_inputs(pictures / "test/dogs/0003.png", [picture_run])
    assert (len(one), one.names(slice(0, 1))) == (1, ["0003.png"])


def test_pictures_of_another_size(picture_run, deeprob, pictures):
    Image.new("RGB", (12, 10)).save("wide.png")
    with pytest.raises(UserError, match=r"^wide.png: 12×10 pixels, and seen takes 8×8; scale the picture, or"):
        new_inputs(Path("wide.png"), [picture_run]).read(picture_run, slice(0, 1))
    words = ("dataset=image_folder", f"dataset.root={pictures}", "dataset.image_size=6", "model=linear")
    assert deeprob(*words, "trainer.epochs=1", "hydra.run.dir=scaled").status == 0
    scaled = load_run("scaled")
    assert new_inputs(Path("wide.png"), [scaled]).read(scaled, slice(0, 1)).shape == (1, 3, 6, 6)


def test_what_is_not_there_or_of_another_kind(picture_run, one_run):
    points = load_run(one_run)
    Path("new.csv").write_text("1,2\n")
    Path("folder").mkdir()
    for path, runs, line in (
        ("nowhere", [points], "input=nowhere: no such file or folder"),
        ("folder", [points], f"input=folder: a folder; {points.directory} takes a table: a CSV, Parquet or NPZ file"),
        ("new.csv", [picture_run], "input=new.csv: no picture (.jpg, .jpeg"),
        ("new.csv", [points, picture_run], "runs: some take pictures and others do not"),
    ):
        with pytest.raises(UserError) as error:
            new_inputs(Path(path), runs)
        assert str(error.value).startswith(line)
