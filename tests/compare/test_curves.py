"""Means over seeds, epoch by epoch."""

import statistics

import pytest

from deeprob.compare import curves
from deeprob.compare.curves import MOST_POINTS, histories, mean_curve, panels
from deeprob.compare.groups import group_runs
from deeprob.compare.past_runs import PastRun, read_run


def rows(values, name="train/loss"):
    return [{"epoch": float(epoch), name: value} for epoch, value in enumerate(values, 1)]


def test_a_mean_by_hand_as_far_as_each_run_goes():
    points = mean_curve([rows([1.0, 2.0]), rows([3.0, 5.0, 7.0])], "train/loss")
    assert [(point.epoch, point.mean) for point in points] == [(1, 2), (2, 3.5), (3, 7)]
    assert [point.deviation for point in points] == pytest.approx([2**0.5, statistics.stdev([2, 5]), 0])


def test_what_is_missing_or_not_finite_counts_for_nothing():
    runs = [rows([1.0, float("nan"), 3.0]), rows([9.0, 9.0], "val/loss"), rows([2.0, float("inf")])]
    assert [(point.epoch, point.mean) for point in mean_curve(runs, "train/loss")] == [(1, 1.5), (3, 3)]
    assert mean_curve(runs, "val/accuracy") == []
    assert mean_curve([], "train/loss") == []


def test_long_curves_are_thinned_and_keep_their_ends():
    points = mean_curve([rows([float(n) for n in range(10_000)])], "train/loss")
    assert len(points) <= MOST_POINTS + 1
    assert (points[0].epoch, points[-1].epoch) == (1, 10_000)


def test_what_is_worth_drawing():
    def run(*names):
        return [[{"epoch": 1.0, **dict.fromkeys(names, 0.5)}]]

    assert panels([run("train/loss", "train/accuracy")], "test/accuracy") == ["train/accuracy", "train/loss"]
    every = run("train/loss", "train/accuracy", "val/loss", "val/accuracy", "params/norm")
    assert panels([every], "val/accuracy") == ["val/accuracy", "val/loss"]
    assert panels([every], "params/norm") == ["params/norm", "val/accuracy", "val/loss"]
    assert panels([run("train/loss")], "test/loss") == ["train/loss"]
    assert panels([[[]], []], "test/loss") == []


def test_only_some_runs_of_a_large_group_are_read(make_run, monkeypatch):
    monkeypatch.setattr(curves, "MOST_RUNS", 2)
    runs = [read_run(make_run(f"{seed}", {"seed": seed}, 0.5, curve=(seed / 4,))) for seed in range(5)]
    (group,) = group_runs(runs, ["seed"])
    assert [rows[0]["train/accuracy"] for rows in histories(group)] == [0.0, 0.75]  # every third run


def test_epochs_are_read_of_the_runs_that_count(make_run):
    runs = [
        read_run(make_run(f"{seed}", {"seed": seed}, 0.5, status, curve=(0.25, 0.5)))
        for seed, status in enumerate(["completed", "diverged"])
    ]
    (group,) = group_runs([*runs, PastRun(None, {"seed": 3}, "completed")], ["seed"])
    (only,) = histories(group)
    assert [row["train/accuracy"] for row in only] == [0.25, 0.5]
