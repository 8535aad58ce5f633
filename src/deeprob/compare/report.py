"""Print a comparison on the terminal, as tables of plain text."""

import shlex
from collections.abc import Sequence
from typing import TypeVar

from deeprob.compare.comparison import Comparison
from deeprob.compare.effects import HeatMap, Level
from deeprob.compare.estimates import Estimate
from deeprob.compare.groups import Group, counts
from deeprob.compare.paired import Difference
from deeprob.tracking.console import LiveTable, shown
from deeprob.tracking.metric_names import more_is_better

INTERVAL = "95 % confidence interval"
HEADING = f"mean ± {INTERVAL}, not standard deviation (Student's t over "
ONE_SPLIT = "the runs of a group: its seeds, all on one split)"
SPLITS = "the splits of a group; the runs on one split are averaged)"
TOGETHER = "keys together"
"""The name of the share of the variance that interactions between keys explain."""

T = TypeVar("T")


def print_report(comparison: Comparison, top: int) -> None:
    """Print a comparison. The table of groups contains only the best `top` groups."""
    print(headline(comparison))
    print(f"\n{heading(comparison)}")
    _print_groups(comparison, comparison.groups[:top])
    hidden = len(comparison.groups) - top
    if hidden > 0:
        print(f"… and {hidden} more: top={len(comparison.groups)} prints all")
    if comparison.differences:
        _print_differences(comparison, comparison.differences[:top])
    if comparison.effects:
        _print_effects(comparison)
    if comparison.heat_map is not None:
        _print_heat_map(comparison.heat_map, comparison.sort)
    found = comparison.best.estimate(comparison.sort)
    meaning = f" ({INTERVAL})" if found is not None and found.margin is not None else ""
    named = " ".join(f"{key}={word}" for key, word in comparison.best.values.items())
    value = f"{comparison.sort} {estimated(comparison.sort, found)}{meaning}{doubt(comparison)}"
    print(f"\nbest       {named}{': ' * bool(named)}{value}")
    if comparison.command:
        print(f"again      {shlex.join(comparison.command)}")


def headline(comparison: Comparison) -> str:
    """Return a line with the number of runs, the number of groups, and the number of runs with each status."""
    states = ", ".join(f"{n} {status}" for status, n in counts(run.status for run in comparison.runs).items())
    return f"{_plural(len(comparison.runs), 'run')} in {_plural(len(comparison.groups), 'group')}: {states}"


def heading(comparison: Comparison) -> str:
    """Return the heading of the table of groups. The heading explains the numbers and the order of the groups."""
    order = "highest" if more_is_better(comparison.sort) else "lowest"
    lost = "; groups with lost runs last" if any(group.lost for group in comparison.groups) else ""
    early = "; no run has finished: values so far" if comparison.preliminary else ""
    over = SPLITS if any(group.splits > 1 for group in comparison.groups) else ONE_SPLIT
    return f"{HEADING}{over}, {order} {comparison.sort} first{lost}{early}"


def about_differences(comparison: Comparison) -> str:
    """Return the heading of the table of differences."""
    return (
        f"difference from the best in {comparison.tested} on the same splits: mean ± {INTERVAL}; "
        "t and p of the corrected resampled t-test"
    )


def difference_words(metric: str, found: Difference) -> tuple[str, str, str]:
    """Return the texts of a difference with its interval, of t, and of p."""
    mean, margin = (shown(metric, {metric: value}) for value in (found.mean, found.margin))
    number = mean.removesuffix(" %").removesuffix(" s").replace("-", "−")
    p = "< 0.0001" if found.p < 1e-4 else f"{found.p:.4f}"
    return f"{number} ± {margin}", f"{found.t:.2f}".replace("-", "−"), p


def doubt(comparison: Comparison) -> str:
    """Return a note about groups that may also be the best; empty if there are no such groups."""
    if not comparison.rivals:
        return ""
    other = "the interval of 1 other group overlaps" if comparison.rivals == 1 else ""
    overlap = other or f"the intervals of {comparison.rivals} other groups overlap"
    return f"; not decided: {overlap} its own"


