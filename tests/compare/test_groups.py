"""Runs in groups, and groups in order."""

import dataclasses
import statistics

import pytest

from deeprob.compare.estimates import estimate
from deeprob.compare.groups import (
    all_metrics,
    group_runs,
    outcomes,
    ranked,
    usual_columns,
    usual_sort,
)

KEYS = ["optimizer.lr", "model.width", "seed"]


def test_runs_that_differ_in_seeds_are_a_group(grid):
    groups = group_runs(grid, KEYS)
    assert [dict(group.values) for group in groups] == [
        {"optimizer.lr": lr, "model.width": width} for lr in ("0.1", "0.3") for width in ("4", "8")
    ]
    assert [len(group.runs) for group in groups] == [2, 2, 2, 2]
    assert groups[0].numbers("test/accuracy") == pytest.approx([0.65, 0.63])
    assert groups[0].estimate("test/accuracy") == estimate(groups[0].numbers("test/accuracy"))
    assert groups[0].estimate("val/loss") is None


def test_the_best_mean_is_first(grid):
    groups = group_runs(grid, KEYS)
    best = [(group.values["optimizer.lr"], group.values["model.width"]) for group in ranked(groups, "test/accuracy")]
    assert best == [("0.3", "8"), ("0.3", "4"), ("0.1", "8"), ("0.1", "4")]
    for run in grid:
        run.metrics["test/loss"] = run.metrics.pop("test/accuracy")
    assert ranked(groups, "test/loss")[0].values == {"optimizer.lr": "0.1", "model.width": "4"}


def test_groups_that_lost_runs_stand_below_and_are_counted(grid):
    grid[-1].status = "diverged"  # of lr 0.3 and width 8, which was the best
    grid[0].status = "failed"
    grid[1].metrics.clear()
    order = ranked(group_runs(grid, KEYS), "test/accuracy")
    assert [group.state for group in order] == ["2 of 2", "2 of 2", "1 of 2, 1 diverged", "1 of 2, 1 failed"]
    assert order[2].numbers("test/accuracy") == [grid[-2].metrics["test/accuracy"]]
    assert order[3].estimate("test/accuracy") is None  # what is left measured nothing, so it is last


def test_runs_on_the_same_split_count_once_in_an_interval(grid):
    for run, split in zip(grid[:4], (0, 0, 1, 2), strict=True):
        run.values |= {"dataset.fold": split, "model.width": 4}
        run.metrics["test/accuracy"] = 0.5 + split / 10 + 0.04 * (run is grid[1])
    (group,) = group_runs(grid[:4], ["model.width", "dataset.fold", "seed"])
    assert group.splits == 3
    assert list(group.by_split("test/accuracy").values()) == pytest.approx([0.52, 0.6, 0.7])
    found = group.estimate("test/accuracy")
    assert found == pytest.approx(estimate([0.52, 0.6, 0.7]))
    for run in grid[:4]:
        run.values["dataset.fold"] = 1
    assert (group.splits, group.estimate("test/accuracy")) == (1, estimate([0.5, 0.54, 0.6, 0.7]))


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (["completed", "stopped"], "2 of 2"),
        (["not started"] * 5, "0 of 5, 5 not started"),
        (["diverged", "completed", "interrupted", "diverged"], "1 of 4, 2 diverged, 1 interrupted"),
    ],
)
def test_what_became_of_runs_in_words(statuses, words):
    assert outcomes(statuses) == words


def test_unfinished_runs_do_not_count_beside_finished_ones(grid):
    grid[0].status = "running"
    group = group_runs(grid, KEYS)[0]
    assert group.state == "1 of 2, 1 running"
    assert group.counted == [grid[1]]


def test_as_long_as_none_has_finished_those_on_their_way_count(grid):
    runs = [dataclasses.replace(run, status="running") for run in grid]
    runs[0].status = "diverged"
    groups = group_runs(runs, KEYS)
    assert groups[0].numbers("test/accuracy") == [runs[1].metrics["test/accuracy"]]
    assert groups[1].estimate("test/accuracy").mean == statistics.fmean(groups[1].numbers("test/accuracy"))


def test_a_key_that_some_runs_lack_is_absent_from_their_group(grid):
    del grid[0].values["model.width"]
    assert dict(group_runs(grid, KEYS)[0].values) == {"optimizer.lr": "0.1"}


def test_what_is_shown_and_ranked_unless_told_otherwise(grid):
    groups = group_runs(grid, KEYS)
    assert all_metrics(groups) == ["examples/train", "test/accuracy"]
    accuracies = ["train/loss", "train/accuracy", "test/loss", "test/accuracy"]
    assert usual_sort(accuracies) == "test/accuracy"
    assert usual_sort([*accuracies, "val/accuracy"]) == "val/accuracy"
    assert usual_sort(["train/loss", "test/loss"]) == "test/loss"
    assert usual_sort(["time/seconds"]) == "time/seconds"
    assert usual_sort([]) is None
    assert usual_sort(accuracies, "train/loss") == "train/loss"
    assert usual_sort(accuracies, "val/f1") == "test/accuracy"
    assert usual_columns(groups, accuracies, "test/accuracy") == ["train/accuracy", "test/accuracy"]
    assert usual_columns(groups, accuracies, "test/loss") == ["test/loss", "train/accuracy", "test/accuracy"]
    assert usual_columns(groups, ["train/loss", "test/loss"], "test/loss") == ["train/loss", "test/loss"]
    grid[0].metrics["classes/imbalance"] = 1.6
    unbalanced = [*accuracies, "val/balanced_accuracy", "test/balanced_accuracy"]
    assert usual_columns(groups, unbalanced, "test/accuracy") == ["train/accuracy", "test/accuracy", *unbalanced[-2:]]
