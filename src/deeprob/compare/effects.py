"""The effect of each key on a metric: the mean for each of its values, and the share of the variance it explains."""

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
    """A value of a key.

    Attributes
    ----------
    word
        The value.
    mean
        The marginal mean: the mean of the metric over all runs with this value, whatever their other keys; None if no
        run has the metric.
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
        η² in [0, 1]: the share of the variance between runs that lies between the key's values. None if fewer than two
        values have counted runs.
    levels
        The values of the key. Numbers are in ascending order.
    """

    key: str
    share: float | None
    levels: list[Level]


class Rest(NamedTuple):
    """The variance that no main effect explains. It exists only if every combination has equally many runs.

    Attributes
    ----------
    together
        The share of interactions between keys.
    seeds
        The share within groups, between seeds.
    """

    together: float
    seeds: float


class HeatMap(NamedTuple):
    """The mean of a metric for each pair of values of two keys.

    Attributes
    ----------
    rows, columns
        The keys.
    row_words, column_words
        The values of the keys.
    cells
        (row word, column word) → a `Level` with an empty word: the mean, its number of runs, and the lost runs.
    """

    rows: str
    columns: str
    row_words: list[str]
    column_words: list[str]
    cells: dict[tuple[str, str], Level]


def effects(groups: Sequence[Group], metric: str) -> list[Effect]:
    """Return the main effects of the keys in which groups differ, the largest first.

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
    """Return the mean of a metric over all runs of some groups."""
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
    """Return the variance that main effects leave; None unless the runs are a full grid with equally many seeds."""
    sizes = {len(group.numbers(metric)) for group in groups}
    full = math.prod(len(effect.levels) for effect in found) == len(groups)
    if len(sizes) != 1 or sizes == {0} or not full or len(groups) < 2:
        return None
    between = eta_squared([group.numbers(metric) for group in groups])
    if between == 0:
        return None
    return Rest(max(between - sum(effect.share or 0.0 for effect in found), 0.0), 1 - between)


def heat_map(groups: Sequence[Group], metric: str, rows: str, columns: str) -> HeatMap:
    """Return the mean of a metric over all runs with each pair of values of two keys."""
    pairs: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if rows in group.values and columns in group.values:
            pairs.setdefault((group.values[rows], group.values[columns]), []).append(group)
    cells = {pair: level("", same, metric) for pair, same in pairs.items()}
    there = [group for same in pairs.values() for group in same]
    return HeatMap(rows, columns, words(there, rows), words(there, columns), cells)


MOST_WORDS, MOST_KEYS = 30, 4
"""In default heat maps: the most values of a key, and the most keys, which are those with the largest effects."""


def chosen_map(
    groups: Sequence[Group],
    metric: str,
    found: Sequence[Effect],
    asked: Sequence[str] | None,
    config: Mapping[str, str],
) -> HeatMap | None:
    """Return the heat map of two keys: those in `asked`, else those with the largest effects; None if there are fewer.

    Parameters
    ----------
    groups, metric, found
        The groups, the metric, and the effects on it.
    asked
        The two keys that the user gave, or None.
    config
        All keys with their values in one run, to distinguish a key that does not differ from an unknown key.

    Raises
    ------
    UserError
        When a key in `asked` does not differ between the groups, or no group has both keys.
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
    """Return the heat maps of the pairs, other than that of `first`, among the keys with the largest effects."""
    keys = [effect.key for effect in found if len(effect.levels) <= MOST_WORDS][:MOST_KEYS]
    pairs = [pair for pair in itertools.combinations(keys, 2) if set(pair) != {first.rows, first.columns}]
    return [heat for pair in pairs if (heat := heat_map(groups, metric, *pair)).cells]
