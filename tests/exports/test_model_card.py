"""The card beside an export says what the network is, and its programs run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deeprob import load_run
from deeprob.exports.c_header import write_c
from deeprob.exports.description import described
from deeprob.exports.model_card import c_name, snippet, write_card
from deeprob.exports.network import network_of
from deeprob.exports.onnx_file import write_onnx
from deeprob.exports.safetensors_file import write_safetensors
from deeprob.exports.torch_file import write_torch


@pytest.fixture
def run(one_run):
    return load_run(one_run)


def card_of(run, name="arms.onnx", kind="onnx"):
    Path(name).touch()
    path = write_card(run, described(run), Path(name), kind)
    return None if path is None else path.read_text(encoding="utf-8")


def test_a_card_has_data_results_and_settings(run):
    text = card_of(run)
    assert "# spirals-mlp-adamw\n" in text
    assert "one of 3 classes from 2 numbers" in text
    assert "- classes, in the order of the scores: arm 0, arm 1, arm 2" in text
    counts = [run.metrics[f"examples/{split}"] for split in ("train", "val", "test")]
    assert counts == [72, 18, 60]
    assert "| measure | train (72 examples) | val (18 examples) | test (60 examples) |" in text
    loss = " | ".join(f"{run.metrics[f'{split}/loss']:.5g}" for split in ("train", "val", "test"))
    assert f"| loss | {loss} |" in text
    provenance = json.loads(Path(run.directory, "provenance.json").read_text())
    assert f"- command: `{provenance['command']}`" in text
    assert f"torch {provenance['packages']['torch']}" in text
    assert Path(run.directory, "config.yaml").read_text().strip() in text
    assert run.seal in text


def test_a_card_of_a_table_names_its_columns(deeprob):
    rows = "".join(f"{'red' if i % 2 else 'blue|green'},{'' if i == 5 else i % 7},{i % 2}\n" for i in range(40))
    Path("table.csv").write_text("color,size,kind\n" + rows)
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.missing=mean", "trainer.epochs=1", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    text = card_of(load_run("run"))
    assert "| color | 0 blue\\|green, 1 red; any other number is a level that training has not seen |" in text
    assert re.search(r"\| size \| the number itself; NaN becomes [23]\.\d+ \|", text)
    assert "- classes, in the order of the scores: 0 (" in text


def test_one_card_describes_all_files_of_a_run_that_are_there(run):
    card_of(run)
    both = card_of(run, "arms.h", "c")
    assert both.index("onnxruntime") < both.index('#include "arms.h"')
    Path("arms.onnx").unlink()
    assert "onnxruntime" not in card_of(run, "arms.h", "c")


def test_a_page_of_someone_else_is_left_as_it_is(run):
    Path("README.md").write_text("# mine\n")
    assert card_of(run) is None
    assert Path("README.md").read_text() == "# mine\n"


def test_without_provenance_there_is_a_card_too(run):
    Path(run.directory, "provenance.json").write_text("{")
    assert "- command" not in card_of(run)


@pytest.mark.parametrize(("stem", "name"), [("arms", "arms"), ("3 ärms", "network_3__rms"), ("_a", "network__a")])
def test_names_in_c(stem, name):
    assert c_name(stem) == name


@pytest.mark.slow
def test_the_python_programs_run(run):
    about = described(run)
    write_safetensors(run, about, Path("arms.safetensors"))
    network = network_of(run)
    write_onnx(network, about, Path("arms.onnx"))
    write_torch(network, about, Path("arms.pt2"))
    expected = run([[0.0, 0.0]])[0].tolist()
    for name, kind in (("arms.onnx", "onnx"), ("arms.pt2", "torch_export"), ("arms.safetensors", "safetensors")):
        program = re.search(r"```python\n(.*?)```", snippet(name, kind, about), re.DOTALL)[1]
        seen = {}
        exec(program, seen)
        if kind == "safetensors":
            assert seen["tensors"]["model.layers.0.weight"].shape == (8, 2)
        else:
            assert seen["scores"][0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_the_program_in_c_runs(run):
    about = described(run)
    write_c(network_of(run), about, Path("arms.h"))
    Path("main.c").write_text(re.search(r"```c\n(.*?)```", snippet("arms.h", "c", about), re.DOTALL)[1])
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "main.c", "-o", "main", "-lm"], check=True)
    told = subprocess.run([Path("main").resolve()], capture_output=True, text=True, check=True).stdout.split()
    assert [float(word) for word in told] == pytest.approx(run([[0.0, 0.0]])[0].tolist(), rel=1e-4)
