"""Write a comparison as one self-contained HTML page. ``page.html`` is the template of the page."""

import shlex
from collections.abc import Collection, Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from deeprob.compare.chart import chart
from deeprob.compare.comparison import Comparison
from deeprob.compare.curves import mean_curve, panels
from deeprob.compare.effects import Effect, Level
from deeprob.compare.estimates import Estimate
from deeprob.compare.groups import Group, counts
from deeprob.compare.paired import Difference
from deeprob.compare.past_runs import LOST
from deeprob.compare.report import (
    INTERVAL,
    TOGETHER,
    about_differences,
    caveats,
    cell,
    difference_words,
    doubt,
    estimated,
    first_and_last,
    heading,
    share,
)
from deeprob.compare.tiles import heat_maps
from deeprob.tracking.console import shown
from deeprob.tracking.metric_names import more_is_better

WIDE = 6
"""The largest number of columns of a heat map that is shown beside the effects. Wider heat maps are shown below."""

DIFFERENCE = {"difference": "descending", "t": "descending", "p": "ascending", "splits": "descending"}
"""The columns of the table of differences, and the order after the first click on a column."""

DOTS = '<span class="word">…</span><span></span><span></span>'


def page(comparison: Comparison) -> str:
    """Return the HTML page of a comparison."""
    maps = [] if comparison.heat_map is None else [comparison.heat_map, *comparison.other_maps]
    beside = bool(maps) and max(len(heat.column_words) for heat in maps) <= WIDE
    body = [_best_section(comparison)]
    if comparison.differences:
        body.append(_differences_section(comparison))
    if comparison.effects:
        body.append(_effects_section(comparison, "" if beside else "wide"))
    if maps:
        two = f"{maps[0].rows} and {maps[0].columns}" if len(maps) == 1 else "two keys"
        remark = "Means over all runs with both values."
        body.append(
            _section(f"{comparison.sort} by {two}", remark, heat_maps(maps, comparison.sort), "" if beside else "wide")
        )
    body += [_curves_section(comparison), _table_section(comparison)]
    states = counts(run.status for run in comparison.runs)
    chips = [f"{len(comparison.runs)} runs", f"{len(comparison.groups)} group{'s' * (len(comparison.groups) != 1)}"]
    marks = [_chip(chip) for chip in chips] + [_chip(f"{n} {status}", status in LOST) for status, n in states.items()]
    frame = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=escape(comparison.title), chips="".join(marks), body="\n".join(body))


def group_name(group: Group, keys: Collection[str]) -> str:
    """Return the name of a group: a word ``key=value`` for each key in `keys` that the group has."""
    return " ".join(f"{key}={word}" for key, word in group.values.items() if key in keys) or "all runs"


def differing(groups: Sequence[Group]) -> list[str]:
    """Return the keys in which groups differ. If there are no such keys, return all keys."""
    keys = list(dict.fromkeys(key for group in groups for key in group.values))
    return [key for key in keys if len({group.values.get(key) for group in groups}) > 1] or keys


def _chip(text: str, lost: bool = False) -> str:
    return f'<span class="chip{" lost" if lost else ""}">{escape(text)}</span>'


def _section(title: str, remark: str, content: str, kind: str = "") -> str:
    return f'<section class="{kind}">\n<h2>{escape(title)}</h2>\n<p>{escape(remark)}</p>\n{content}\n</section>'


def _best_section(comparison: Comparison) -> str:
    found, metric = comparison.best.estimate(comparison.sort), comparison.sort
    number, margin = _parts(metric, found)
    unit = next((unit for unit in (" %", " s") if margin.endswith(unit)), "")
    drawn = "splits" if comparison.best.splits > 1 else "seeds"
    interval = f" <small>{escape(margin)}</small></div><p>mean ± {INTERVAL} over {drawn}</p>" if margin else "</div>"
    command = ""
    if comparison.command:
        words = escape(shlex.join(comparison.command))
        button = '<button type="button" data-copy hidden>copy</button>'
        command = f'<div class="command"><code>{words}</code>{button}</div>'
    name = group_name(comparison.best, comparison.keys)
    runs = f"{escape(comparison.best.state)} runs{escape(doubt(comparison))}"
    return (
        '<section class="wide best">\n'
        f'<div><h2>best {escape(metric)}</h2><div class="figure">{escape(number + unit)}{interval}</div>\n'
        f'<div><div class="word">{escape(name)}</div><p>{runs}</p>{command}</div>\n</section>'
    )


