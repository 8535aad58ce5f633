"""Tuning within a sweep, so that what is compared has each had the same care: its best value of a key stays."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from deeprob.assembly.config import is_seed


class Choice(NamedTuple):
    """What tuning a sweep came to.

    Attributes
    ----------
    kept
        Jobs with the best values.
    excused
        Jobs that diverged while others of their candidate went well: their value was too large, which is what a grid is
        to find out.
    remarks
        A line where the best value is the least or the largest of several: a better one may lie beyond.
    """

    kept: list[int]
    excused: list[int]
    remarks: list[str]


@dataclass(frozen=True)
class Tuning:
    """Which keys are tuned, and by what.

    Attributes
    ----------
    keys
        The keys; jobs that differ in nothing but these and seeds try values for the same candidate.
    metric
        Chooses: the highest mean over seeds of an accuracy, the lowest of anything else.
    """

    keys: Sequence[str]
    metric: str

    def best(self, rows: Sequence[Mapping[str, Any]], swept: Sequence[str]) -> Choice:
        """Return which rows of a sweep's table stay: of each candidate those with the best values.

        A value counts only if every job with it ended well.
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
        """Return what is to be small: infinity if a job failed or did not measure it."""
        if any(row["error"] or not math.isfinite(row.get(self.metric, math.nan)) for row in rows):
            return math.inf
        mean = statistics.fmean(row[self.metric] for row in rows)
        return -mean if self.metric.endswith("accuracy") else mean

    def remarks(self, candidate: str, chosen: Sequence[str], tried: Sequence[Sequence[str]]) -> Iterator[str]:
        """Yield which of a candidate's best values lie at the end of those tried."""
        for place, key in enumerate(self.keys):
            numbers = sorted({float(value[place]) for value in tried if _is_number(value[place])})
            if len(numbers) > 1 and (best := float(chosen[place])) in (numbers[0], numbers[-1]):
                end = "least" if best == numbers[0] else "largest"
                whose = f"{candidate}: " if candidate else ""
                yield f"{whose}{key}={chosen[place]} is the {end} tried; a better one may lie beyond"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
