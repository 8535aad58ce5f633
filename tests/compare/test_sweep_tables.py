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
    rows = [row(**{"boundary/length": "4.5", "test/accuracy": "0.9", "x/y": "nan"}), row(seed="1")]
    assert add_table(runs, KEYS, rows) == []
    assert runs[0].metrics == {"examples/train": 2400, "test/accuracy": 0.9, "boundary/length": 4.5}
    assert runs[1].metrics == {"examples/train": 2400, "test/accuracy": 0.9}


def test_measures_of_a_run_that_went_on_since_are_left_out(runs, capsys):
    add_table(runs, KEYS, [row(**{"boundary/length": "4.5", "test/accuracy": "0.1"}), row(seed="1")])
    assert runs[0].metrics == {"examples/train": 2400, "test/accuracy": 0.9}
    note = "note: 1 run(s) were resumed after the sweep; the further measures of the sweep are left out for them\n"
    assert capsys.readouterr().err == note


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


# ---------------------------------------------------------------- rows whose words are not what a config has


def written(folder, header: str, *lines: str):
    """Write a table and read it back."""
    (folder / "summary.csv").write_text("\n".join([header, *lines]) + "\n")
    return read_table(folder)


def test_a_row_names_the_directory_of_its_run(make_run, tmp_path):
    places = ("s/first/b", "s/000_x", "s/001_x")  # no number tells anything, and the values are absolute paths
    runs = [read_run(make_run(place, {"dataset": "csv", "dataset.root": f"/data/{place}"})) for place in places]
    lines = ["here.csv,completed,,first/b,1", "here.csv,completed,,001_x,2", "there.csv,completed,,000_x,3"]
    keys, rows = written(tmp_path / "s", "dataset.root,status,error,directory,probe/x", *lines)
    assert keys == ["dataset.root"]
    assert add_table(runs, keys, rows) == []
    assert [run.metrics["probe/x"] for run in runs] == [1, 3, 2]


@pytest.mark.parametrize("directory", [",directory", ""])
def test_words_are_read_as_values(make_run, tmp_path, directory):
    stored = {"[8]": [8], "[8, 8]": [8, 8], "null": None}
    runs = [read_run(make_run(f"s/{n}", {"model.hidden": value})) for n, value in enumerate(stored.values())]
    cell = ",gone" if directory else ""  # as of folders that bear other names now
    lines = [f'"{word}",completed,{cell},{n}' for n, word in enumerate(stored)]
    keys, rows = written(tmp_path / "s", f"model.hidden,status,error{directory},probe/x", *lines)
    assert add_table(runs, keys, rows) == []
    assert [run.metrics["probe/x"] for run in runs] == [0, 1, 2]


def test_a_table_without_directories_has_the_numbers_of_folders(make_run, tmp_path):
    roots = [("000_r=a", "/data/a"), ("001_r=b", "/data/b")]
    runs = [read_run(make_run(f"s/{place}", {"dataset": "csv", "dataset.root": root})) for place, root in roots]
    keys, rows = written(tmp_path / "s", "dataset.root,status,error,probe/x", "a,completed,,1", "b,completed,,2")
    assert add_table(runs, keys, rows) == []
    assert [run.metrics["probe/x"] for run in runs] == [1, 2]


def test_a_number_does_not_join_what_has_other_values(make_run, tmp_path):
    # of a sweep that was resumed with other seeds: job 1 would be in another folder of the number 1
    runs = [read_run(make_run(f"s/00{n}_seed={n}", {"seed": n})) for n in (0, 1)]
    keys, rows = written(tmp_path / "s", "seed,status,error", "1,completed,", "2,skipped,")
    (missing,) = add_table(runs, keys, rows)
    assert (missing.status, missing.values["seed"]) == ("skipped", 2)


def test_a_job_that_never_ran_has_the_value_that_its_word_stood_for_in_others(make_run, tmp_path):
    values = {"dataset": "csv", "dataset.root": "/data/a", "trainer.batch_size": 32}
    run = read_run(make_run("s/000_x", values))
    header = "dataset.root,trainer.batch_size,seed,status,error,directory"
    lines = ["a,auto,0,completed,,000_x", "a,auto,1,not started,,001_x", "b,16,0,not started,,002_x"]
    keys, rows = written(tmp_path / "s", header, *lines)
    same, other = add_table([run], keys, rows)
    assert same.values == run.values | {"seed": 1}
    assert other.values == {"dataset.root": "b", "trainer.batch_size": 16, "seed": 0}


def test_a_word_that_stood_for_several_values_is_taken_as_it_is(make_run, tmp_path):
    runs = [read_run(make_run(f"s/00{n}_x", {"seed": n, "dataset.seed": n})) for n in (0, 1)]
    lines = [f"{n},${{seed}},completed,,00{n}_x" for n in (0, 1)]
    keys, rows = written(
        tmp_path / "s", "seed,dataset.seed,status,error,directory", *lines, "2,${seed},not started,,002_x"
    )
    (missing,) = add_table(runs, keys, rows)
    assert (missing.values["seed"], missing.values["dataset.seed"]) == (2, "${seed}")
