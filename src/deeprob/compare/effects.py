"""The effect of each key on a metric: the mean for each value of the key, and the share of the variance explained."""

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
        The value, as a word of a command.
    mean
        The marginal mean: the mean of the metric over all runs with this value, for any values of the other keys. None
        if no run has the metric.
    number, lost
        The number of runs in the mean, and the number of runs that diverged or failed.
    """

    word: str
    mean: float | None
    number: int
    lost: int


class Effect(NamedTuple):
    """A key's main effect.

    Attributes
    ----------
    key
        The key.
    share
        η² in [0, 1]: the share of the variance between runs that the key explains. None if fewer than two values of the
        key have counted runs.
    levels
        The values of the key with their means. If all values are numbers, they are in ascending order.
    """

    key: str
    share: float | None
    levels: list[Level]


class Rest(NamedTuple):
    """The variance that no main effect explains. It exists only if every combination has equally many runs.

    Attributes
    ----------
    together
        The share of the variance that interactions between keys explain.
    seeds
        The share of the variance that lies between the seeds of a group.
    """

    together: float
    seeds: float


class HeatMap(NamedTuple):
    """The mean of a metric for each pair of values of two keys.

    Attributes
    ----------
    rows, columns
        The key whose values are the rows, and the key whose values are the columns.
    row_words, column_words
        The values of the keys.
    cells
        (row word, column word) → the mean and the numbers of runs, as a `Level` with an empty word.
    """

    rows: str
    columns: str
    row_words: list[str]
    column_words: list[str]
    cells: dict[tuple[str, str], Level]


def effects(groups: Sequence[Group], metric: str) -> list[Effect]:
    """Return the main effects of the keys in which groups differ, from the largest to the smallest.

    The effect of a key that only some groups have is computed from these groups.
    """
    keys = list(dict.fromkeys(key for group in groups for key in group.values))
    found = []
    for key in keys:
        by_word = {word: [group for group in groups if group.values.get(key) == word] for word in words(groups, key)}
        levels = [level(word, same, metric) for word, same in by_word.items()]
        if sum(level.number + level.lost > 0 for level in levels) > 1:
            numbers = [[number for group in same for number in group.numbers(metric)] for same in by_word.values()]
            found.append(Effect(key, eta_squared(numbers) if sum(map(bool, numbers)) > 1 else None, levels))
    return sorted(found, key=lambda effect: -1.0 if effect.share is None else effect.share, reverse=True)


def level(word: str, groups: Sequence[Group], metric: str) -> Level:
    """Return the `Level` of `word`, with the mean of a metric over all counted runs of `groups`."""
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
    """Return the variance that no main effect explains.

    None if the runs are not a full grid with equally many seeds, or if there is no variance between groups.
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
    """Return the heat map of a metric over two keys. Each cell is a mean over all runs with the cell's two values."""
    pairs: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if rows in group.values and columns in group.values:
            pairs.setdefault((group.values[rows], group.values[columns]), []).append(group)
    cells = {pair: level("", same, metric) for pair, same in pairs.items()}
    there = [group for same in pairs.values() for group in same]
    return HeatMap(rows, columns, words(there, rows), words(there, columns), cells)


MOST_WORDS, MOST_KEYS = 30, 4
"""Limits of the default heat maps. A key with more than `MOST_WORDS` values gets no heat map. Of the other keys, the
`MOST_KEYS` with the largest effects get heat maps."""


def chosen_map(
    groups: Sequence[Group],
    metric: str,
    found: Sequence[Effect],
    asked: Sequence[str] | None,
    config: Mapping[str, str],
) -> HeatMap | None:
    """Return the heat map of the keys `asked`, or of the two keys with the largest effects if `asked` is None.

    None if `asked` is None and there are fewer than two keys with few enough values.

    Parameters
    ----------
    groups, metric, found
        The groups, the metric, and the effects of the keys on the metric.
    asked
        The two keys that the user gave, or None.
    config
        All keys with their values in one run. They distinguish a key that does not differ from an unknown key.

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
    """Return a heat map for each pair of keys with large effects, except for the pair in the heat map `first`."""
    keys = [effect.key for effect in found if len(effect.levels) <= MOST_WORDS][:MOST_KEYS]
    pairs = [pair for pair in itertools.combinations(keys, 2) if set(pair) != {first.rows, first.columns}]
    return [heat for pair in pairs if (heat := heat_map(groups, metric, *pair)).cells]
