"""A comparison worked out from runs."""

import pytest

from deeprob.compare.comparison import command_of, compare_runs, gather
from deeprob.compare.groups import group_runs
from deeprob.compare.past_runs import PastRun, read_run
from deeprob.errors import UserError


def test_a_folder_at_any_depth(make_run, tmp_path):
    folders = [make_run(name, {"seed": n}, 0.5) for n, name in enumerate(("a/1", "b/c/2"))]
    runs, named = gather(tmp_path, [])
    assert [run.directory for run in runs] == folders
    assert named == []


def test_a_sweeps_table_names_keys_and_lost_jobs(make_run, tmp_path):
    make_run("s/000_x", {"trainer.threads": 1}, 0.5)
    (tmp_path / "s" / "summary.csv").write_text("trainer.threads,status,error\n1,completed,\n2,failed,no memory\n")
    runs, named = gather(tmp_path, [])
    assert [run.status for run in runs] == ["completed", "failed"]
    comparison = compare_runs("s", runs, named)
    assert [dict(group.values) for group in comparison.groups] == [{"trainer.threads": "1"}, {"trainer.threads": "2"}]
    assert comparison.groups[1].state == "0 of 1, 1 failed"


def test_named_runs(make_run):
    folders = [make_run(name, {"seed": n}, 0.5) for n, name in enumerate(("a", "b", "c"))]
    assert [run.directory for run in gather(None, folders[:2])[0]] == folders[:2]


def test_nothing_to_compare(make_run, tmp_path):
    with pytest.raises(UserError, match=r"sweep=.*none: no such folder"):
        gather(tmp_path / "none", [])
    with pytest.raises(UserError, match=r"no run there \(no config.yaml in it or below\)"):
        gather(tmp_path, [])
    with pytest.raises(UserError, match=r"runs: no run in .*x \(no config.yaml\)"):
        gather(None, [tmp_path / "x"])
    make_run("a", {})
    with pytest.raises(UserError, match=r"only one run there \(.*a\); a comparison needs two"):
        gather(tmp_path, [])


def test_runs_without_any_metric(grid):
    for run in grid:
        run.metrics.clear()
    with pytest.raises(UserError, match="grid: none of the 8 runs has any metric yet"):
        compare_runs("grid", grid)


def test_metrics_that_do_not_exist(grid):
    with pytest.raises(UserError, match=r"sort=test/acc: these runs have no such metric; did you mean test/accuracy\?"):
        compare_runs("grid", grid, sort="test/acc")
    with pytest.raises(UserError, match="metrics=loss: these runs have no such metric"):
        compare_runs("grid", grid, columns=["test/accuracy", "loss"])


def test_chosen_metrics(grid):
    for run in grid:
        run.metrics["test/loss"] = 1 - run.metrics["test/accuracy"] ** 2
    comparison = compare_runs("grid", grid, sort="test/loss", columns=["test/accuracy"])
    assert (comparison.sort, comparison.columns) == ("test/loss", ["test/loss", "test/accuracy"])
    assert comparison.best.values == {"optimizer.lr": "0.3", "model.width": "8"}
    assert comparison.keys == ["model.width", "optimizer.lr"]


def test_models_of_other_structure(make_run):
    choices = [{"model": "linear"}, {"model.width": 4}, {"model.width": 8}, {"model.width": 8, "seed": 1}]
    folders = [make_run(f"{n}", values, 0.5 + n / 10) for n, values in enumerate(choices)]
    comparison = compare_runs("mixed", gather(None, folders)[0])
    assert comparison.keys == ["model", "model.width"]
    assert [dict(group.values) for group in comparison.groups] == [
        {"model": "mlp", "model.width": "8"}, {"model": "mlp", "model.width": "4"}, {"model": "linear"},
    ]  # fmt: skip
    assert comparison.command == ["deeprob-train", "model=mlp", "model.width=8", "seed=1"]


def test_of_equals_the_command_is_of_the_lowest_seed(make_run):
    runs, _ = gather(None, [make_run(f"{seed}", {"seed": seed, "optimizer.lr": 0.5}, 0.5) for seed in (12, 7, 9)])
    assert compare_runs("seeds", runs).command == ["deeprob-train", "optimizer.lr=0.5", "seed=7"]


@pytest.mark.parametrize(("sort", "seed"), [("test/accuracy", 1), ("test/loss", 2)])
def test_the_command_names_the_seed_of_the_best_run(make_run, sort, seed):
    runs = [read_run(make_run(f"{seed}", {"seed": seed}, 0.5)) for seed in range(3)]
    for run, accuracy, loss in zip(runs, (0.8, 0.9, 0.7), (0.3, 0.2, 0.1), strict=True):
        run.metrics = {"test/accuracy": accuracy, "test/loss": loss}
    assert compare_runs("seeds", runs, sort=sort).command[-1] == f"seed={seed}"


def test_no_command_where_there_is_no_config(grid, capsys):
    assert command_of(group_runs([PastRun(None, {}, "failed")], [])[0], "test/accuracy", []) == []
    (grid[0].directory / "config.yaml").write_text("defaults: [train]\nsize: 3\n")
    assert command_of(group_runs(grid[:1], [])[0], "test/accuracy", []) == []
    assert capsys.readouterr().err.startswith("note: no command for the best runs: ")


def test_curves_of_the_best(make_run):
    folders = [make_run(f"{n}", {"model.width": n + 1}, n / 10, curve=(0.1, n / 10)) for n in range(8)]
    comparison = compare_runs("curves", gather(None, folders)[0])
    assert len(comparison.curves) == 6
    assert comparison.curves[0][0][-1]["train/accuracy"] == 0.7


def test_a_table_of_another_origin_is_left_out(make_run, tmp_path, capsys):
    for seed in (0, 1):
        make_run(f"s/{seed}", {"seed": seed}, 0.5)
    (tmp_path / "s" / "summary.csv").write_text("month,sales\n1,2\n")
    assert len(gather(tmp_path, [])[0]) == 2
    assert capsys.readouterr().err.endswith("not the table of a sweep (it has no columns status and error); left out\n")