def estimated(metric: str, found: Estimate | None) -> str:
    """Return a mean with its confidence interval as text; empty if `found` is None.

    The interval of a share is cut at 0 % and 100 %.
    """
    if found is None:
        return ""
    mean = shown(metric, {metric: found.mean})
    if found.margin is None:
        return mean
    number = mean.removesuffix(" %").removesuffix(" s")
    low, high = found.ends
    if mean.endswith(" %") and (low < 0 or high > 1):
        below, above = (shown(metric, {metric: room}) for room in (found.mean - max(low, 0), min(high, 1) - found.mean))
        return f"{number} −{below.removesuffix(' %')} +{above}"
    return f"{number} ± {shown(metric, {metric: found.margin})}"


def cell(level: Level | None, metric: str) -> str:
    """Return a text with a mean and the number of runs that diverged or failed; a dash if there are no runs."""
    if level is None:
        return "–"
    if level.mean is None:
        return f"{level.lost} lost" if level.lost else "–"
    return shown(metric, {metric: level.mean}) + (f" ({level.lost} lost)" if level.lost else "")


def caveats(comparison: Comparison) -> list[str]:
    """Return sentences that warn of wrong conclusions from the effects."""
    found = []
    if comparison.rest is None and len(comparison.effects) > 1:
        found.append("The runs are not a full grid with equally many seeds, so the effects of keys may be mixed up.")
    if comparison.effects and max(len(group.numbers(comparison.sort)) for group in comparison.groups) < 2:
        found.append("No group has two seeds, so an effect may be due to chance.")
    return found


def share(value: float | None) -> str:
    """Return a share of the variance as a percentage; a dash if `value` is None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def first_and_last(items: Sequence[T], most: int, between: T) -> Sequence[T]:
    """Return the items. If there are more than `most` items, replace those in the middle by `between`."""
    return items if len(items) <= most else [*items[: most - most // 2], between, *items[-(most // 2) :]]


def _print_groups(comparison: Comparison, groups: Sequence[Group]) -> None:
    keys = comparison.keys
    rows = [[group.values.get(key, "") for key in keys] + [group.state] for group in groups]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[estimated(name, group.estimate(name)) for name in comparison.columns] for group in groups]
    table = LiveTable([*keys, "runs", *comparison.columns], widths, max(len(text) for some in cells for text in some))
    for group, row, some in zip(groups, rows, cells, strict=True):
        table.row([*row, *some], style="red" if group.lost else "")


def _print_differences(comparison: Comparison, found: Sequence[Difference]) -> None:
    print(f"\n{about_differences(comparison)}")
    keys = comparison.keys
    rows = [[one.group.values.get(key, "") for key in keys] + [str(one.splits)] for one in found]
    cells = [difference_words(comparison.tested, one) for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    width = max(len(text) for some in cells for text in some)
    table = LiveTable([*keys, "splits", "difference", "t", "p"], widths, width)
    for row, some in zip(rows, cells, strict=True):
        table.row([*row, *some])


def _print_effects(comparison: Comparison) -> None:
    print(f"\nwhat each key does to {comparison.sort}: η², the share of the variance between runs that it explains,")
    print("and the mean over all runs with each value")
    names = [TOGETHER, *(effect.key for effect in comparison.effects)]
    table = LiveTable(["key", f"{'η²':>7}", "value: mean"], [max(map(len, names)), len("100.0 %"), 0])
    for effect in comparison.effects:
        levels = [f"{level.word}: {cell(level, comparison.sort)}" for level in effect.levels]
        table.row([effect.key, f"{share(effect.share):>7}", "   ".join(first_and_last(levels, 12, "…"))])
    if comparison.rest is not None:
        if len(comparison.effects) > 1:
            table.row([TOGETHER, f"{share(comparison.rest.together):>7}"])
        table.row(["seeds", f"{share(comparison.rest.seeds):>7}"])
    print(*map("({})".format, caveats(comparison)), sep="\n", end="\n" * bool(caveats(comparison)))


def _print_heat_map(heat: HeatMap, metric: str) -> None:
    print(f"\n{metric} by {heat.rows} (down) and {heat.columns} (across): means over all runs with both values")
    rows = [[cell(heat.cells.get((row, column)), metric) for column in heat.column_words] for row in heat.row_words]
    width = max(len(text) for row in rows for text in row)
    table = LiveTable(["", *heat.column_words], [max(map(len, heat.row_words))], width)
    for word, cells in zip(heat.row_words, rows, strict=True):
        table.row([word, *cells])


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
