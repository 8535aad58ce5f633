"""Pictures of finished runs from the command line."""

import json
from pathlib import Path

import pytest

from deeprob import load_run
from deeprob.commands.visualize import titled


def test_one_figure_of_a_run(deeprob, one_run):
    status, out, err = deeprob(
        f"run={one_run}", "figure=decision_boundary", "figure.resolution=30", command="visualize"
    )
    path = one_run / "figures/decision_boundary.png"
    assert (status, out, err) == (0, f"figure     {path}\n", "")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_figure_that_suits_a_run(deeprob, one_run):
    status, out, err = deeprob(f"run={one_run}", command="visualize")
    assert (status, err) == (0, "")
    drawn = {Path(line.split()[1]).stem for line in out.splitlines()}
    assert {"decision_boundary", "learning_curves", "confusion", "weights"} <= drawn
    assert drawn <= {path.stem for path in (one_run / "figures").iterdir()}


def test_what_does_not_suit_a_run_is_left_out_or_refused(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=1")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    result = deeprob("run=run", command="visualize")
    assert result.status == 0
    assert "decision_boundary" not in result.out
    status, out, err = deeprob("run=run", "figure=decision_boundary", command="visualize")
    assert (status, out) == (2, "")
    assert err.startswith(
        "error: figure=decision_boundary needs points of the plane, and the run's inputs have the sha"
    )


def test_the_runs_of_a_sweep_side_by_side(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    assert deeprob("-m", *words, "model.width=3,5", "seed=0,1", "hydra.sweep.dir=s").status == 0
    status, out, err = deeprob("run=s", "figure=decision_boundary", "figure.resolution=9", command="visualize")
    assert (status, out) == (0, "figure     s/figures/decision_boundary.png\n")
    assert err == "note: figure=decision_boundary shows the first of 2 seeds\n"


def test_unfinished_runs_are_left_out_with_a_remark(deeprob, small):
    assert deeprob("-m", *small, "seed=0,1", "hydra.sweep.dir=s").status == 0
    Path("s/001_seed=1/summary.json").unlink()
    result = deeprob("run=s", "figure=decision_boundary", "figure.resolution=9", command="visualize")
    assert (result.status, result.err) == (0, "note: 1 unfinished run(s) in s left out\n")


def test_runs_are_called_by_what_tells_them_apart(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    assert deeprob(*words, "model=linear", "seed=3", "hydra.run.dir=a").status == 0
    assert deeprob(*words, "model=mlp", "model.hidden=[4,5]", "hydra.run.dir=b").status == 0
    for one, other in (("a", "b"), ("b", "a")):
        assert sorted(titled([load_run(one), load_run(other)])) == ["model=linear seed=3", "model=mlp seed=0"]


def test_a_sheet_needs_no_run(deeprob):
    assert deeprob("figure=activations", command="visualize").out == "figure     outputs/figures/activations.png\n"
    assert Path("outputs/figures/activations.png").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "error: run is missing: add its directory to the command"),
        ("figure=decision_boundary", "error: run is missing: add its directory to the command"),
        ("run=nowhere", "error: run=nowhere: no run there (no config.yaml), nor any in its folders"),
        ("run=RUN figure=decision_bondary", "error: figure=decision_bondary: no such option; did you mean decision_b"),
        ("run=RUN figure=decision_boundary figure.resolution=1", "error: figure.resolution=1: expected a whole number"),
        ("run=RUN figure=decision_boundary figure.split=most", "error: figure.split=most: expected one of train, val"),
        ("run=RUN checkpoint=first", "error: checkpoint=first: expected one of best, last"),
        ("-m run=RUN", "error: -m: deeprob-visualize has no sweeps; call it once for each run"),
    ],
)
def test_mistakes(deeprob, one_run, words, line):
    before = sorted(one_run.rglob("*"))
    status, out, err = deeprob(*words.replace("RUN", str(one_run)).split(), command="visualize")
    assert (status, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert sorted(one_run.rglob("*")) == before


def test_a_split_that_was_not_held_out(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    status, _, err = deeprob("run=run", "figure=decision_boundary", "figure.split=val", command="visualize")
    assert (status, err) == (2, "error: split=val: run has no such split; choose train or test\n")


def test_the_run_is_not_changed(deeprob, one_run):
    before = {path: path.read_bytes() for path in one_run.rglob("*") if path.is_file()}
    assert deeprob(f"run={one_run}", "figure=decision_boundary", command="visualize").status == 0
    assert {path: path.read_bytes() for path in before} == before
    assert json.loads((one_run / "summary.json").read_text())["status"] == "completed"
