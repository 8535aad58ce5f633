"""A sweep for Python: what its table says, and which of its runs is the best."""

import pytest

from deeprob.assembly.config import TrainConfig
from deeprob.errors import UserError
from deeprob.sweeps.finished_sweep import FinishedSweep
from deeprob.sweeps.job import Job
from deeprob.sweeps.table import SweepTable

RESULTS = {
    "optimizer.lr=0.1 seed=0": {"val/accuracy": 0.5, "train/loss": 3.0},
    "optimizer.lr=0.1 seed=1": {"val/accuracy": 0.9, "train/loss": 1.0},
    "optimizer.lr=0.01 seed=0": {"val/accuracy": 0.8, "train/loss": 2.0},
    "optimizer.lr=0.01 seed=1": {"val/accuracy": 0.75, "train/loss": 2.5},
}


def swept(results: dict[str, dict], monkeypatch, tmp_path) -> FinishedSweep:
    monkeypatch.chdir(tmp_path)
    jobs = [
        Job(number, words.split(), TrainConfig.__new__(TrainConfig), tmp_path / f"job-{number}")
        for number, words in enumerate(results)
    ]
    rows = SweepTable(jobs, ["optimizer.lr", "seed"], [], ["val/accuracy"])
    for job, metrics in zip(jobs, results.values(), strict=True):
        ending = {"status": "completed", "error": "", "seconds": 1.0, **metrics}
        rows.take(job, ending if metrics else {"status": "diverged", "error": "a loss became NaN"})
        if metrics:
            (job.folder / "checkpoints").mkdir(parents=True)
            (job.folder / "checkpoints" / "best.pt").touch()
    return FinishedSweep(rows, lambda folder: folder.name, "val/accuracy", "printed")


def test_the_best_run_is_of_the_values_with_the_best_mean(monkeypatch, tmp_path):
    sweep = swept(RESULTS, monkeypatch, tmp_path)
    assert sweep.metric == "val/accuracy"
    assert sweep.best == "job-2"  # means: 0.7 and 0.775
    assert sweep.best_by("train/loss") == "job-1"  # means: 2 and 2.25
    best = "best by val/accuracy: job 2 (optimizer.lr=0.01 seed=0), 80.00 %"
    assert repr(sweep) == f"<Sweep: 4 jobs; {best}>"
    with pytest.raises(UserError, match="val/acuracy: these runs have no such metric; did you mean val/accuracy"):
        sweep.best_by("val/acuracy")


def test_a_single_job_has_no_values(monkeypatch, tmp_path):
    sweep = swept({"": {"val/accuracy": 0.5}}, monkeypatch, tmp_path)
    assert repr(sweep) == "<Sweep: 1 job; best by val/accuracy: job 0, 50.00 %>"


def test_the_table_has_typed_values(monkeypatch, tmp_path):
    table = swept(RESULTS, monkeypatch, tmp_path).table
    assert list(table.columns) == ["optimizer.lr", "seed", "status", "val/accuracy", "train/loss", "error"]
    assert table["optimizer.lr"].tolist() == [0.1, 0.1, 0.01, 0.01]
    assert table["seed"].tolist() == [0, 1, 0, 1]
    assert table.groupby("optimizer.lr")["val/accuracy"].mean().to_dict() == pytest.approx({0.1: 0.7, 0.01: 0.775})


def test_a_job_without_a_run(monkeypatch, tmp_path):
    sweep = swept(RESULTS | {"optimizer.lr=1 seed=0": {}}, monkeypatch, tmp_path)
    assert [len(sweep.runs), *sweep.runs[:2]] == [5, "job-0", "job-1"]
    with pytest.raises(UserError, match="job 4: diverged, without a run: a loss became NaN"):
        sweep.runs[4]
    assert "5 jobs, 1 of them without a result; best" in repr(sweep)
    assert sweep.table["val/accuracy"].isna().tolist() == [False] * 4 + [True]
    sweep = swept({"optimizer.lr=1 seed=0": {}}, monkeypatch, tmp_path)
    assert (repr(sweep), sweep.metric) == ("<Sweep: 1 job, 1 of them without a result>", "")
    for what in (lambda: sweep.best, lambda: sweep.figure("learning_curves")):
        with pytest.raises(UserError, match="no job of the sweep has ended well"):
            what()


def test_a_notebook_shows_the_first_and_the_last_rows(monkeypatch, tmp_path):
    many = {f"optimizer.lr=0.1 seed={seed}": {"val/accuracy": seed / 100} for seed in range(30)}
    page = swept(many, monkeypatch, tmp_path)._repr_html_()
    assert page.startswith("<p>Sweep: 30 jobs; best by val/accuracy: job 29 (optimizer.lr=0.1 seed=29), 29.00 %</p>")
    assert page.count("<tr>") == 22
    assert [f"<td>{seed}.00 %</td>" in page for seed in (9, 10, 19, 20)] == [True, False, False, True]
