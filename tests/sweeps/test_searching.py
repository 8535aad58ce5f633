"""Sweepers that search: they see what became of a batch of jobs before they choose the next."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from deeprob.assembly.config import TrainConfig
from deeprob.config import options
from deeprob.sweeps.job import Job
from deeprob.sweeps.searching import Found

CHOICES = {
    "dataset": "spirals", "features": "raw", "model": "mlp", "loss": "cross_entropy", "regularizer": "none",
    "optimizer": "adamw", "scheduler": "constant", "trainer": "default",
}  # fmt: skip

WORDS = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=3", "hydra.sweep.dir=s")
VALIDATED = "dataset.val_fraction=0.2"
HIGHEST = "hydra.sweeper.direction=maximize"
RATES = "optimizer.lr=tag(log,interval(1e-5,1e-1))"

pytestmark = pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")


def table() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("s/summary.csv").read_text().splitlines()))


def chosen() -> dict:
    return yaml.safe_load(Path("s/optimization_results.yaml").read_text())


@pytest.mark.parametrize("launcher", ["auto", "basic"])
def test_optuna_is_told_the_monitored_metric(deeprob, small, launcher):
    result = deeprob(*WORDS, *small, VALIDATED, RATES, HIGHEST, f"hydra/launcher={launcher}")
    assert result.status == 0, result.err
    accuracies = {
        folder.name: json.loads((folder / "summary.json").read_text())["val/accuracy"]
        for folder in Path("s").iterdir()
        if folder.is_dir()
    }
    assert sorted(name[:3] for name in accuracies) == ["000", "001", "002", "003", "004", "005"]
    assert chosen()["best_value"] == max(accuracies.values())
    best = [name for name in accuracies if f"={chosen()['best_params']['optimizer.lr']}" in name]
    assert [accuracies[name] for name in best] == [chosen()["best_value"]]
    rows = table()
    assert {
        f"{number:03}_optimizer.lr={row['optimizer.lr']}": float(row["val/accuracy"]) for number, row in enumerate(rows)
    } == accuracies
    *_, told, _, where, compare = result.out.splitlines()
    assert told.startswith(
        f"best       job {int(best[0][:3])}: optimizer.lr={chosen()['best_params']['optimizer.lr']}  val/accuracy"
    )
    assert (where, compare) == ("sweep      s", "compare    deeprob-compare s")


def test_a_val_folder_is_searched_by(deeprob, validated_pictures):
    words = ("dataset=image_folder", f"dataset.root={validated_pictures}", "model=linear", "trainer.epochs=1")
    result = deeprob(*WORDS, *words, RATES, HIGHEST)
    assert result.status == 0, result.err
    assert len(table()) == 6
    assert all(row["val/accuracy"] for row in table())


@pytest.mark.parametrize("launcher", ["auto", "basic"])
def test_a_trial_that_diverges_has_failed(deeprob, small, launcher):
    space = ("optimizer.lr=choice(1e30)", "hydra.sweeper.max_failure_rate=1.0")
    result = deeprob(*WORDS, *small, VALIDATED, HIGHEST, *space, f"hydra/launcher={launcher}")
    assert "error: job 0: diverged: " in result.err
    assert result.status == 4
    said = result.err.splitlines()
    assert all(line.startswith("error: job ") for line in said[:-1])  # and nothing of Hydra's or Optuna's own
    assert (len(said), said[-1]) == (7, "error: all 6 jobs failed")
    assert [row["status"] for row in table()] == ["diverged"] * 6


@pytest.mark.parametrize("launcher", ["auto", "basic"])
def test_a_search_that_ends_for_its_failures_is_a_failed_check(deeprob, small, launcher):
    result = deeprob(*WORDS, *small, VALIDATED, HIGHEST, "optimizer.lr=choice(1e30)", f"hydra/launcher={launcher}")
    line = "error: all 3 jobs failed; the search ended there, see hydra.sweeper.max_failure_rate"
    assert (result.status, result.err.splitlines()[-1]) == (4, line)
    assert [row["status"] for row in table()] == ["diverged"] * 3


def test_a_grid_whose_last_job_fails_comes_to_its_end(deeprob, small):
    words = ("hydra/sweeper/sampler=grid", "hydra.sweeper.max_failure_rate=1.0", "optimizer.lr=choice(1e30)")
    result = deeprob(*WORDS, *words, *small, VALIDATED, HIGHEST)
    assert (result.status, result.err.splitlines()[-1]) == (4, "error: all 1 jobs failed")
    assert [row["status"] for row in table()] == ["diverged"]


@pytest.mark.parametrize("launcher", ["auto", "basic"])
@pytest.mark.parametrize(("rate", "jobs"), [("0.0", 3), ("1.0", 6)])
def test_a_job_that_is_not_valid_has_failed_and_the_others_count(deeprob, small, launcher, rate, jobs):
    words = ("hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=1", f"hydra.sweeper.max_failure_rate={rate}")
    space = ("model.dropout=choice(0.1,2.0)",)
    result = deeprob(*WORDS, *words, *small, VALIDATED, HIGHEST, *space, f"hydra/launcher={launcher}")
    assert result.status == 4, result.err
    rows = table()
    reason = "model.dropout=2.0: expected a number in [0, 1)"
    assert {(row["model.dropout"], row["status"], row["error"]) for row in rows} == {
        ("0.1", "completed", ""),
        ("2.0", "failed", reason),
    }
    bad = [number for number, row in enumerate(rows) if row["error"]]
    assert len(rows) == jobs
    said = result.err.splitlines()
    assert [line for line in said if reason in line and line.startswith("error")] == [
        f"error: job {number}: {reason}" for number in bad
    ]
    early = "" if jobs == 6 else "; the search ended there, see hydra.sweeper.max_failure_rate"
    assert said[-1] == f"error: {len(bad)} of {jobs} jobs failed: {', '.join(map(str, bad))}{early}"
    assert "best       job " in result.out
    assert Path("s/optimization_results.yaml").exists() == (jobs == 6)


def test_a_job_that_cannot_be_composed_ends_the_search_of_a_launcher_that_composes_each_at_its_turn(deeprob, small):
    words = ("hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=4", "model.layers=choice(2,two)")
    result = deeprob(*WORDS, *words, *small, VALIDATED, HIGHEST, "hydra/launcher=basic", "hydra.sweeper.n_jobs=1")
    assert result.status == 4
    done = [row["status"] for row in table()]
    assert set(done) == {"completed"}
    wrong = "model.layers=two: expected a whole number in [1, 1000]; the search ended there"
    assert result.err.splitlines()[-1] == f"error: job {len(done)}: {wrong}"


def test_values_that_the_sweeper_cannot_order_are_named(deeprob, small):
    words = (*WORDS, *small, VALIDATED, HIGHEST, "hydra/sweeper/sampler=grid", "model.layers=choice(2,two)")
    result = deeprob(*words)
    assert result.err.count("Traceback") == 0
    if result.status == 2:  # Optuna 2 orders the values
        assert "model.layers=choice(2,two)" in result.err.splitlines()[-1]
    else:  # Optuna 5 does not, so the wrong value reaches its job
        assert result.status == 4
        assert "model.layers=two: expected a whole number" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([HIGHEST], "needs val/accuracy; set dataset.val_fraction=0.1, say"),
        ([VALIDATED], "direction=minimize: jobs are ranked by val/accuracy; set hydra.sweeper.direction=maximize"),
        ([VALIDATED, "hydra.sweeper.direction=up"], "hydra.sweeper.direction=up: jobs are ranked by val/accuracy"),
        ([VALIDATED, HIGHEST, "trainer.monitor=val/loss"], "by val/loss; set hydra.sweeper.direction=minimize"),
        (
            [VALIDATED, "trainer.monitor=val/loss,val/accuracy"],
            "trainer.monitor: a search ranks its jobs by this metric",
        ),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: expected a whole number at least 1"),
        (["hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs=0: expected a whole number at least 1"),
        (["hydra.sweeper.max_failure_rate=2"], "hydra.sweeper.max_failure_rate=2.0: expected a number from 0 to 1"),
        ([VALIDATED, HIGHEST, "optimizer.weight_decay=interval(1.0,0.1)"], "(low=1.0, high=0.1)"),
        ([VALIDATED, HIGHEST, "resume=auto"], "resume=auto: a search cannot be resumed"),
        ([VALIDATED, HIGHEST, "sweep.folds=3"], "sweep.folds: cannot be used in a search"),
        ([VALIDATED, HIGHEST, "sweep.measures=[probe]"], "sweep.measures: cannot be used in a search"),
    ],
)
def test_what_there_is_nothing_to_search_with(deeprob, small, words, message):
    result = deeprob(*WORDS, *small, RATES, *words)
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not Path("s").exists()


def test_a_directory_of_its_own(deeprob, small):
    Path("s").mkdir()
    Path("s/other").touch()
    result = deeprob(*WORDS, *small, RATES, VALIDATED, HIGHEST)
    assert (result.status, result.err) == (2, "error: s exists already; give another directory\n")


def test_the_table_shows_the_columns_that_are_asked_for(deeprob, small):
    result = deeprob(*WORDS, *small, RATES, VALIDATED, HIGHEST, "sweep.columns=[train/loss]", "hydra/launcher=basic")
    assert result.status == 0, result.err
    header = next(line for line in result.out.splitlines() if line.startswith("job "))
    assert header.split() == ["job", "optimizer.lr", "status", "train/loss"]


def test_jobs_that_were_interrupted_have_no_row(tmp_path, capsys):
    found = Found(["seed"], [], tmp_path / "summary.csv")
    ended = {"status": "completed", "error": ""}
    plan = TrainConfig(**{group: options(group)[name]() for group, name in CHOICES.items()})
    found.take(Job(2, ["seed=5"], plan, Path("2")), ended | {"val/accuracy": 0.5})
    found.take(Job(0, ["seed=3"], plan, Path("0")), ended | {"val/accuracy": 0.75})
    found.conclude()
    rows = csv.DictReader((tmp_path / "summary.csv").read_text().splitlines())
    assert [(row["seed"], row["val/accuracy"]) for row in rows] == [("3", "0.75"), ("5", "0.5")]
    assert "best       job 0: seed=3  val/accuracy 75.00 %" in capsys.readouterr().out
