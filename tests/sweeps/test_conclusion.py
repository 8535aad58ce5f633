"""What a sweep ends with: further measures, a figure, claims."""

import csv
import shutil
from pathlib import Path

import pytest

from deeprob import load_run
from deeprob.analysis.plane import boundary_length, limits_of

SWEEP = ("-m", "model.width=2,8", "seed=0,1", "hydra.sweep.dir=s")


@pytest.fixture
def narrow(small) -> list[str]:
    return [word for word in small if not word.startswith("model")]


def rows() -> list[dict]:
    with Path("s/summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_measures_become_columns_and_claims_are_checked(deeprob, narrow):
    claims = "sweep.claims=['boundary/length >= 0','train/accuracy <= 1 for model.width=2']"
    words = ("sweep.measures=[boundary,probe]", claims, "sweep.figure=decision_boundary")
    status, out, err = deeprob(*narrow, *SWEEP, *words)
    assert (status, err) == (0, "note: sweep.figure=decision_boundary shows the first of 2 seeds\n")
    run = load_run("s/000_model.width=2,seed=0")
    length = boundary_length(run, limits_of(run.data().train.inputs))
    assert float(rows()[0]["boundary/length"]) == pytest.approx(length)
    assert {key for key in rows()[0] if key.startswith("probe")} == {
        "probe/linear_1", "probe/hidden_1", "probe/linear_2", "probe/hidden_2", "probe/scores",
    }  # fmt: skip
    assert "boundary/length" in out.split("mean ± standard deviation over seeds")[1]
    assert "figure     s/figures/decision_boundary.png" in out
    assert "holds      boundary/length >= 0                   all: " in out
    assert "holds      train/accuracy <= 1 for model.width=2  model.width=2: " in out
    assert Path("s/figures/decision_boundary.png").exists()


def test_a_claim_that_fails_is_status_4_and_nothing_is_lost(deeprob, narrow):
    status, out, err = deeprob(*narrow, *SWEEP, "sweep.claims=['test/accuracy > 1','test/accuracy <= 1']")
    assert (status, err) == (4, "error: 1 of 2 claims failed: test/accuracy > 1\n")
    assert "FAILS      test/accuracy > 1" in out
    assert {row["status"] for row in rows()} == {"completed"}


def test_a_claim_about_jobs_that_are_not_there_is_not_told(deeprob, narrow):
    words = ("-m", "seed=0,1", "hydra.sweep.dir=s", "sweep.claims=['test/accuracy rises with model.width']")
    status, out, err = deeprob(*narrow, *words)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("undecided  test/accuracy rises with model.width")]
    assert line.endswith("the sweep lacks the jobs that would decide it")


def test_a_sweep_that_goes_on_measures_all_its_jobs(deeprob, narrow):
    words = (*narrow, *SWEEP, "resume=auto", "sweep.measures=[boundary]")
    assert deeprob(*words).status == 0
    before = rows()
    shutil.rmtree("s/001_model.width=2,seed=1")
    assert deeprob(*words).status == 0
    assert [row["boundary/length"] for row in rows()] == [row["boundary/length"] for row in before]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "sweep.measures=[length]",
            "error: sweep.measures: no measure is called length; choose from boundary, probe, slices\n",
        ),
        ("sweep.figure=decision", "error: sweep.figure: no figure is called decision; "),
        ("sweep.claims=['accuracy rises']", "error: sweep.claims: 'accuracy rises' is not a claim; write METRIC rises"),
        ("sweep.claims=['test/acc > 0']", "error: sweep.claims: no metric test/acc; did you mean test/accuracy?\n"),
        ("sweep.claims=['boundary/length > 0']", "error: sweep.claims: no metric boundary/length; "),
        (
            "sweep.claims=['test/accuracy rises with model.widht']",
            "error: sweep.claims: no key model.widht in 'test/accuracy rises with model.widht'; did you mean mod",
        ),
    ],
)
def test_what_does_not_exist_is_named_before_anything_starts(deeprob, narrow, word, line):
    status, out, err = deeprob(*narrow, *SWEEP, word)
    assert (status, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_figure_that_does_not_suit_the_jobs(deeprob, narrow):
    status, out, err = deeprob(
        *narrow, *SWEEP, "dataset.distractors=1", "sweep.figure=decision_boundary", "sweep.claims=['train/loss > 0']"
    )
    assert status == 4
    assert "\nholds      train/loss > 0" in out
    assert err.startswith("error: sweep.figure=decision_boundary needs points of the plane")
    assert len(rows()) == 4
