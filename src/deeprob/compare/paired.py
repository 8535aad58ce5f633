"""The paired comparison of groups of runs on the same splits: the corrected resampled t-test."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from deeprob.compare.estimates import student_t, two_sided
from deeprob.compare.groups import Group
from deeprob.compare.past_runs import PastRun


class Difference(NamedTuple):
    """The difference between a group and the best group in a metric, over the splits that both groups have.

    Attributes
    ----------
    group
        The group.
    mean
        The mean difference d̄: the metric of the group minus the metric of the best group.
    margin
        Half the width of the 95 % confidence interval of d̄.
    t
        The statistic of the test.
    p
        The probability of a statistic at least as far from 0, if the groups do not differ.
    splits
        The number of splits n.
    """

    group: Group
    mean: float
    margin: float
    t: float
    p: float
    splits: int


def metric_to_test(sort: str, known: Sequence[str]) -> str:
    """Return the metric to test: `sort` measured on the test split. If the runs lack it, return `sort`.

    The best group is chosen by `sort`. The split that chose it would flatter it.
    """
    test = f"test/{sort.rpartition('/')[2]}"
    return test if test in known else sort


def differences(best: Group, others: Sequence[Group], metric: str) -> list[Difference]:
    """Return the difference of each group from the best group. A group is left out if it cannot be tested.

    To be tested, two groups need runs on two or more common splits, and the runs need sizes of splits (see
    `share_of_test`).
    """
    found = (paired_difference(best, other, metric) for other in others)
    return [one for one in found if one is not None]


def paired_difference(best: Group, other: Group, metric: str) -> Difference | None:
    """Return the difference of `other` from `best`; None if it cannot be tested.

    The runs on one split are averaged first. With the differences d of n splits, their standard deviation s, and the
    sizes of the test split and of the training split, the statistic is

        t = d̄ / √((1/n + n_test/n_train)·s²)

    with n − 1 degrees of freedom. The training splits of two runs overlap, so their results are not independent. The
    second term in the brackets corrects for this (Nadeau & Bengio, "Inference for the generalization error", Machine
    Learning 52, 2003).
    """
    ours, theirs = best.by_split(metric), other.by_split(metric)
    paired = [theirs[split] - ours[split] for split in ours if split in theirs]
    ratios = [share_of_test(run, metric) for group in (best, other) for run in group.counted if metric in run.metrics]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(paired) < 2 or len(known) < len(ratios):
        return None
    mean, degrees = statistics.fmean(paired), len(paired) - 1
    error = math.sqrt(1 / len(paired) + statistics.fmean(known)) * statistics.stdev(paired)
    t = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    return Difference(other, mean, student_t(degrees) * error, t, two_sided(t, degrees), len(paired))


def share_of_test(run: PastRun, metric: str) -> float | None:
    """Return n_test/n_train of a run; None if it is unknown.

    n_test is the size of the split that `metric` was measured on. n_train is the number of other examples that the run
    could use. If each ``dataset.seed`` generates new data, the splits of two runs have no example in common, so the
    result is 0.
    """
    values, sizes = run.values, run.metrics
    if "dataset.root" not in values:
        return 0.0
    train, val, test = (sizes.get(f"examples/{split}", 0.0) for split in ("train", "val", "test"))
    if metric.startswith("val/"):
        return val / train if val and train else None
    if test and train:
        return test / (train + val)
    if folds := values.get("dataset.folds"):  # a run of an earlier version
        return float(1 / (folds - 1))
    fraction = values.get("dataset.test_fraction")
    return None if fraction is None else float(fraction / (1 - fraction))
