"""Ranges of numbers. In a random search, nearly every run has a different value, so ranges are compared."""

import dataclasses
import itertools
from collections.abc import Sequence

from deeprob.compare.command_words import word_of
from deeprob.compare.groups import Group

_TO = " to "
RANGES = 4
MANY = 8
"""The values of a key are replaced by ranges only if the key has more values than this number."""


def range_start(word: str) -> float:
    """Return a number, or the start of a range of numbers. Raise a ValueError for any other word."""
    return float(word.partition(_TO)[0])


def in_ranges(groups: Sequence[Group]) -> list[Group]:
    """Replace numbers by ranges of numbers in the values of groups.

    Example: each of the learning rates 1e-5, 2e-5, …, 12e-5 occurs in one run. They become ``1e-5 to 3e-5``,
    ``4e-5 to 6e-5`` and so on. A key is changed if it has more than `MANY` values, all values are numbers, and most
    values occur in one run only. All ranges contain about the same number of values.
    """
    keys = dict.fromkeys(key for group in groups for key in group.values)
    ranges = {key: _ranges([group for group in groups if key in group.values], key) for key in keys}
    return [
        dataclasses.replace(group, values={key: ranges[key].get(word, word) for key, word in group.values.items()})
        for group in groups
    ]


def _ranges(groups: Sequence[Group], key: str) -> dict[str, str]:
    """Return a dictionary from value to range for a key; empty if the values are not replaced."""
    try:
        numbers = sorted({float(group.values[key]) for group in groups})
    except ValueError:
        return {}
    runs = sum(len(group.runs) for group in groups)
    if len(numbers) <= MANY or runs >= 1.5 * len(numbers):
        return {}
    ends = [place * len(numbers) // RANGES for place in range(RANGES + 1)]
    named: dict[float, str] = {}
    for first, end in itertools.pairwise(ends):
        low, high = (word_of(float(f"{numbers[place]:.3g}")) for place in (first, end - 1))
        named |= dict.fromkeys(numbers[first:end], f"{low}{_TO}{high}")
    return {group.values[key]: named[float(group.values[key])] for group in groups}
