"""What ``summary.csv`` adds to the runs of a sweep."""

import pytest

from deeprob.compare.past_runs import PastRun, read_run
from deeprob.compare.sweep_tables import add_table, read_table
from deeprob.errors import UserError

KEYS = ["optimizer.lr", "seed"]


def row(lr="0.1", seed="0", status="completed", error="", **others) -> dict[str, str]:
    return {"optimizer.lr": lr, "seed": seed, "status": status, "error": error, **others}


@pytest.fixture
def runs(make_run) -> list[PastRun]:
    return [
        read_run(make_run(f"s/{number:03}_seed={seed}", {"optimizer.lr": 0.1, "seed": seed, "model.width": 8}, 0.9))
        for number, seed in enumerate((0, 1))
    ]


def test_a_table_is_read(tmp_path):
    (tmp_path / "summary.csv").write_text("optimizer.lr,seed,status,error,val/loss\n0.1,0,completed,,0.5\n0.1,1\n")
    keys, rows = read_table(tmp_path)
    assert keys == KEYS
    assert rows[0] == row(**{"val/loss": "0.5"})
    assert rows[1]["status"] == ""


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b"x" * 200_000])
def test_what_is_no_table_of_a_sweep(tmp_path, content):
    (tmp_path / "summary.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"summary\.csv: .*table of a sweep"):
        read_table(tmp_path)


def test_further_measures_are_added_and_the_runs_own_metrics_stay(runs):
    rows = [row(**{"boundary/length": "4.5", "test/accuracy": "0.1", "x/y": "nan"}), row(seed="1")]
    assert add_table(runs, KEYS, rows) == []
    assert runs[0].metrics == {"test/accuracy": 0.9, "boundary/length": 4.5}
    assert runs[1].metrics == {"test/accuracy": 0.9}


def test_a_job_without_directory_is_told_and_is_like_its_siblings(runs):
    (lost,) = add_table(runs, KEYS, [row(), row(seed="1"), row(seed="2", status="failed", error="no memory")])
    assert (lost.directory, lost.status, lost.error, lost.lost) == (None, "failed", "no memory", True)
    assert lost.values == runs[0].values | {"seed": 2}


def test_a_job_like_no_other_has_the_values_of_its_row(runs):
    (lost,) = add_table(runs, KEYS, [row(), row(seed="1"), row(lr="10", status="skipped")])
    assert lost.values == {"optimizer.lr": 10, "seed": 0}
    assert (lost.status, lost.lost, lost.finished) == ("skipped", False, False)


def test_values_are_compared_as_numbers(runs):
    assert add_table(runs, KEYS, [row(lr="1e-1"), row(lr="0.10", seed="1")]) == []


def test_a_run_without_summary_has_failed_if_the_table_says_so(runs):
    runs[0].status = "unfinished"
    runs[1].status = "running"
    add_table(runs, KEYS, [row(status="failed", error="no disk"), row(seed="1", status="failed", error="earlier")])
    assert (runs[0].status, runs[0].error) == ("failed", "no disk")
    assert (runs[1].status, runs[1].error) == ("running", "")  # it has been started again


def test_jobs_with_the_same_words_are_told_apart_by_their_numbers(make_run):
    # a variant that says no width, and one that does: their rows have the same lr and seed
    runs = [read_run(make_run(f"s/{n:03}_x", {"optimizer.lr": 0.1, "model.width": w})) for n, w in enumerate((8, 16))]
    rows = [row(**{"model.width": "", "probe/x": "1"}), row(**{"model.width": "16", "probe/x": "2"})]
    assert add_table(runs, [*KEYS, "model.width"], rows) == []
    assert [run.metrics["probe/x"] for run in runs] == [1, 2]


def test_rows_of_fused_jobs_are_groups_of_their_own(runs):
    rows = [row(), row(seed="1"), row(lr="fused", status="fused", **{"test/accuracy": "0.95"})]
    (fused,) = add_table(runs, KEYS, rows)
    assert (fused.finished, fused.metrics, fused.values["optimizer.lr"]) == (True, {"test/accuracy": 0.95}, "fused")


def test_a_row_without_any_value_is_no_job(runs):
    assert add_table(runs, KEYS, [row(), row(seed="1"), row(lr="", seed="", status="fused")]) == []
