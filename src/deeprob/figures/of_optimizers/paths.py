"""Paths of optimizers on the contours of a surface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from deeprob.analysis.surfaces import Descent, Limits, Point, Race, SurfaceConfig
from deeprob.config import name_of
from deeprob.figures.style import INK, PALETTE, drawn, legend_columns, palette_color, plane_axes

RATIO = 0.8
"""The height of a panel divided by its width."""

LEVELS = 24
GREYS = LinearSegmentedColormap.from_list("deeprob-greys", ["#ffffff", "#dedede"])
CONTOUR = "#c6c6c6"

FAR = 1e6
"""The largest absolute coordinate of a drawn path. Diverging paths are clipped there, which is outside the panel."""

MARKS: dict[str, dict[str, Any]] = {
    "start": {"linestyle": "", "marker": "o", "ms": 7, "mfc": "white", "mec": INK, "mew": 1.4, "zorder": 6},
    "global minimum": {"linestyle": "", "marker": "*", "ms": 16, "mfc": "white", "mec": INK, "mew": 1.2, "zorder": 4.5},
    "end": {"linestyle": "", "marker": "o", "ms": 5.5, "mfc": "#777777", "mec": "white", "mew": 0.8},
}
"""The style of each mark, by the name of the mark."""


def paths(races: Sequence[Race]) -> Figure:
    """Return the figure of the paths on the contours of the surface. Several races are drawn side by side.

    All races have the same optimizers in the same order. So an optimizer has the same color in all panels.
    """

    def draw(canvas: FigureBase) -> None:
        for axes, race in zip(grounds(canvas, races), races, strict=True):
            for number, descent in enumerate(race.descents):
                Trail(axes, number).show(descent, descent.updates)

    return drawn(size(races), draw)


def size(races: Sequence[Race]) -> tuple[float, float]:
    """Return the width and height of the figure in inches."""
    (rows, columns), (width, height) = panel_grid(len(races)), panel_size(len(races))
    names = [*labels(races), *MARKS]
    below = 0.2 * -(-len(names) // legend_columns(names, width * columns))
    return width * columns, (height + 0.45) * rows + below


def grounds(canvas: FigureBase, races: Sequence[Race], *, filled: bool = True) -> list[Axes]:
    """Draw everything except the paths, and return the axes of each race.

    If `filled`, the areas between contours are grey.
    """
    columns, width = panel_grid(len(races))[1], panel_size(len(races))[0]
    names = labels(races)
    every = panel_axes(canvas, len(races))
    for axes, race in zip(every, races, strict=True):
        ground(axes, race, filled)
    across = legend_columns([*names, *MARKS], width * columns)
    canvas.legend(handles=entries(names), loc="outside lower center", ncols=across)
    return every


def panel_grid(count: int) -> tuple[int, int]:
    """Return the number of rows and columns of the grid for `count` panels."""
    columns = min(count, 3)
    return -(-count // columns), columns


def panel_size(count: int) -> tuple[float, float]:
    """Return the width and height in inches of each of `count` panels."""
    width = 6.4 if count == 1 else 3.6
    return width, width * RATIO


def panel_axes(canvas: FigureBase, count: int) -> list[Axes]:
    """Return `count` axes on a canvas. The other cells of the grid of panels stay empty."""
    every = list(canvas.subplots(*panel_grid(count), squeeze=False).flat)
    for axes in every[count:]:
        axes.set_axis_off()
    return every[:count]


def labels(races: Sequence[Race]) -> list[str]:
    """Return the labels of the optimizers.

    A label is the text of an optimizer, such as ``sgd lr=0.01``. If the texts differ between races, the label is the
    text without the learning rate. The label also names the surfaces on which the optimizer diverged.
    """
    words = [[descent.racer.words for descent in race.descents] for race in races]
    alike = all(others == words[0] for others in words)
    names = words[0] if alike else [descent.racer.kind for descent in races[0].descents]
    for number, name in enumerate(names):
        gone = [surface_title(race.surface) for race in races if race.descents[number].diverged]
        if gone:
            names[number] = f"{name} (diverged on {', '.join(gone)})"
    return names


def surface_title(surface: SurfaceConfig) -> str:
    """Return the title of a surface: its name without underscores."""
    return name_of(surface).replace("_", " ")


def entries(names: Sequence[str]) -> list[Line2D]:
    """Return the legend entries of the optimizers and of the marks."""
    lines = [Line2D([], [], **stroke(number), label=name) for number, name in enumerate(names)]
    return [*lines, *(Line2D([], [], label=name, **mark) for name, mark in MARKS.items())]


def stroke(number: int) -> dict[str, Any]:
    """Return the color and dashes for optimizer `number`. If an earlier line has this color, the line is dashed."""
    return {"color": palette_color(number), "linestyle": "-" if number < len(PALETTE) else (0, (4, 1.5))}


def ground(axes: Axes, race: Race, filled: bool) -> None:
    """Draw the contours of a race's surface, the start and the global minima."""
    surface, limits = race.surface, shown_limits(race.surface.limits, race.start)
    x, y, heights = grid_of(surface, limits)
    levels = heights.min() + np.ptp(heights) * (np.arange(LEVELS + 1) / LEVELS) ** surface.spacing
    if filled:
        axes.contourf(x, y, heights, levels, cmap=GREYS, norm=BoundaryNorm(levels, GREYS.N))
    axes.contour(x, y, heights, levels, colors=CONTOUR, linewidths=0.6, linestyles="solid")
    plane_axes(axes, limits)
    axes.set_title(surface_title(surface))
    axes.plot(*race.start, **MARKS["start"])
    for goal in surface.minima():
        axes.plot(*goal, **MARKS["global minimum"])


