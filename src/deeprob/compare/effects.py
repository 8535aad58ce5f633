"""The effect of each key on a metric: the mean for each value, and the share of the variance that the key explains."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deeprob.compare.estimates import eta_squared
from deeprob.compare.groups import Group
from deeprob.compare.ranges import range_start
from deeprob.errors import UserError, did_you_mean


class Level(NamedTuple):
    """A value of a key, with the mean of a metric over the runs that have this value.

    Attributes
    ----------
    word
        The value, as it is typed in a command.
    mean
        The marginal mean: the mean of the metric over all runs with this value, whatever their other keys are. None if
        no run has the metric.
    number
        The number of runs in the mean.
    lost
        The number of runs with this value that diverged or failed.
    """

    word: str
    mean: float | None
    number: int
    lost: int


class Effect(NamedTuple):
    """The main effect of a key on a metric.

    Attributes
    ----------
    key
        The name of the key.
    share
        η² in [0, 1]: the share of the variance between runs that the key explains. None if fewer than
        two values of the key have runs with the metric.
    levels
        The values of the key and the mean for each value. Numbers are in ascending order.
    """

    key: str
    share: float | None
    levels: list[Level]


class Rest(NamedTuple):
    """The shares of the variance that no main effect explains.

    They are known only if every combination of values occurs with the same number of runs.

    Attributes
    ----------
    together
        The share of the variance that interactions between keys explain.
    seeds
        The share of the variance between runs that differ only in seeds.
    """

    together: float
    seeds: float


class HeatMap(NamedTuple):
    """The mean of a metric for each pair of values of two keys.

    Attributes
    ----------
    rows
        The key whose values label the rows.
    columns
        The key whose values label the columns.
    row_words, column_words
        The values of the two keys, as they are typed in a command.
    cells
        (row word, column word) → a `Level` with the mean and the numbers of runs. Its `word` is empty.
    """

    rows: str
    columns: str
    row_words: list[str]
    column_words: list[str]
    cells: dict[tuple[str, str], Level]


def effects(groups: Sequence[Group], metric: str) -> list[Effect]:
    """Return the main effects of the keys in which groups differ, from the largest to the smallest.

    The effect of a key is computed from the groups that have the key.
    """
    keys = list(dict.fromkeys(key for group in groups for key in group.values))
    found = []
    for key in keys:
        by_word: dict[str, list[Group]] = {word: [] for word in words(groups, key)}
        for group in groups:
            if key in group.values:
                by_word[group.values[key]].append(group)
        levels = [level(word, same, metric) for word, same in by_word.items()]
        if sum(level.number + level.lost > 0 for level in levels) > 1:
            numbers = [[number for group in same for number in group.numbers(metric)] for same in by_word.values()]
            found.append(Effect(key, eta_squared(numbers) if sum(map(bool, numbers)) > 1 else None, levels))
    return sorted(found, key=lambda effect: -1.0 if effect.share is None else effect.share, reverse=True)


def level(word: str, groups: Sequence[Group], metric: str) -> Level:
    """Return the `Level` of the value `word`. Its mean is over all runs of `groups` that count in means."""
    numbers = [number for group in groups for number in group.numbers(metric)]
    return Level(word, statistics.fmean(numbers) if numbers else None, len(numbers), sum(g.lost for g in groups))


def words(groups: Sequence[Group], key: str) -> list[str]:
    """Return the values of a key, in ascending order if they are numbers or ranges of numbers."""
    found = dict.fromkeys(group.values[key] for group in groups if key in group.values)
    try:
        return sorted(found, key=range_start)
    except ValueError:
        return list(found)


def rest(groups: Sequence[Group], metric: str, found: Sequence[Effect]) -> Rest | None:
    """Return the shares of the variance that no main effect explains (see `Rest`).

    `found` contains the main effects. The result is None if a combination of values is missing, if combinations have
    different numbers of runs, or if all groups have the same mean.
    """
    sizes = {len(group.numbers(metric)) for group in groups}
    full = math.prod(len(effect.levels) for effect in found) == len(groups)
    if len(sizes) != 1 or sizes == {0} or not full or len(groups) < 2:
        return None
    between = eta_squared([group.numbers(metric) for group in groups])
    if between == 0:
        return None
    return Rest(max(between - sum(effect.share or 0.0 for effect in found), 0.0), 1 - between)


def heat_map(groups: Sequence[Group], metric: str, rows: str, columns: str) -> HeatMap:
    """Return the heat map of a metric. Each cell is the mean over the runs with one value of each key."""
    pairs: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if rows in group.values and columns in group.values:
            pairs.setdefault((group.values[rows], group.values[columns]), []).append(group)
    cells = {pair: level("", same, metric) for pair, same in pairs.items()}
    there = [group for same in pairs.values() for group in same]
    return HeatMap(rows, columns, words(there, rows), words(there, columns), cells)


MOST_WORDS, MOST_KEYS = 30, 4
"""Limits of the default heat maps. A key with more than `MOST_WORDS` values gets no heat map. Among the other keys,
only the `MOST_KEYS` keys with the largest effects get heat maps."""


def chosen_map(
    groups: Sequence[Group],
    metric: str,
    found: Sequence[Effect],
    asked: Sequence[str] | None,
    config: Mapping[str, str],
) -> HeatMap | None:
    """Return the heat map of the keys `asked`, or of the two keys with the largest effects if `asked` is None.

    Return None if `asked` is None and fewer than two keys have at most `MOST_WORDS` values.

    Parameters
    ----------
    groups, metric, found
        The groups, the metric, and the effects of the keys on the metric.
    asked
        The two keys that the user gave, or None.
    config
        All keys of one run with their values. An error message about a key in `asked` uses them.

    Raises
    ------
    UserError
        If a key in `asked` does not differ between the groups, or if no group has both keys.
    """
    known = [effect.key for effect in found]
    for key in asked or ():
        if key not in known and key in config:
            others = f"these keys differ: {', '.join(known)}" if known else "no other key differs either, except seeds"
            raise UserError(f"heatmap: {key} does not differ between groups of runs (it is {config[key]}); {others}")
        if key not in known:
            raise UserError(f"heatmap: no key {key}; {did_you_mean(key, known)}")
    if asked is None:
        asked = [effect.key for effect in found if len(effect.levels) <= MOST_WORDS][:2]
        if len(asked) < 2:
            return None
    drawn = heat_map(groups, metric, *asked)
    if not drawn.cells:
        raise UserError(f"heatmap: no run has both {asked[0]} and {asked[1]}; they belong to different options")
    return drawn


def other_maps(groups: Sequence[Group], metric: str, found: Sequence[Effect], first: HeatMap) -> list[HeatMap]:
    """Return one heat map for each pair of keys with large effects. The pair in `first` is left out."""
    keys = [effect.key for effect in found if len(effect.levels) <= MOST_WORDS][:MOST_KEYS]
    pairs = [pair for pair in itertools.combinations(keys, 2) if set(pair) != {first.rows, first.columns}]
    return [heat for pair in pairs if (heat := heat_map(groups, metric, *pair)).cells]
