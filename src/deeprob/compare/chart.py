"""Draw learning curves as SVG. The style sheet of the HTML page defines the colors."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from deeprob.compare.curves import Point
from deeprob.tracking.metric_names import is_share

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 20, 8, 36
APART = 12.0
"""The smallest distance between the numbers at the ends of two curves, in units of the SVG. It avoids an overlap."""


class Axis(NamedTuple):
    """An axis of a chart, which maps values to positions.

    Attributes
    ----------
    low, high
        The values at the ends of the axis.
    start, end
        The positions of these values, in units of the SVG.
    log
        Whether the scale is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value. A value outside [low, high] is drawn at the nearest end of the axis."""
        value = min(max(value, self.low), self.high)
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, most: int = 6) -> list[float]:
        """Return the values of the ticks. They are round numbers between the ends of the axis."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high, most)


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round values in [low, high].

    Example: 0, 20, 40, 60. The distance between neighbors is 1, 2 or 5 times a power of ten, and as small as possible.
    """
    power = math.floor(math.log10((high - low) / most))
    for step in (factor * 10.0**exponent for exponent in (power, power + 1) for factor in (1, 2, 5)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten in [low, high]: all if there are at most six, else every second, third, … power."""
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return [10.0**power for power in powers[:: -(-len(powers) // 6) or 1]]


def value_axis(curves: Sequence[Sequence[Point]], share: bool) -> Axis:
    """Return the y axis of a metric.

    `share` is True for a metric in [0, 1], such as an accuracy. Its axis ends at about 1 or below.
    For any other metric, the axis is logarithmic if all means are positive and the largest mean is at least 100 times
    the smallest mean.
    """
    means = [point.mean for curve in curves for point in curve]
    low, high = min(means), max(means)
    if low > 0 and high >= 100 * low and not share:
        return Axis(low / 1.3, high * 1.3, HEIGHT - BOTTOM, TOP, log=True)
    low = min(point.mean - point.deviation for curve in curves for point in curve)
    high = max(point.mean + point.deviation for curve in curves for point in curve)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 0.05
    high = min(high + room, max(1.005, *means)) if share else high + room
    low = low - room if low < 0 else max(low - room, 0.0)
    return Axis(low, high, HEIGHT - BOTTOM, TOP)


def chart(metric: str, curves: Sequence[Sequence[Point]], names: Sequence[str]) -> str:
    """Return the SVG of a metric over the epochs, with one numbered curve per group of runs; empty without points.

    Parameters
    ----------
    metric
        The metric's name.
    curves
        The points of each group's curve. A curve may have no points.
    names
        The groups' names. The name of a group appears when the mouse is over its curve.
    """
    drawn = [curve for curve in curves if curve]
    if not drawn:
        return ""
    share = is_share(metric)
    epochs = [point.epoch for curve in drawn for point in curve]
    x = Axis(min(epochs), max(*epochs, min(epochs) + 1), LEFT, WIDTH - RIGHT)
    y = value_axis(drawn, share)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(metric)} over the epochs">']
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label(tick, share)}</text>')
    for tick in x.ticks():
        if tick == int(tick):
            at = x.place(tick)
            parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">epoch</text>')
    for number, curve in reversed(list(enumerate(curves))):  # draw the best group on top
        if curve:
            parts.append(f'<g class="k{number}"><title>{escape(names[number])}</title>{_curve(curve, x, y)}</g>')
    ends = {number: y.place(curve[-1].mean) for number, curve in enumerate(curves) if curve}
    for number, at in moved_apart(ends, TOP + 4, HEIGHT - BOTTOM).items():
        right = x.place(curves[number][-1].epoch) + 5
        parts.append(f'<text class="rank k{number}" x="{right:.1f}" y="{at + 4:.1f}">{number + 1}</text>')
    return "".join([*parts, "</svg>"])


def _curve(curve: Sequence[Point], x: Axis, y: Axis) -> str:
    """Return the SVG of a curve: a line through the means, and a band of ± one standard deviation."""
    if len(curve) == 1:
        return f'<path class="line" d="M{x.place(curve[0].epoch):.1f} {y.place(curve[0].mean):.1f}h0.1" />'
    places = [x.place(point.epoch) for point in curve]
    upper = [y.place(point.mean + point.deviation) for point in curve]
    lower = [y.place(point.mean - point.deviation) for point in curve]
    line = "L".join(f"{a:.1f} {y.place(point.mean):.1f}" for a, point in zip(places, curve, strict=True))
    ring = [*zip(places, upper, strict=True), *zip(reversed(places), reversed(lower), strict=True)]
    band = "L".join(f"{a:.1f} {b:.1f}" for a, b in ring) if any(point.deviation for point in curve) else ""
    return (f'<path class="band" d="M{band}Z"/>' if band else "") + f'<path class="line" d="M{line}"/>'


def moved_apart(places: dict[int, float], low: float, high: float) -> dict[int, float]:
    """Move the numbers at the ends of curves apart, so that they do not overlap.

    `places` contains the position of each number, in units of the SVG. The result contains the new positions. The
    order of the numbers does not change. If there is enough room, the new positions lie in [low, high].
    """
    order = sorted(places, key=lambda number: places[number])
    moved: dict[int, float] = {}
    last = low - APART
    for number in order:
        last = moved[number] = max(places[number], last + APART)
    over = high
    for number in reversed(order):
        over = moved[number] = min(moved[number], over)
        over -= APART
    return moved


def label(value: float, share: bool) -> str:
    """Return the label of the tick at `value`: a percentage for a `share`, else a number."""
    if share:
        return f"{100 * value:.10g} %"
    return f"{value:.10g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.0e}".replace("e-0", "e-")
