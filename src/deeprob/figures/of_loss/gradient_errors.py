"""How far numeric gradients are off, depending on their step."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from deeprob.analysis.gradients.differences import EntryCheck
from deeprob.analysis.gradients.slopes import EPSILON, relative
from deeprob.figures.style import FAINT, PALETTE, drawn

SIZE = 6.4, 4.4


class ErrorCurve(NamedTuple):
    """The median relative error over some entries at each of some steps."""

    steps: Sequence[float]
    central: list[float]
    one_sided: list[float]
    entries: int


def error_curve(comparisons: Sequence[EntryCheck], steps: Sequence[float], most: int = 24) -> ErrorCurve | None:
    """Return how the errors of both differences depend on the step.

    Parameters
    ----------
    comparisons
        The curve is of up to `most` of the entries that are ok and have slopes that rounding moves by less than 1 % at
        the first step; None if there are none.
    steps
        h of an entry w is one of these times max(1, |w|).
    """
    clear = [
        found
        for found in comparisons
        if found.place is not None and found.verdict == "ok" and abs(found.analytic) > 100 * found.first.noise
    ]
    chosen = clear[:: max(1, math.ceil(len(clear) / most))]
    if not chosen:
        return None
    seen = [[(found.analytic, found.ray.slopes(found.scale * step)) for found in chosen] for step in steps]
    central = [median(relative(there.central, slope) for slope, there in row) for row in seen]
    one_sided = [median(relative(there.right, slope) for slope, there in row) for row in seen]
    return ErrorCurve(steps, central, one_sided, len(chosen))


def gradient_errors(errors: ErrorCurve, step: float, tolerance: float) -> Figure:
    """Return the error of the central and of the one-sided difference against h, both axes logarithmic.

    Parameters
    ----------
    errors
        What is drawn; an error of 0 as that of float64 itself.
    step, tolerance
        What the check went by, drawn as thin lines.
    """
    return drawn(SIZE, lambda canvas: panel(canvas, errors, step, tolerance))


def panel(canvas: FigureBase, errors: ErrorCurve, step: float, tolerance: float) -> None:
    """Draw the two curves."""
    axes = canvas.subplots()
    axes.set(xscale="log", yscale="log", ylabel="median relative error")
    axes.set_xlabel("step h (too small: rounding, divided by h; too large: curvature and kinks)")
    axes.set_title(f"How far numeric gradients are off: {errors.entries} entries")
    axes.grid(True)
    draw_errors(axes, errors.steps, errors.one_sided, PALETTE[5], "s", "one-sided  (f(x + h) − f(x)) / h")
    draw_errors(axes, errors.steps, errors.central, PALETTE[0], "o", "central  (f(x + h) − f(x − h)) / 2h")
    axes.axvline(step, color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
    axes.axhline(tolerance, color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
    label_line(axes, "h of the check", (step, 0.95), "data", "axes fraction")
    label_line(axes, "tolerance", (0.0, tolerance), "axes fraction", "data")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))


def draw_errors(axes: Axes, steps: Sequence[float], errors: Sequence[float], color: str, mark: str, name: str) -> None:
    """Draw a curve, its smallest error marked there and named in the legend."""
    heights = np.maximum(errors, EPSILON)
    best = int(heights.argmin())
    label = f"{name}, at best {heights[best]:.0e} with h = {steps[best]:.0e}"
    axes.plot(steps, heights, color=color, marker=mark, markevery=[best], ms=8, mec="white", mew=1.2, label=label)


def label_line(axes: Axes, text: str, place: tuple[float, float], across: str, up: str) -> None:
    """Write what a thin line is beside it."""
    axes.annotate(text, place, (4, 4), xycoords=(across, up), textcoords="offset points", color=FAINT, fontsize=8)
