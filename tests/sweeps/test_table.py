"""Numbers of several seeds as one, and where each job lies."""

import csv
import shutil
from pathlib import Path

import pytest

from deeprob import config as configs
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.compare.sweep_tables import read_table
from deeprob.sweeps.job import Job
from deeprob.sweeps.table import SweepTable, shown_metrics, spread


def test_a_val_folder_has_a_column(make_run, validated_pictures):
    run = make_run("run", {"dataset": "image_folder", "dataset.root": str(validated_pictures)})
    config = configs.read(RunConfig, run / "config.yaml")
    assert shown_metrics([config]) == ["train/accuracy", "val/accuracy", "test/accuracy"]
    shutil.rmtree(validated_pictures / "val")
    assert shown_metrics([config]) == ["train/accuracy", "test/accuracy"]


def test_the_monitor_and_r2_have_columns(config_of):
    config = config_of({"trainer.monitor": "val/balanced_accuracy", "dataset.val_fraction": 0.2})
    names = ["train/accuracy", "val/accuracy", "test/accuracy", "val/balanced_accuracy", "test/balanced_accuracy"]
    assert shown_metrics([config]) == names
    numbers = config_of({"dataset": "random_regression", "loss": "squared_error"})
    assert shown_metrics([numbers]) == ["train/loss", "test/loss", "test/r2"]


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("test/accuracy", [0.5, 0.52, 0.54], "52.00 ± 2.00 %"),
        ("time/seconds", [1.0, 3.0], "2.00 ± 1.41 s"),
        ("train/loss", [0.25, 0.75], "0.5000 ± 0.3536"),
        ("features/count", [9, 9, 9], "9"),
        ("test/accuracy", [0.5], "50.00 %"),
        ("test/accuracy", [], ""),
    ],
)
def test_mean_and_deviation(name, values, text):
    assert spread(name, values) == text


@pytest.fixture
def table(config_of, tmp_path) -> SweepTable:
    """Two widths of two seeds."""
    run = config_of({})
    plan = TrainConfig(**{name: getattr(run, name) for name in run.__slots__})
    words = [[f"model.width={width}", f"seed={seed}"] for width in (4, 8) for seed in (0, 1)]
    jobs = [Job(number, job, plan, Path(f"/s/{number}/x")) for number, job in enumerate(words)]
    return SweepTable(jobs, ["model.width", "seed"], [run], ["test/accuracy"], tmp_path / "summary.csv")


def test_only_jobs_that_ended_well_are_counted_and_averaged(table, capsys):
    table.set_outcome(0, {"status": "completed", "test/accuracy": 0.5})
    table.set_outcome(1, {"status": "interrupted", "test/accuracy": 0.25})
    for number in (2, 3):
        table.set_outcome(number, {"status": "not started"})
    capsys.readouterr()
    table.print_means()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "model.width  completed                 test/accuracy",
        "4            1 of 2, 1 interrupted           50.00 %",
        "8            0 of 2, 2 not started",
    ]
    assert table.ended == [0]


def test_a_row_names_its_jobs_folder_as_seen_from_the_table(table, tmp_path):
    table.take(Job(1, ["seed=1"], table, tmp_path / "deep" / "down"), {"status": "completed", "error": ""})
    table.add({"model.width": "fused", "status": "completed"})
    table.write()
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["directory"] == "deep/down"
    assert (tmp_path / rows[2]["directory"]).resolve() == Path("/s/2/x")
    assert [row["directory"] for row in rows[4:]] == [""]


def test_the_file_grows_as_jobs_end(table, tmp_path):
    def places() -> list[str]:
        with (tmp_path / "summary.csv").open() as file:
            return [(row["directory"], row["test/accuracy"], row["val/loss"]) for row in csv.DictReader(file)]

    (tmp_path / "summary.csv").write_text("of a sweep that is gone on with")
    for number in (2, 0):
        ended = {"status": "completed", "error": "", "test/accuracy": number / 8}
        table.take(Job(number, ["seed=1"], table, tmp_path / str(number)), ended)
        assert places()[-1] == (str(number), str(number / 8), "")
    assert len(places()) == 2
    table._owner = 0  # a copy in another process has none of the rows of this one
    table.take(Job(3, ["seed=1"], table, tmp_path), ended)
    assert len(places()) == 2
    table.write()
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["test/accuracy"] for row in rows] == ["0.0", "", "0.25", "0.0"]
    assert "val/loss" not in rows[0]


def test_no_cell_of_the_file_is_a_formula(config_of, tmp_path, capsys):
    jobs = [["model.width=8", f"dataset.root={root}"] for root in ("+1;2", "-1", "'=1+1'", "data")]
    run = config_of({})
    plan = TrainConfig(**{name: getattr(run, name) for name in run.__slots__})
    jobs = [Job(number, words, plan, tmp_path / str(number)) for number, words in enumerate(jobs)]
    table = SweepTable(jobs, ["dataset.root"], [run], ["train/loss"], tmp_path / "summary.csv")
    table.set_outcome(0, {"status": "failed", "error": "=cmd|'/C calc'!A0: no such folder"})
    table.set_outcome(3, {"status": "completed", "train/loss": -0.5})
    table.write()
    rows = [
        [*line.split(",")[:3], *line.split(",")[4:]] for line in (tmp_path / "summary.csv").read_text().splitlines()
    ]
    assert rows == [
        ["dataset.root", "status", "error", "train/loss"],
        ["'+1;2", "failed", "'=cmd|'/C calc'!A0: no such folder", ""],
        ["-1", "", "", ""],
        ["''=1+1'", "", "", ""],
        ["data", "completed", "", "-0.5"],
    ]
    table.print_job(0)
    assert "0    +1;2" in capsys.readouterr().out  # people see what they typed
    keys, read = read_table(tmp_path)
    assert [row[key] for row in read for key in keys] == ["+1;2", "-1", "'=1+1'", "data"]
    assert read[0]["error"] == "=cmd|'/C calc'!A0: no such folder"


def test_unbalanced_classes_show_the_balanced_accuracy_and_the_file_has_recalls(table, config_of, tmp_path, capsys):
    job, ended = Job(0, ["seed=1"], table, tmp_path / "x"), {"status": "completed", "error": "", "test/accuracy": 0.5}
    measures = {"test/balanced_accuracy": 0.25, "test/recall/a b": 1.0, "classes/imbalance": 1.6}
    table.take(job, ended | measures)
    assert table.shown == ["test/accuracy"]  # as chosen
    for imbalance, shown in ((1.5, []), (1.6, ["test/balanced_accuracy"])):
        usual = SweepTable([job], ["seed"], [config_of({})], [], tmp_path / "usual.csv")
        usual.take(job, ended | measures | {"classes/imbalance": imbalance})
        assert usual.shown == ["train/accuracy", "test/accuracy", *shown]
    for finish in (lambda: None, usual.write):
        finish()
        with (tmp_path / "usual.csv").open() as file:
            (row,) = csv.DictReader(file)
        assert (row["test/recall/a b"], row["classes/imbalance"]) == ("1.0", "1.6")
