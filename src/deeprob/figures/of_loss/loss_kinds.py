"""One loss slice of each kind: convex-ish, non-convex, with local minima, wild."""

from dataclasses import dataclass
from textwrap import fill
from typing import ClassVar

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from deeprob.analysis.landscape.kinds import KINDS
from deeprob.analysis.landscape.search import DIRECTIONS, EXAMPLES, STEPS, Search, Slice, search_kinds
from deeprob.assembly.finished import Run
from deeprob.assembly.landscape_of import landscape_of
from deeprob.config import number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.style import FAINT, INK, PALETTE
from deeprob.tracking.device import threads


@register("figure", "loss_kinds")
@dataclass(kw_only=True, slots=True)
class LossKindsConfig(FigureConfig):
    """One loss slice of each kind through a run's weights.

    A loss slice is L(W) on a line through the weights. `deeprob.analysis.landscape.kinds` defines the kinds. First,
    random directions of the line are tried. If no random direction shows a kind, a direction is turned step by step
    until it shows the kind.

    Attributes
    ----------
    directions
        The number of random directions that are tried.
    steps
        The largest number of steps in which a direction is turned to find one kind.
    points
        The number of points of each slice.
    radius
        The length of a slice on each side of the run's weights, in units of the filter-normalised direction.
    examples
        The number of training examples over which L is averaged.
    seed
        The seed of the random choice of examples and directions.
    """

    on_request: ClassVar[bool] = True

    directions: int = number(DIRECTIONS, minimum=1)
    steps: int = number(STEPS, minimum=0)
    points: int = number(201, minimum=11, maximum=2001)
    radius: float = number(1.0, above=0, maximum=1e6)
    examples: int = number(EXAMPLES, minimum=1)
    seed: int = number(0, minimum=0)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return 8.4, 6.4

    def search(self, run: Run) -> Search:
        """Search for a slice of each kind, and return the result of the search."""
        landscape = landscape_of(run, "train", self.examples, self.seed, torch.float64)
        with threads(1):
            return search_kinds(
                landscape,
                directions=self.directions,
                steps=self.steps,
                points=self.points,
                radius=self.radius,
                seed=self.seed,
            )

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the loss slices of a run."""
        result = self.search(run)
        panels = canvas.subplots(2, 2, squeeze=False).flat
        for axes, (kind, definition), ink in zip(panels, KINDS.items(), PALETTE, strict=False):
            write_kind(axes, kind, definition, result.counts[kind], self.directions)
            if kind in result.found:
                one_slice(axes, result.found[kind], ink)
            else:
                axes.annotate("none found", (0.5, 0.5), xycoords="axes fraction", ha="center", color=FAINT)
                axes.set(xticks=[], yticks=[])
        canvas.supxlabel("distance along the direction; the run lies at 0", fontsize=9)
        canvas.supylabel(f"L(W) over {result.examples} training examples", fontsize=9)


def write_kind(axes: Axes, kind: str, definition: str, count: int, directions: int) -> None:
    """Write the name, the definition and the count of a kind above the axes."""
    axes.set_title(kind, pad=30)
    words = fill(definition, 68) + f"\n({count} of {directions} random directions)"
    axes.annotate(words, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=7, color=INK)


def one_slice(axes: Axes, shown: Slice, ink: str) -> None:
    """Draw a slice, and write the measures of its shape below the axes."""
    axes.plot(np.linspace(-1, 1, len(shown.values)), shown.values, color=ink)
    axes.axvline(0, color=FAINT, lw=0.8, ls="--", zorder=1)
    axes.grid(True)
    way = "turned direction" if shown.turned else "random direction"
    shape = shown.shape
    minima = f"{shape.minima} {'minimum' if shape.minima == 1 else 'minima'}"
    axes.set_xlabel(
        f"{way}: {shape.above:.0%} above a chord, {minima}, travels {shape.travel:.1f} × range", fontsize=7.5
    )
