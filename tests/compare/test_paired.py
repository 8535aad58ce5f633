"""The corrected resampled t-test, by hand and against scipy."""

import math
from pathlib import Path

import pytest
from scipy import stats

from deeprob.compare.comparison import compare_runs
from deeprob.compare.groups import Group
from deeprob.compare.page import page
from deeprob.compare.paired import Difference, differences, metric_to_test, paired_difference, share_of_test
from deeprob.compare.past_runs import PastRun
from deeprob.compare.report import difference_words, print_report

METRIC = "test/accuracy"
TABLE = {"dataset.root": "table.csv", "dataset.test_fraction": 0.2, "dataset.folds": 4}


def run(accuracy: float, fold: int = 0, seed: int = 0, **values) -> PastRun:
    of_run = {**TABLE, "dataset.fold": fold, "dataset.seed": 0, "seed": seed, **values}
    return PastRun(Path("x"), of_run, "completed", {METRIC: accuracy})


def group(*runs: PastRun) -> Group:
    return Group({}, runs, runs)


def test_by_hand():
    """d = 0.02, 0.04, 0.06, 0.08 has the mean 0.05 and s² = 0.002/3; n_test/n_train = 1/3 for 4 folds."""
    best = group(*(run(0.9, fold) for fold in range(4)))
    other = group(*(run(0.9 - d, fold) for fold, d in enumerate((0.02, 0.04, 0.06, 0.08))))
    found = paired_difference(best, other, METRIC)
    assert found is not None
    error = math.sqrt((1 / 4 + 1 / 3) * 0.002 / 3)
    assert found.mean == pytest.approx(-0.05)
    assert found.t == pytest.approx(-0.05 / error)
    assert found.margin == pytest.approx(stats.t(3).ppf(0.975) * error)
    assert found.p == pytest.approx(2 * stats.t(3).sf(0.05 / error))
    assert found.splits == 4
    assert found.group is other


def test_new_data_for_each_seed_are_an_ordinary_paired_test():
    ours, theirs = (0.9, 0.8, 0.95), (0.7, 0.75, 0.9)

    def drawn(numbers) -> Group:
        runs = [run(number, 0, **{"dataset.seed": seed}) for seed, number in enumerate(numbers)]
        for one in runs:
            del one.values["dataset.root"]
        return group(*runs)

    found, expected = paired_difference(drawn(ours), drawn(theirs), METRIC), stats.ttest_rel(theirs, ours)
    assert found is not None
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_runs_on_one_split_are_averaged_first():
    best = group(*(run(0.8, fold, seed) for fold in (0, 1) for seed in (0, 1)))
    other = group(run(0.6, 0), run(0.8, 0, 1), run(0.5, 1), run(0.6, 1, 1), run(0.6, 1, 2), run(0.1, 2))
    found = paired_difference(best, other, METRIC)  # 0.7 − 0.8 and 0.5667 − 0.8; the other group alone has fold 2
    assert found is not None
    assert found.mean == pytest.approx((-0.1 - 0.7 / 3) / 2)
    assert found.splits == 2


@pytest.mark.parametrize(("shift", "t", "p"), [(0.0, 0.0, 1.0), (0.25, math.inf, 0.0), (-0.25, -math.inf, 0.0)])
def test_equal_differences(shift, t, p):
    best, other = (group(run(0.5 + plus, 0), run(0.25 + plus, 1)) for plus in (0.0, shift))
    assert paired_difference(best, other, METRIC) == Difference(other, shift, 0.0, t, p, 2)


def test_what_cannot_be_tested_is_left_out():
    best, one_split = group(run(0.9, 0), run(0.8, 1)), group(run(0.7, 0), run(0.6, 0, 1))
    unknown = group(run(0.7, 0), run(0.6, 1))
    for of_run in unknown.runs:
        del of_run.values["dataset.folds"], of_run.values["dataset.test_fraction"]
    tested = group(run(0.7, 0), run(0.5, 1))
    assert [one.group for one in differences(best, [one_split, unknown, tested, group()], METRIC)] == [tested]


@pytest.mark.parametrize(
    ("values", "metrics", "metric", "share"),
    [
        ({}, {}, METRIC, 1 / 3),
        ({"dataset.folds": 0}, {}, METRIC, 0.25),
        ({}, {"examples/train": 60, "examples/val": 20, "examples/test": 20}, METRIC, 0.25),
        ({}, {"examples/train": 60, "examples/test": 20}, METRIC, 1 / 3),
        ({}, {"examples/train": 60, "examples/val": 20, "examples/test": 20}, "val/accuracy", 1 / 3),
        ({}, {"examples/train": 60, "examples/test": 20}, "val/accuracy", None),
        ({"dataset.folds": 0, "dataset.test_fraction": None}, {}, METRIC, None),
    ],
)
def test_the_share_of_the_test_split(values, metrics, metric, share):
    of_run = PastRun(None, {**TABLE, **values}, "completed", metrics)
    assert share_of_test(of_run, metric) == (None if share is None else pytest.approx(share))


def test_the_test_split_is_compared():
    known = ["val/accuracy", "test/accuracy", "train/loss", "time/seconds"]
    assert [metric_to_test(sort, known) for sort in ("val/accuracy", "train/loss", "time/seconds")] == [
        "test/accuracy", "train/loss", "time/seconds",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((-0.05, 0.0123, -2.5, 0.0123), ("−5.00 ± 1.23 %", "−2.50", "0.0123")),
        ((0.05, 0.0, math.inf, 0.0), ("5.00 ± 0.00 %", "inf", "< 0.0001")),
    ],
)
def test_words(found, words):
    assert difference_words(METRIC, Difference(group(), *found, 5)) == words


def test_terminal_and_page_show_the_differences(capsys):
    runs = [
        run(accuracy, fold, **{"model.width": width})
        for width, accuracies in ((4, (0.5, 0.6, 0.7)), (8, (0.9, 0.8, 0.9)), (16, (0.5, 0.4, 0.5)))
        for fold, accuracy in enumerate(accuracies)
    ]
    for of_run in runs:
        of_run.directory = None
    comparison = compare_runs("folds", runs)
    print_report(comparison, top=1)
    out = capsys.readouterr().out
    assert "Student's t over the splits of a group; the runs on one split are averaged), highest" in out
    assert "difference from the best in test/accuracy on the same splits: mean ± 95 % confidence interval; t and" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["model.width", "splits", "difference", "t", "p"] in lines
    (row,) = [line for line in lines if line[:2] == ["4", "3"]]
    assert row[2] == "−26.67"
    assert not [line for line in lines if line[:2] == ["16", "3"]]  # top=1
    text = page(comparison)
    assert "<h2>Paired differences</h2>" in text
    assert "Best: model.width=8." in text
    assert text.count(f">{row[2]} ± {row[4]} %<") == 1


def test_runs_on_one_split_have_no_differences(capsys):
    runs = [
        run(0.5 + width / 100 + seed / 50, 0, seed, **{"model.width": width}) for width in (4, 8) for seed in (0, 1)
    ]
    for of_run in runs:
        of_run.directory = None
    comparison = compare_runs("seeds", runs)
    print_report(comparison, top=5)
    out = capsys.readouterr().out
    assert "over the runs of a group: its seeds, all on one split)" in out
    assert "difference" not in out
    assert "Paired" not in page(comparison)
