"""The loss of optimizers on a surface against updates, evaluations and time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from deeprob.analysis.surfaces import Race
from deeprob.figures.of_optimizers.paths import labels, stroke, surface_title
from deeprob.figures.style import drawn, legend_columns

LOWEST = 1e-14
"""The smallest f − f* that is shown. If f is near 1, float64 cannot represent much smaller differences."""

AXES = "updates", "evaluations of f and its gradient", "milliseconds"


def path_curves(races: Sequence[Race]) -> Figure:
    """Return the figure of f − min f against updates, evaluations and time. There is one row of axes per race."""
    width, height = 9.6, 2.9 if len(races) == 1 else 2.1
    names = labels(races)
    across = legend_columns(names, width)
    below = 0.2 * -(-len(names) // across)

    def draw(canvas: FigureBase) -> None:
        grid = canvas.subplots(len(races), 3, squeeze=False)
        for row, race in zip(grid, races, strict=True):
            curves(row, race, below=race is races[-1])
        lines = [line for line in grid[0, 0].get_lines() if not line.get_label().startswith("_")]
        canvas.legend(lines, names, loc="outside lower center", ncols=across)

    return drawn((width, (height + 0.2) * len(races) + 0.3 + below), draw)


def curves(row: Sequence[Axes], race: Race, below: bool) -> None:
    """Draw one race on three axes. `below` says whether to label the x axes."""
    lowest = race.surface.lowest()
    above = [np.maximum(descent.losses - lowest, LOWEST) for descent in race.descents]
    bottom, top = min(heights.min() for heights in above), max(heights[0] for heights in above)
    for number, (axes, name) in enumerate(zip(row, AXES, strict=True)):
        axes.set(yscale="log", ylim=(bottom / 3, 10 * top), xlabel=name if below else "")
        axes.grid(True)
        axes.margins(x=0.02)
        for place, (descent, heights) in enumerate(zip(race.descents, above, strict=True)):
            counts = (np.arange(len(heights)), descent.evaluations, 1000 * descent.seconds)[number]
            axes.plot(counts, heights, **stroke(place), lw=1.4, alpha=0.9, label=descent.racer.words)
        axes.locator_params(axis="x", nbins=5)
        if number:
            axes.tick_params(labelleft=False)
        else:
            axes.set(title=surface_title(race.surface), ylabel="f − its minimum")
