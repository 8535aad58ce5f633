"""Heat maps as tables of colored cells."""

from collections.abc import Sequence
from html import escape

from deeprob.compare.effects import HeatMap, Level
from deeprob.compare.report import cell
from deeprob.tracking.console import shown
from deeprob.tracking.metric_names import more_is_better

SCALE = ((232, 240, 246), (159, 198, 223), (0, 114, 178), (8, 48, 79))
"""The colors of the color scale, from the worst mean to the best.

They are the colors of `deeprob.figures.style.SEQUENTIAL`, with a pale blue in place of white.
"""

EVEN = 0.179
"""The luminance of a background on which black and white text have the same contrast, 4.6."""


def heat_maps(maps: Sequence[HeatMap], metric: str) -> str:
    """Return the HTML of heat maps of a metric. If there are several maps, a menu selects the map to show."""
    tables = [
        f'<div class="map"{" hidden" * (place > 0)}>{_heat_table(heat, metric)}</div>'
        for place, heat in enumerate(maps)
    ]
    if len(maps) == 1:
        return tables[0]
    choices = [
        f'<option value="{n}">{escape(f"{heat.rows} and {heat.columns}")}</option>' for n, heat in enumerate(maps)
    ]
    return f'<select id="pick" aria-label="keys" hidden>{"".join(choices)}</select>{"".join(tables)}'


def _heat_table(heat: HeatMap, metric: str) -> str:
    means = [level.mean for level in heat.cells.values() if level.mean is not None]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    worst, best = (low, high) if more_is_better(metric) else (high, low)

    def tile(level: Level | None) -> str:
        if level is None or level.mean is None:
            return f'<td class="none{" lost" if level and level.lost else ""}">{escape(cell(level, metric))}</td>'
        part = 0.5 if high == low else (level.mean - worst) / (best - worst)
        top = ' class="top"' if level.mean == best and high > low else ""
        return f'<td{top} style="{painted(part)}">{escape(cell(level, metric))}</td>'

    heads = "".join(f'<th scope="col" class="word">{escape(word)}</th>' for word in heat.column_words)
    lines = [
        f'<tr><th scope="row" class="word">{escape(row)}</th>'
        + "".join(tile(heat.cells.get((row, column))) for column in heat.column_words)
        + "</tr>"
        for row in heat.row_words
    ]
    corner = f'<th class="axis">{escape(heat.rows)} ↓</th>'
    across = f'<th class="axis" colspan="{len(heat.column_words)}">{escape(heat.columns)} →</th>'
    table = f'<table class="heat"><tr>{corner}{across}</tr><tr><td></td>{heads}</tr>{"".join(lines)}</table>'
    stops = ",".join(f"rgb{color}".replace(" ", "") for color in SCALE)
    ends = [escape(shown(metric, {metric: end})) for end in (worst, best)]
    key = f'<div class="scale">{ends[0]}<i style="background:linear-gradient(90deg,{stops})"></i>{ends[1]}</div>'
    return f'<div class="scroll">{table}</div>{key}'


def scale_color(part: float) -> tuple[int, int, int]:
    """Return the color (red, green, blue) at position `part` of the color scale, where `part` is in [0, 1]."""
    place = min(max(part, 0.0), 1.0) * (len(SCALE) - 1)
    left = min(int(place), len(SCALE) - 2)
    one, other = SCALE[left], SCALE[left + 1]
    red, green, blue = (round(a + (place - left) * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def painted(part: float) -> str:
    """Return the CSS style of a cell: the color at position `part` of the color scale, and black or white text."""
    ground = scale_color(part)
    return f"background:rgb({','.join(map(str, ground))});color:{'#000' if luminance(ground) > EVEN else '#fff'}"


def luminance(ground: tuple[int, int, int]) -> float:
    """Return the relative luminance of a color, in [0, 1] (Web Content Accessibility Guidelines 2.2)."""
    parts = [value / 255 for value in ground]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