def shown_limits(limits: Limits, start: Point) -> Limits:
    """Return the part of the plane to show. It contains `limits` and the start.

    The height of the part is `RATIO` times its width.
    """
    (left, right, bottom, top), (x, y) = limits, start
    frame_x, frame_y = 0.05 * (right - left), 0.05 * (top - bottom)
    left, right = min(left, x - frame_x), max(right, x + frame_x)
    bottom, top = min(bottom, y - frame_y), max(top, y + frame_y)
    more_width = max(0.0, (top - bottom) / RATIO - (right - left)) / 2
    more_height = max(0.0, (right - left) * RATIO - (top - bottom)) / 2
    return left - more_width, right + more_width, bottom - more_height, top + more_height


def grid_of(surface: SurfaceConfig, limits: Limits, points: int = 201) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x (W,), y (H,) and f(x, y) (H, W) on a grid of points between `limits`."""
    left, right, bottom, top = limits
    x = torch.linspace(left, right, points, dtype=torch.float64)
    y = torch.linspace(bottom, top, points, dtype=torch.float64)
    down, across = torch.meshgrid(y, x, indexing="ij")
    return x.numpy(), y.numpy(), surface.value(torch.stack([across, down], dim=-1)).numpy()


class Trail:
    """The drawn path of one optimizer, from the start up to some update.

    Parameters
    ----------
    axes
        The axes to draw on.
    number
        The optimizer's position in its race, which gives its color.
    """

    def __init__(self, axes: Axes, number: int) -> None:
        wider = 0.22 * min(number, 8)  # so that a path stays visible under another path
        (self.line,) = axes.plot([], [], **stroke(number), lw=1.1 + wider, alpha=0.9, zorder=4 - number / 100)
        (self.end,) = axes.plot([], [], **MARKS["end"] | {"mfc": palette_color(number), "zorder": 5})

    def show(self, descent: Descent, updates: int) -> None:
        """Show the path from the start up to the update number `updates`."""
        points = descent.points[: updates + 1].clip(-FAR, FAR)
        self.line.set_data(*points.T)
        self.end.set_data(*points[-1:].T)
