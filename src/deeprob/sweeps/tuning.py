"""Tuning within a sweep: for a fair comparison, choose the best values of the tuned keys for each candidate.

Example: the candidates are optimizers, and the learning rate is a tuned key. Then the best learning rate is chosen for
each optimizer.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from deeprob.assembly.config import is_seed
from deeprob.tracking.metric_names import more_is_better


class Choice(NamedTuple):
    """The result of tuning.

    Attributes
    ----------
    kept
        The numbers of the jobs with the best values.
    excused
        The numbers of the jobs that diverged but do not count as failed. Tuning also tries values that are too large,
        for example a large learning rate. A job that diverged is excused if other jobs of its candidate ended well.
    remarks
        One line for each best value that is the smallest or the largest value that was tried. In this case, a better
        value may exist outside the tried range.
    """

    kept: list[int]
    excused: list[int]
    remarks: list[str]


@dataclass(frozen=True)
class Tuning:
    """The keys to tune, and the metric that decides which values are best.

    Attributes
    ----------
    keys
        The tuned keys. Jobs that differ only in these keys and in seeds belong to the same candidate.
    metric
        The mean of this metric over seeds decides which values are best (see `more_is_better`).
    """

    keys: Sequence[str]
    metric: str

    def best(self, rows: Sequence[Mapping[str, Any]], swept: Sequence[str]) -> Choice:
        """Choose rows of a sweep's table: for each candidate, the rows in which the tuned keys have their best values.

        A value is considered only if all its jobs ended well.
        """
        candidates: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}
        for number, row in enumerate(rows):
            candidate = tuple(row[key] for key in swept if key not in self.keys and not is_seed(key))
            value = tuple(row.get(key, "") for key in self.keys)
            candidates.setdefault(candidate, {}).setdefault(value, []).append(number)
        kept: list[int] = []
        excused: list[int] = []
        remarks: list[str] = []
        for candidate, values in candidates.items():
            costs = {value: self.cost([rows[number] for number in numbers]) for value, numbers in values.items()}
            chosen = min(costs, key=lambda value: costs[value])
            if costs[chosen] < math.inf:
                kept += values[chosen]
                excused += [n for numbers in values.values() for n in numbers if rows[n].get("status") == "diverged"]
                remarks += self.remarks(" ".join(filter(None, candidate)), chosen, list(values))
        return Choice(sorted(kept), sorted(excused), remarks)

    def cost(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Return the mean of the metric, negated if larger values are better. A lower cost is better.

        The cost is infinity if a job failed or lacks the metric.
        """
        if any(row["error"] or not math.isfinite(row.get(self.metric, math.nan)) for row in rows):
            return math.inf
        mean = statistics.fmean(row[self.metric] for row in rows)
        return -mean if more_is_better(self.metric) else mean

    def remarks(self, candidate: str, chosen: Sequence[str], tried: Sequence[Sequence[str]]) -> Iterator[str]:
        """Yield a remark for each best value that is the smallest or the largest value that was tried."""
        for place, key in enumerate(self.keys):
            numbers = sorted({float(value[place]) for value in tried if _is_number(value[place])})
            if len(numbers) > 1 and (best := float(chosen[place])) in (numbers[0], numbers[-1]):
                end = "smallest" if best == numbers[0] else "largest"
                whose = f"{candidate}: " if candidate else ""
                yield f"{whose}{key}={chosen[place]} is the {end} value tried; a better value may lie beyond it"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
