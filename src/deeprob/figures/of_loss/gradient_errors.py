"""The figure that shows how the error of numeric gradients depends on the step h."""

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
    """The relative errors of numeric gradients against autograd. Each error is a median over some entries.

    `central` and `one_sided` have one error per step. `formula` is the error of the gradient by formulas, or None if
    there are no formulas.
    """

    steps: Sequence[float]
    central: list[float]
    one_sided: list[float]
    entries: int
    formula: float | None = None


def error_curve(comparisons: Sequence[EntryCheck], steps: Sequence[float], most: int = 24) -> ErrorCurve | None:
    """Return the errors of the central and one-sided differences. If no entry is suitable, return None.

    Parameters
    ----------
    comparisons
        The checked entries of the gradient. An entry is suitable if its verdict is ``ok`` and its rounding error at
        the first step is less than 1 %.
    steps
        The relative steps. For a weight w, the step h is the relative step times max(1, |w|).
    most
        Each point of the curve is a median over entries of the gradient: over at most this number of entries.
    """
    clear = [
        found
        for found in comparisons
        if found.place is not None
        and found.verdict == "ok"
        and abs(found.autograd.analytic) > 100 * found.autograd.first.noise
    ]
    chosen = clear[:: max(1, math.ceil(len(clear) / most))]
    if not chosen:
        return None
    seen = [
        [(found.autograd.analytic, found.autograd.ray.slopes(found.scale * step)) for found in chosen] for step in steps
    ]
    central = [median(relative(there.central, slope) for slope, there in row) for row in seen]
    one_sided = [median(relative(there.right, slope) for slope, there in row) for row in seen]
    formulas = [
        relative(found.formula.analytic, found.autograd.analytic) for found in chosen if found.formula is not None
    ]
    return ErrorCurve(steps, central, one_sided, len(chosen), median(formulas) if formulas else None)


def gradient_errors(errors: ErrorCurve, step: float, tolerance: float) -> Figure:
    """Return the figure of the errors against the step h. Both axes are logarithmic.

    A horizontal line shows the error of the gradient by formulas.

    Parameters
    ----------
    errors
        The errors. An error of 0 is drawn as the rounding error of float64.
    step, tolerance
        The step and the tolerance of the gradient check, drawn as thin lines.
    """
    return drawn(SIZE, lambda canvas: panel(canvas, errors, step, tolerance))


def panel(canvas: FigureBase, errors: ErrorCurve, step: float, tolerance: float) -> None:
    """Draw the error curves of central and one-sided differences, and the error of the formulas."""
    axes = canvas.subplots()
    axes.set(xscale="log", yscale="log", ylabel="median relative error")
    axes.set_xlabel("step h (too small: rounding, divided by h; too large: curvature and kinks)")
    axes.set_title(f"How far numeric gradients are off: {errors.entries} entries")
    axes.grid(True)
    draw_errors(axes, errors.steps, errors.one_sided, PALETTE[5], "s", "one-sided  (f(x + h) − f(x)) / h")
    draw_errors(axes, errors.steps, errors.central, PALETTE[0], "o", "central  (f(x + h) − f(x − h)) / 2h")
    if errors.formula is not None:
        height = max(errors.formula, EPSILON)
        axes.axhline(height, color=PALETTE[2], label=f"formula  (no h), {height:.0e}")
    axes.axvline(step, color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
    axes.axhline(tolerance, color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
    label_line(axes, "h of the check", (step, 0.95), "data", "axes fraction")
    label_line(axes, "tolerance", (0.0, tolerance), "axes fraction", "data")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))


def draw_errors(axes: Axes, steps: Sequence[float], errors: Sequence[float], color: str, mark: str, name: str) -> None:
    """Draw an error curve with a mark at its smallest error. The legend gives the value of this error."""
    heights = np.maximum(errors, EPSILON)
    best = int(heights.argmin())
    label = f"{name}, at best {heights[best]:.0e} with h = {steps[best]:.0e}"
    axes.plot(steps, heights, color=color, marker=mark, markevery=[best], ms=8, mec="white", mew=1.2, label=label)


def label_line(axes: Axes, text: str, place: tuple[float, float], across: str, up: str) -> None:
    """Write `text`, the name of a thin line, beside the line."""
    axes.annotate(text, place, (4, 4), xycoords=(across, up), textcoords="offset points", color=FAINT, fontsize=8)
