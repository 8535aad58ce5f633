"""Groups of runs. The runs of a group differ only in seeds, and a metric ranks the groups."""

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deeprob.assembly.config import is_seed
from deeprob.compare.command_words import word_of
from deeprob.compare.estimates import Estimate, estimate
from deeprob.compare.past_runs import FINISHED, PastRun
from deeprob.tracking.metric_names import more_is_better, unbalanced


@dataclass(frozen=True)
class Group:
    """The runs of one config with different seeds.

    Attributes
    ----------
    values
        A dictionary from each swept key to its value in this group, as the value is typed in a command. Keys that the
        runs do not have are left out.
    runs
        All runs of the group, with any status.
    counted
        The runs that count in means and intervals (see `group_runs`).
    """

    values: Mapping[str, str]
    runs: Sequence[PastRun]
    counted: Sequence[PastRun]

    def numbers(self, metric: str) -> list[float]:
        """Return the values of a metric, one for each run that counts in means and has the metric."""
        return [run.metrics[metric] for run in self.counted if metric in run.metrics]

    def by_split(self, metric: str) -> dict[tuple[Any, Any], float]:
        """Return a dictionary from each split to the mean of a metric over the runs on this split."""
        found: dict[tuple[Any, Any], list[float]] = {}
        for run in self.counted:
            if metric in run.metrics:
                found.setdefault(run.split, []).append(run.metrics[metric])
        return {split: statistics.fmean(numbers) for split, numbers in found.items()}

    def estimate(self, metric: str) -> Estimate | None:
        """Return the mean and the confidence interval of a metric; None if no run that counts has the metric.

        Runs on the same split are not independent. So they are averaged first, unless all runs share one split. Then
        the interval is only over the seeds.
        """
        means = list(self.by_split(metric).values())
        return estimate(means if len(means) > 1 else self.numbers(metric))

    @property
    def splits(self) -> int:
        """The number of splits of the runs that count in means."""
        return len({run.split for run in self.counted})

    @property
    def lost(self) -> int:
        """The number of runs that diverged or failed."""
        return sum(run.lost for run in self.runs)

    @property
    def state(self) -> str:
        """A text with the number of runs that ended well and all other statuses: ``1 of 3, 2 diverged``."""
        return outcomes(run.status for run in self.runs)


def counts(words: Iterable[str]) -> dict[str, int]:
    """Return a dictionary from each word to the number of its occurrences, in the order of first occurrence."""
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def outcomes(statuses: Iterable[str]) -> str:
    """Return a text with the number of runs that ended well and all other statuses: ``1 of 3, 2 diverged``."""
    found = counts(statuses)
    ended = sum(found.pop(status, 0) for status in FINISHED)
    return ", ".join([f"{ended} of {ended + sum(found.values())}", *(f"{n} {status}" for status, n in found.items())])


def group_runs(runs: Sequence[PastRun], keys: Sequence[str]) -> list[Group]:
    """Return the groups of runs that differ only in seeds.

    Only runs that ended well count in means. If no run has ended well, all runs count except those that diverged or
    failed.
    """
    counting = [run for run in runs if run.finished] or [run for run in runs if not run.lost]
    counted = set(map(id, counting))
    groups: dict[tuple[str | None, ...], list[PastRun]] = {}
    others = [key for key in keys if not is_seed(key)]
    for run in runs:
        words = tuple(word_of(run.values[key]) if key in run.values else None for key in others)
        groups.setdefault(words, []).append(run)
    return [
        Group(
            {key: word for key, word in zip(others, words, strict=True) if word is not None},
            same,
            [run for run in same if id(run) in counted],
        )
        for words, same in groups.items()
    ]


def ranked(groups: Sequence[Group], metric: str) -> list[Group]:
    """Return the groups, from the best mean of a metric to the worst.

    Groups with runs that diverged or failed come after the other groups. Groups without a mean come last.
    """
    sign = -1 if more_is_better(metric) else 1

    def rank(group: Group) -> tuple[bool, bool, float]:
        found = group.estimate(metric)
        return found is None, group.lost > 0, math.inf if found is None else sign * found.mean

    return sorted(groups, key=rank)


def all_metrics(groups: Sequence[Group]) -> list[str]:
    """Return all metrics of the runs that count in means, in the order of first occurrence."""
    return list(dict.fromkeys(name for group in groups for run in group.counted for name in run.metrics))


def usual_sort(metrics: Collection[str], monitor: str | None = None) -> str | None:
    """Return the default ranking metric.

    It is ``trainer.monitor``, if all runs have the same `monitor` and have measured it. Otherwise it is the first of
    these names that is in `metrics`: val/accuracy, test/accuracy, train/accuracy, val/loss, test/loss, train/loss. If
    none is in `metrics`, the result is any metric, or None if `metrics` is empty.
    """
    if monitor in metrics:
        return monitor
    wanted = [f"{split}/{measure}" for measure in ("accuracy", "loss") for split in ("val", "test", "train")]
    return next((name for name in wanted if name in metrics), next(iter(metrics), None))


def usual_columns(groups: Sequence[Group], metrics: Collection[str], sort: str) -> list[str]:
    """Return the metrics to show: `sort`, and the accuracy of each split. Without accuracies, losses are shown.

    If the classes of any run are unbalanced, the balanced accuracy of the validation and the test split is shown too.
    """
    measure = "accuracy" if any(name.endswith("/accuracy") for name in metrics) else "loss"
    wanted = [f"{split}/{measure}" for split in ("train", "val", "test")]
    if any(unbalanced(run.metrics) for group in groups for run in group.counted):
        wanted += ["val/balanced_accuracy", "test/balanced_accuracy"]
    return [*([sort] if sort not in wanted else []), *(name for name in wanted if name in metrics)]
