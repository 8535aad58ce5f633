"""Runs put together that differ in nothing but seeds, and ranked by a metric."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from deeprob.assembly.config import is_seed
from deeprob.compare.command_words import word_of
from deeprob.compare.estimates import Estimate, estimate
from deeprob.compare.past_runs import FINISHED, PastRun

MORE_IS_BETTER = ("accuracy", "examples_per_second")


@dataclass(frozen=True)
class Group:
    """Runs of one config and several seeds.

    Attributes
    ----------
    values
        What distinguishes the group from others: swept key → word; without a key that its runs do not have.
    runs
        All of them, however they ended.
    counted
        Those that means are taken over.
    """

    values: Mapping[str, str]
    runs: Sequence[PastRun]
    counted: Sequence[PastRun]

    def numbers(self, metric: str) -> list[float]:
        """Return a metric of the runs that count and have it."""
        return [run.metrics[metric] for run in self.counted if metric in run.metrics]

    def estimate(self, metric: str) -> Estimate | None:
        """Return a metric's mean over the runs that count, with its confidence interval; None where none has it."""
        return estimate(self.numbers(metric))

    @property
    def lost(self) -> int:
        """How many runs diverged or failed."""
        return sum(run.lost for run in self.runs)

    @property
    def state(self) -> str:
        """What became of the runs, in words: see `outcomes`."""
        return outcomes(run.status for run in self.runs)


def counts(words: Iterable[str]) -> dict[str, int]:
    """Return how often each word is there, in the order of their first."""
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def outcomes(statuses: Iterable[str]) -> str:
    """Return how many runs ended well, and what became of the others: ``3 of 3``, ``1 of 3, 2 diverged``."""
    found = counts(statuses)
    ended = sum(found.pop(status, 0) for status in FINISHED)
    return ", ".join([f"{ended} of {ended + sum(found.values())}", *(f"{n} {status}" for status, n in found.items())])


def group_runs(runs: Sequence[PastRun], keys: Sequence[str]) -> list[Group]:
    """Return the groups of runs that differ in seeds alone.

    Means count the runs that ended well; as long as none has, those that are on their way.
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


def more_is_better(metric: str) -> bool:
    """Tell whether the larger of two values of a metric is the better one."""
    return metric.endswith(MORE_IS_BETTER) or metric.startswith("probe/")


def ranked(groups: Sequence[Group], metric: str) -> list[Group]:
    """Return groups with the best mean of a metric first; those that lost runs below, and those without it last."""
    sign = -1 if more_is_better(metric) else 1

    def rank(group: Group) -> tuple[bool, bool, float]:
        found = group.estimate(metric)
        return found is None, group.lost > 0, math.inf if found is None else sign * found.mean

    return sorted(groups, key=rank)


def all_metrics(groups: Sequence[Group]) -> list[str]:
    """Return the metrics that some run that counts has, in the order of their first."""
    return list(dict.fromkeys(name for group in groups for run in group.counted for name in run.metrics))


def usual_sort(metrics: Collection[str]) -> str | None:
    """Return the default ranking metric: accuracy before loss, and val before test and train."""
    wanted = [f"{split}/{measure}" for measure in ("accuracy", "loss") for split in ("val", "test", "train")]
    return next((name for name in wanted if name in metrics), next(iter(metrics), None))


def usual_columns(metrics: Collection[str], sort: str) -> list[str]:
    """Return the metrics to show: accuracy of each split, loss where there is none, and what the ranking is by."""
    measure = "accuracy" if any(name.endswith("/accuracy") for name in metrics) else "loss"
    wanted = [f"{split}/{measure}" for split in ("train", "val", "test")]
    return [*([sort] if sort not in wanted else []), *(name for name in wanted if name in metrics)]
