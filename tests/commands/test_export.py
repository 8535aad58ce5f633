"""``deeprob-export``: files of a network and its card, and one line for each mistake."""

import importlib.util
from pathlib import Path

import pytest
import torch

from deeprob import load_run


def test_a_header_and_a_card_lie_in_the_run(one_run, deeprob):
    status, out, err = deeprob("run", "format=c", command="export")
    assert (status, err) == (0, "")
    size = Path("run/export/model.h").stat().st_size
    assert out == f"c            run/export/model.h ({size / 1e3:.1f} kB)\nmodel card   run/export/README.md\n"
    assert sorted(path.name for path in Path("run/export").iterdir()) == ["README.md", "model.h"]
    assert "model_predict" in Path("run/export/model.h").read_text()


def test_the_last_checkpoint_in_a_file_of_that_name(one_run, deeprob):
    words = ("run=run", "format=safetensors", "output=new/arms.safetensors", "checkpoint=last")
    assert deeprob(*words, command="export").status == 0
    from safetensors.torch import load_file

    weight = load_file("new/arms.safetensors")["model.layers.0.weight"]
    assert torch.equal(weight, load_run("run", "last").model.layers[0].weight)


@pytest.mark.slow
def test_programs_are_written(one_run, deeprob):
    assert deeprob("run", command="export").status == 0
    assert deeprob("run", "format=torch_export", command="export").status == 0
    assert {path.name for path in Path("run/export").iterdir()} == {"model.onnx", "model.pt2", "README.md"}


def test_a_page_of_someone_else_stays(one_run, deeprob):
    Path("README.md").write_text("# mine\n")
    status, out, err = deeprob("run", "format=c", "output=arms.h", command="export")
    assert (status, err) == (0, "note: README.md: not written by deeprob, so there is no model card\n")
    assert "model card" not in out


MISTAKES = {
    "": "run is missing: add the directory of a run to the command",
    "run=run output=a.h": "output=a.h: format=onnx needs a name that ends in .onnx",
    "run=run output=there.onnx": "output=there.onnx: there is such a file; set overwrite=true, or another output",
    "run=nowhere": "nowhere: no run there (no config.yaml); expected a directory that deeprob-train made",
    "run=run format=tflite": "format=tflite: expected one of onnx, torch_export, safetensors, c",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(one_run, deeprob, words):
    Path("there.onnx").touch()
    status, out, err = deeprob(*words.split(), command="export")
    assert (status, out, err) == (2, "", f"error: {MISTAKES[words]}\n")


def test_a_file_is_replaced_when_asked(one_run, deeprob):
    Path("arms.h").touch()
    assert deeprob("run", "format=c", "output=arms.h", "overwrite=true", command="export").status == 0
    assert Path("arms.h").stat().st_size > 0


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_a_missing_package_is_named(one_run, deeprob, monkeypatch, kind):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == kind else find(name))
    result = deeprob("run", f"format={kind}", command="export")
    line = f'error: format={kind} needs the package {kind}: pip install "deeprob[export]"\n'
    assert (result.status, result.err) == (2, line)


def test_what_fails_leaves_nothing(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "features=hog", "features.cell=4", "model=linear")
    assert deeprob(*words, "trainer.epochs=1", "hydra.run.dir=run").status == 0
    status, _, err = deeprob("run", command="export")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("error: features=hog cannot be exported; raw, pixels")
    assert not Path("run/export").exists()
