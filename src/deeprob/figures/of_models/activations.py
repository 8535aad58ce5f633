"""A sheet that shows all activation functions and their derivatives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.style import FAINT, PALE, PALETTE, drawn
from deeprob.models.activations import ACTIVATIONS, maxout

MAXOUT = "max(w₁x + b₁, w₂x + b₂, …)"

PIECES = ((-0.9, -0.3), (0.3, 0.9), (1.1, -0.3))
"""The weight and the bias of each piece of the maxout function on the sheet."""

COLUMNS = 3


@register("figure", "activations")
@dataclass(kw_only=True, slots=True)
class ActivationsConfig(FigureConfig):
    """Each activation function with its derivative, and maxout with its pieces.

    Attributes
    ----------
    reach
        The largest input. The functions are drawn from −reach to reach.
    """

    of_run: ClassVar[bool] = False

    reach: float = number(3.0, above=0, maximum=6)

    def size(self, run: Run | None) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 8.3, 2.1 * -(-(len(ACTIVATIONS) + 1) // COLUMNS)

    def draw(self, run: Run | None) -> Figure:
        """Return the sheet, which does not depend on the run."""
        return drawn(self.size(run), lambda figure: self.panel(figure, run))

    def panel(self, canvas: FigureBase, run: Run | None) -> None:
        """Draw the sheet."""
        functions = {name: activation.function for name, activation in ACTIVATIONS.items()} | {"maxout": largest_piece}
        rows = -(-len(functions) // COLUMNS)
        panels = canvas.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes, (name, function) in zip(panels.flat, functions.items(), strict=False):
            if name == "maxout":
                pieces(axes, self.reach)
            draw_function(axes, function, self.reach)
            axes.set_title(f"{name}   ")
            formula = MAXOUT if name == "maxout" else ACTIVATIONS[name].formula
            axes.set_title(formula, loc="right", fontsize=8, fontweight="normal")
        for axes in panels.flat[len(functions) :]:
            axes.set_axis_off()
        panels[0, 0].set(xlim=(-self.reach, self.reach), ylim=(-0.45 * self.reach, 1.05 * self.reach))
        canvas.supxlabel("x", fontsize=9)
        canvas.supylabel("f(x), solid, and its derivative f′(x), dashed", fontsize=9)


def largest_piece(x: Tensor) -> Tensor:
    """Return the values at points (N,) of the maxout function with the pieces `PIECES`."""
    weight, bias = x.new_tensor(PIECES).T
    return maxout(x[:, None] * weight + bias, len(PIECES))[:, 0]


@torch.enable_grad()
def derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of an elementwise function at points (N,), by automatic differentiation."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def draw_function(axes: Axes, function: Callable[[Tensor], Tensor], reach: float, samples: int = 800) -> None:
    """Draw a function and its derivative, and write the name of each curve at its right end.

    Where the derivative jumps, its curve has a gap. Most jumps are at x = 0. If the number of `samples` is divisible by
    2, no sample is at x = 0.
    """
    x = torch.linspace(-reach, reach, samples, dtype=torch.float64)
    slope = derivative(function, x)
    jumps = slope.diff(prepend=slope[:1]).abs() > 0.2
    for name, y, color, line, thick in (
        ("f", function(x), PALETTE[0], "-", 2.2),
        ("f′", slope.masked_fill(jumps, torch.nan), PALETTE[5], "--", 1.4),
    ):
        axes.plot(x.numpy(), y.numpy(), color=color, linestyle=line, linewidth=thick)
        end = (1.0, float(np.clip((y[-1].item() / reach + 0.45) / 1.5, 0, 1)))
        axes.annotate(name, end, (4, 0), "axes fraction", "offset points", color=color, va="center")
    axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    axes.axvline(0, color=PALE, linewidth=0.8, zorder=0)


def pieces(axes: Axes, reach: float) -> None:
    """Draw the pieces of maxout as thin lines under the curves."""
    for weight, bias in PIECES:
        axes.plot([-reach, reach], [bias - weight * reach, bias + weight * reach], color=FAINT, linewidth=0.8)