def _differences_section(comparison: Comparison) -> str:
    heads = [_head(key, "word", "ascending") for key in comparison.keys]
    heads += [_head(name, "", first) for name, first in DIFFERENCE.items()]

    def row(found: Difference) -> str:
        words = [escape(found.group.values.get(key, "")) for key in comparison.keys]
        numbers = (found.mean, found.t, found.p, found.splits)
        texts = (*difference_words(comparison.tested, found), str(found.splits))
        cells = [f'<td data-v="{word}" class="word">{word}</td>' for word in words]
        cells += [f'<td data-v="{number!r}">{escape(text)}</td>' for number, text in zip(numbers, texts, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"

    lines = "\n".join(map(row, comparison.differences))
    table = f'<table class="rows"><thead><tr>{"".join(heads)}</tr></thead><tbody>\n{lines}\n</tbody></table>'
    name = group_name(comparison.best, comparison.keys)
    remark = f"{about_differences(comparison)}. Best: {name}."
    return _section("Paired differences", f"D{remark[1:]}", f'<div class="scroll">{table}</div>', "wide")


def _effects_section(comparison: Comparison, kind: str) -> str:
    metric = comparison.sort
    means = [level.mean for effect in comparison.effects for level in effect.levels if level.mean is not None]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)

    def place(level: Level) -> float:
        assert level.mean is not None
        return 50.0 if high == low else 100 * (level.mean - low) / (high - low)

    def row(level: Level, best: Level | None) -> str:
        dot = ""
        if level.mean is not None:
            dot = f'<i{" class=top" if level is best else ""} style="left:{place(level):.1f}%"></i>'
        number = f'<span class="number{" lost" if level.lost else ""}">{escape(cell(level, metric))}</span>'
        return f'<span class="word">{escape(level.word)}</span><div class="track">{dot}</div>{number}'

    def block(effect: Effect) -> str:
        measured = [level for level in effect.levels if level.mean is not None]
        choose = max if more_is_better(metric) else min
        best = choose(measured, key=lambda level: level.mean or 0.0) if measured else None
        rows = "".join(first_and_last([row(level, best) for level in effect.levels], 30, DOTS))
        return f'<div class="effect">{_bar(effect.key, effect.share)}<div class="levels">{rows}</div></div>'

    content = [block(effect) for effect in comparison.effects]
    if comparison.rest is not None:
        if len(comparison.effects) > 1:
            content.append(f'<div class="effect">{_bar(TOGETHER, comparison.rest.together)}</div>')
        content.append(f'<div class="effect">{_bar("seeds", comparison.rest.seeds)}</div>')
    bars = f"Bars: η², the share of the variance of {metric} between runs that a key explains."
    dots = "Dots: the mean over all runs with this value."
    remark = " ".join([bars, dots, *caveats(comparison)])
    return _section("What each key does", remark, f'<div class="effects">{"".join(content)}</div>', kind)


def _bar(key: str, part: float | None) -> str:
    head = f'<div><span class="word">{escape(key)}</span><b>{share(part)}</b></div>'
    return f'{head}<div class="bar"><i style="width:{100 * (part or 0.0):.1f}%"></i></div>'


def _curves_section(comparison: Comparison) -> str:
    shown = comparison.groups[: len(comparison.curves)]
    names = [group_name(group, differing(shown)) for group in shown]
    charts = [
        f"<figure><figcaption>{escape(metric)}</figcaption>{drawn}</figure>"
        for metric in panels(comparison.curves, comparison.sort)
        if (drawn := chart(metric, [mean_curve(runs, metric) for runs in comparison.curves], names))
    ]
    if not any(rows for runs in comparison.curves for rows in runs):
        return _section("Learning curves", "There are none: no run has a metrics.csv (csv in trainer.trackers).", "")
    if not charts:
        return ""
    legend = [
        f'<li class="k{n}"><b>{n + 1}</b><span class="word">{escape(name)}</span></li>' for n, name in enumerate(names)
    ]
    count = f"The best {len(shown)} of {len(comparison.groups)} groups by {comparison.sort}"
    most = max(map(len, comparison.curves))
    seeds = f"{most} seeds" if any(len(group.counted) > most for group in shown) else "seeds"
    remark = f"{count}: mean over {seeds} at each epoch; the band is one standard deviation to either side."
    content = f'<div class="charts">{"".join(charts)}</div><ol class="legend">{"".join(legend)}</ol>'
    return _section("Learning curves", remark, content, "wide")


def _table_section(comparison: Comparison) -> str:
    sort = comparison.sort

    def measure(name: str) -> str:
        return _head(name, "", "descending" if more_is_better(name) else "ascending", ordered=name == sort)

    heads = [_head("rank", "", "ascending"), measure(sort)]
    heads += [_head(key, "word", "ascending") for key in comparison.keys]
    heads += [measure(name) for name in comparison.columns if name != sort]
    heads.append(_head("runs", "text", "descending"))
    rows = [
        f'<tr data-words="{escape(group_name(group, comparison.keys).lower())}"{" class=lost" if group.lost else ""}>'
        f"{''.join(_row_cells(comparison, group, rank))}</tr>"
        for rank, group in enumerate(comparison.groups, 1)
    ]
    lines = "\n".join(rows)
    table = f'<table class="rows"><thead><tr>{"".join(heads)}</tr></thead><tbody>\n{lines}\n</tbody></table>'
    field = '<input id="filter" type="search" placeholder="filter: optimizer.lr=0.01" aria-label="filter rows" hidden>'
    remark = escape(f"M{heading(comparison)[1:]}.")
    return (
        f'<section class="wide">\n<div class="tools"><div><h2>All groups</h2><p>{remark}</p>'
        f'</div>{field}</div>\n<div class="scroll">{table}</div>\n</section>'
    )


def _head(name: str, kind: str, first: str, *, ordered: bool = False) -> str:
    """Return the head of a column that sorts its table; `first` is the order after the first click."""
    order = f' aria-sort="{first}"' if ordered else ""
    button = f'<button type="button">{escape(name)}</button>'
    return f'<th scope="col" class="{kind}" data-first="{first}"{order}>{button}</th>'


def _row_cells(comparison: Comparison, group: Group, rank: int) -> Iterator[str]:
    yield f'<td data-v="{rank}">{rank}</td>'
    yield _measured(comparison, group, comparison.sort)  # the ranking metric is first, so that it is visible on a phone
    for key in comparison.keys:
        word = escape(group.values.get(key, ""))
        yield f'<td data-v="{word}" class="word">{word}</td>'
    for name in comparison.columns:
        if name != comparison.sort:
            yield _measured(comparison, group, name)
    runs = "".join(f"<li>{escape(line)}</li>" for line in _lines(group, comparison.sort))
    detail = f"<details><summary>{escape(group.state)}</summary><ul>{runs}</ul></details>"
    yield f'<td data-v="{sum(run.finished for run in group.runs)}" class="text">{detail}</td>'


def _measured(comparison: Comparison, group: Group, name: str) -> str:
    kind = ' class="sorted"' if name == comparison.sort else ""
    found = group.estimate(name)
    return f'<td data-v="{"" if found is None else repr(found.mean)}"{kind}>{_estimated(name, found)}</td>'


def _estimated(metric: str, found: Estimate | None) -> str:
    number, margin = _parts(metric, found)
    return escape(number) + (f" <small>{escape(margin)}</small>" if margin else "")


def _parts(metric: str, found: Estimate | None) -> tuple[str, str]:
    """Return a text for the mean and a text for its interval: ``90.00`` and ``± 1.23 %``.

    If there is no interval, the second text is empty, and the first text has the unit: ``90.00 %``.
    """
    text = estimated(metric, found)
    number, _, margin = text.partition(" ")
    return (number, margin) if margin.startswith(("±", "−")) else (text, "")


def _lines(group: Group, metric: str) -> Iterator[str]:
    """Yield one line per run: folder name, status (``completed`` is left out), error (if any) and metric."""
    for run in group.runs:
        place = run.directory.name if run.directory is not None else "no directory"
        ending = [] if run.status == "completed" else [run.status]
        yield "  ".join([place, *ending, *filter(None, [run.error, shown(metric, run.metrics)])])
