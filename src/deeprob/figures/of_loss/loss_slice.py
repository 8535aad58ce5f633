"""Loss slices: L(W) on lines through the weights of a run."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob import randomness
from deeprob.analysis.landscape.directions import (
    Point,
    difference,
    filter_normalised,
    norm_of,
    random_direction,
    scaled_to,
)
from deeprob.analysis.landscape.kinds import shape_of
from deeprob.analysis.landscape.landscape import Landscape
from deeprob.assembly.finished import SPLITS, Run, load_run
from deeprob.assembly.landscape_of import (
    enough,
    has_running_means,
    landscape_of,
    other_architecture,
    start_of,
    weights_of,
)
from deeprob.config import choice, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.style import FAINT, INK, PALETTE

DIRECTIONS = ("random", "gradient", "start")
OVER = 0.25
"""The length of a line beyond each of its two points, divided by the radius."""


@dataclass(kw_only=True, slots=True)
class LandscapeConfig(FigureConfig):
    """Options that loss slices and loss planes share.

    Attributes
    ----------
    direction
        The first direction from the run's weights. ``random`` is a standard normal direction that does not change
        biases. ``gradient`` is the direction down the gradient, scaled to the norm of the run's weights. ``start`` is
        the direction to the run's initial weights.
    radius
        The length of a line on each side of the run's weights, in units of the direction. A line that connects two
        points extends by radius/4 beyond each point.
    normalise
        The scaling of random directions. ``filter`` gives each row of a direction the norm of the same row of the
        run's weights (Li et al., 2018). ``none`` does not scale.
    examples
        The number of examples over which L is averaged. ``auto`` uses at most 1,000, so that drawing takes about one
        second.
    split
        The split from which the examples are chosen.
    seed
        The seed of the random choice of examples and directions.
    """

    direction: str = choice("random", among=DIRECTIONS)
    radius: float = number(1.0, above=0, maximum=1e6)
    normalise: str = choice("filter", among=("filter", "none"))
    examples: int | str = number("auto", minimum=1, words=("auto",), whole=True)
    split: str = choice("train", among=SPLITS)
    seed: int = number(0, minimum=0)

    def drawn_direction(self, here: Point, place: int) -> dict[str, Tensor]:
        """Return the random direction with the number `place`."""
        direction = random_direction(here, randomness.key(self.seed, "landscape/directions"), place)
        return filter_normalised(direction, here) if self.normalise == "filter" else direction

    def count(self, run: Run, points: int) -> int:
        """Return the number of examples over which L is averaged, if L is computed at `points` points."""
        return self.examples if isinstance(self.examples, int) else enough(run, points)


@register("figure", "loss_slice")
@dataclass(kw_only=True, slots=True)
class LossSliceConfig(LandscapeConfig):
    """L(W) = data loss + λR(W) on lines through a run's weights. The title names the shapes of the curves.

    The run's config gives the loss and R(W). Batch norm keeps the run's running means, and dropout is off.

    Attributes
    ----------
    other
        The directory of another run of the same architecture. The line goes to the weights of the other run. Example:
        ``figure=loss_slice figure.other=DIR``.
    directions
        The number of random lines.
    points
        The number of points of each line.
    """

    other: str | None = None
    directions: int = number(5, minimum=1, maximum=10)
    points: int = number(101, minimum=3, maximum=100_001)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return no_line(run, self.direction, [] if self.other is None else [self.other])

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return 4.6, 3.9

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the loss slices of a run."""
        axes = canvas.subplots()
        lines = self.directions if self.other is None and self.direction == "random" else 1
        count = self.count(run, lines * self.points)
        landscape = landscape_of(run, self.split, count, self.seed, torch.float64)
        here = landscape.here
        if self.other is not None:
            there = weights_of(load_run(self.other), here)
            self._between(axes, landscape, there, "the other run")
        elif self.direction == "start":
            there = {name: tensor.to(here[name]) for name, tensor in start_of(run).items()}
            self._between(axes, landscape, there, "its start")
        elif self.direction == "gradient":
            down = scaled_to(landscape.gradient(), -norm_of(here))
            self._line(axes, landscape, down, -self.radius, self.radius, PALETTE[0])
            axes.set_xlabel("distance down the gradient, in norms of the run's weights")
        else:
            for place in range(lines):
                direction = self.drawn_direction(here, place)
                self._line(axes, landscape, direction, -self.radius, self.radius, PALETTE[place])
            unit = "filter-normalised" if self.normalise == "filter" else "standard normal"
            axes.set_xlabel(f"distance along the direction ({unit})")
        counts = Counter(line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_"))
        shapes = ", ".join(f"{count} × {name}" if lines > 1 else str(name) for name, count in counts.items())
        axes.set_title(f"L(W) over {len(landscape.examples):,} {self.split} examples: {shapes}")
        axes.set_ylabel("L(W)")
        axes.axvline(0, color=FAINT, lw=0.8, ls="--", zorder=1)
        axes.annotate("the run", (0, 1), (3, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
                      va="top", color=FAINT, fontsize=8)  # fmt: skip
        axes.grid(True)

    def _between(self, axes: Axes, landscape: Landscape, there: Point, name: str) -> None:
        """Draw L on the line from the run's weights to the weights `there`, which are called `name`."""
        over = OVER * self.radius
        self._line(axes, landscape, difference(there, landscape.here), -over, 1 + over, PALETTE[0])
        axes.axvline(1, color=FAINT, lw=0.8, ls="--", zorder=1)
        axes.annotate(name, (1, 1), (-3, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
                      va="top", ha="right", color=FAINT, fontsize=8)  # fmt: skip
        axes.set_xlabel(f"from the run (0) to {name} (1)")

    def _line(self, axes: Axes, landscape: Landscape, direction: Point, low: float, high: float, ink: str) -> None:
        """Draw L on a line through the run's weights, from `low` to `high` times `direction`."""
        steps = torch.linspace(low, high, self.points, dtype=torch.float64)
        values = landscape.losses(landscape.here, [direction], steps[:, None]).numpy()
        shape = shape_of(values)
        words = "flat" if shape is None else shape.kind or "nearly convex"
        axes.plot(steps.numpy(), np.where(np.isfinite(values), values, np.nan), color=ink, label=words)
        at_run = landscape.losses(landscape.here, [direction], torch.zeros(1, 1, dtype=torch.float64)).item()
        axes.plot([0.0], [at_run], "o", color=INK, ms=4, zorder=3)


def no_line(run: Run, direction: str, others: list[str]) -> str:
    """Return the reason why L cannot be drawn on a line to the run's initial weights or to other runs.

    If L can be drawn, or if no such line is needed, the reason is empty.
    """
    if (others or direction == "start") and has_running_means(run):
        return "cannot leave the run's weights with model.norm=batch, whose running means hold only there"
    for directory in others:
        if differs := other_architecture(run, load_run(directory)):
            return f"needs figure.other of the run's own architecture, and {directory} has {differs}"
    return ""
