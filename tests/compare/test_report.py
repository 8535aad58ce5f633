"""What the terminal shows."""

import pytest

from deeprob.compare.comparison import compare_runs
from deeprob.compare.effects import Level
from deeprob.compare.estimates import Estimate
from deeprob.compare.report import cell, doubt, estimated, first_and_last, headline, print_report, share

METRIC = "test/accuracy"


@pytest.mark.parametrize(
    ("metric", "found", "text"),
    [
        (METRIC, Estimate(0.9, 0.0123, 3), "90.00 ± 1.23 %"),
        (METRIC, Estimate(0.9, None, 1), "90.00 %"),
        (METRIC, Estimate(0.995, 0.0123, 3), "99.50 −1.23 +0.50 %"),
        (METRIC, Estimate(0.01, 0.02, 2), "1.00 −1.00 +2.00 %"),
        (METRIC, Estimate(0.5, 1.0, 2), "50.00 −50.00 +50.00 %"),
        (METRIC, Estimate(1.0, 0.0, 2), "100.00 ± 0.00 %"),
        ("test/loss", Estimate(0.995, 0.5, 3), "0.9950 ± 0.5000"),
        (METRIC, None, ""),
        ("test/loss", Estimate(0.5, 0.01, 3), "0.5000 ± 0.0100"),
        ("time/seconds", Estimate(2.5, 0.5, 3), "2.50 ± 0.50 s"),
    ],
)
def test_means_with_intervals(metric, found, text):
    assert estimated(metric, found) == text


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (Level("", 0.5, 2, 0), "50.00 %"),
        (Level("", 0.5, 2, 1), "50.00 % (1 lost)"),
        (Level("", None, 0, 3), "3 lost"),
        (Level("", None, 0, 0), "–"),
        (None, "–"),
    ],
)
def test_cells(level, text):
    assert cell(level, METRIC) == text


def test_shares_and_long_lists():
    assert (share(0.123), share(None)) == ("12.3 %", "–")
    assert first_and_last([1, 2, 3], 3, 0) == [1, 2, 3]
    assert first_and_last([1, 2, 3, 4, 5, 6], 3, 0) == [1, 2, 0, 6]


def test_everything_is_told(grid, capsys):
    grid[0].status = "diverged"
    comparison = compare_runs("grid", grid)
    print_report(comparison, top=3)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "8 runs in 4 groups: 1 diverged, 7 completed" == headline(comparison)
    assert "95 % confidence interval, not standard deviation (Student's t" in lines[2]
    assert lines[2].endswith("highest test/accuracy first; groups with lost runs last")
    assert lines[3].split() == ["model.width", "optimizer.lr", "runs", "test/accuracy"]
    assert lines[4].split() == ["8", "0.3", "2", "of", "2", "88.00", "−12.71", "+12.00", "%"]  # t of 1 freedom: 12.706
    assert lines[7] == "… and 1 more: top=4 prints all"
    assert "optimizer.lr   " in out
    assert "0.1: 66.33 % (1 lost)" in out  # of 0.63, 0.69 and 0.67
    assert "The runs are not a full grid" in out
    assert "test/accuracy by optimizer.lr (down) and model.width (across)" in out
    assert "best       model.width=8 optimizer.lr=0.3: test/accuracy 88.00 −12.71 +12.00 % (95 % confidence" in out
    assert " interval); not decided: the intervals of 2 other groups overlap its own\n" in out
    assert "again      deeprob-train model.width=8 optimizer.lr=0.3 seed=0\n" in out


def test_a_full_grid_has_rows_for_what_is_left(grid, capsys):
    print_report(compare_runs("grid", grid), top=20)
    out = capsys.readouterr().out
    assert "keys together    0.0 %\nseeds            1.0 %\n" in out
    assert "not a full grid" not in out


def test_doubt_only_where_intervals_overlap(grid):
    for run in grid:
        run.metrics[METRIC] += 1000 * run.values["optimizer.lr"]
    assert doubt(compare_runs("grid", grid)) == "; not decided: the interval of 1 other group overlaps its own"
    assert doubt(compare_runs("grid", grid[1::2])) == ""  # one seed each: nothing is known


def test_no_run_has_finished(grid, capsys):
    for run in grid:
        run.status = "running"
    print_report(compare_runs("grid", grid), top=20)
    out = capsys.readouterr().out
    assert "no run has finished: values so far" in out
    assert "0 of 2, 2 running" in out


def test_seeds_alone(grid, capsys):
    print_report(compare_runs("grid", grid[:2]), top=20)
    out = capsys.readouterr().out
    assert "2 runs in 1 group" in out
    assert "what each key does" not in out
    assert "again      deeprob-train model.width=4 optimizer.lr=0.1 seed=0\n" in out
