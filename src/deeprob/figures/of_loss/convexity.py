"""Convexity: search for violations of the convex inequality in x², in cos x and in the loss of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from deeprob import randomness
from deeprob.analysis.landscape.convexity import TOLERANCE, Violation, triples, worst_violation
from deeprob.analysis.landscape.directions import difference, filter_normalised, random_direction, scaled
from deeprob.assembly.finished import SPLITS, Run
from deeprob.assembly.landscape_of import enough, has_running_means, landscape_of, start_of
from deeprob.config import choice, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.style import FAINT, INK, PALETTE, drawn

Numbers = npt.NDArray[np.float64]

FUNCTIONS: Mapping[str, Callable[[Numbers], Numbers]] = {"x²": np.square, "cos x": np.cos}
"""The examples of the lecture: a convex function and a non-convex function."""

REACHES = (0.3, 1.0, 3.0)
"""The distances from the weights to the ends of a line, divided by the norm of each row of weights."""


class Lines(NamedTuple):
    """Values of a function on lines: ``values[line, place]`` is the value at the position ``positions[place]``."""

    positions: Numbers
    values: Numbers
    names: list[str]


@register("figure", "convexity")
@dataclass(kw_only=True, slots=True)
class ConvexityConfig(FigureConfig):
    """The worst violation of the inequality of convex functions: f(t·x₁ + (1 − t)·x₂) ≤ t·f(x₁) + (1 − t)·f(x₂).

    Without a run, the functions are x² and cos x. With a run, the function is L(W) in float64. It is computed on lines
    through the run's weights, and on lines through the initial weights.

    Attributes
    ----------
    lines
        The number of random directions. In each direction, one line goes through the run's weights, and one line goes
        through the initial weights.
    points
        The number of points of each line. The inequality is checked for every three points of a line.
    reach
        The largest x at which x² and cos x are drawn. The smallest x is −reach.
    examples
        The number of examples over which L is averaged. ``auto`` takes at most 1,000, so that drawing takes about one
        second.
    split
        The split from which the examples are chosen.
    seed
        The seed of the random choice of examples and directions.
    """

    of_run: ClassVar[bool] = False

    lines: int = number(16, minimum=1, maximum=10_000)
    points: int = number(41, minimum=3, maximum=1001)
    reach: float = number(6.0, above=0, maximum=1e6)
    examples: int | str = number("auto", minimum=1, words=("auto",), whole=True)
    split: str = choice("train", among=SPLITS)
    seed: int = number(0, minimum=0)

    def size(self, run: Run | None) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return (8.4, 3.6) if run is None else (5.2, 4.0)

    def draw(self, run: Run | None) -> Figure:
        """Return the figure of a run, or of x² and cos x if `run` is None."""
        return drawn(self.size(run), lambda canvas: self.panel(canvas, run))

    def panel(self, canvas: FigureBase, run: Run | None) -> None:
        """Draw a run's loss, or x² and cos x if `run` is None."""
        if run is None:
            for axes, (name, function) in zip(canvas.subplots(1, 2, squeeze=False)[0], FUNCTIONS.items(), strict=True):
                positions = np.linspace(-self.reach, self.reach, 201)
                self._panel(axes, name, Lines(positions, function(positions)[None], [""]))
                axes.set(xlabel="x", ylabel=f"f(x) = {name}")
            return
        axes = canvas.subplots()
        lines = self.lines_of(run)
        shown = self._panel(axes, "L(W)", lines)
        axes.set(xlabel=f"place on a line through the weights ({lines.names[shown]})", ylabel="L(W)")

    def _panel(self, axes: Axes, name: str, lines: Lines) -> int:
        """Draw the function on the line with the worst violation, and mark the violation. Return the line's index."""
        violation = worst_violation(lines.positions, lines.values)
        shown = 0 if violation is None else violation.line
        axes.plot(lines.positions, lines.values[shown], color=PALETTE[0])
        axes.grid(True)
        count = len(lines.values)
        tried = f"{triples(lines.positions, count):,} inequalities" + (f" on {count} lines" if count > 1 else "")
        if violation is None:
            places = [len(lines.positions) // 5, 4 * len(lines.positions) // 5]
            axes.plot(lines.positions[places], lines.values[shown][places], "o--", color=FAINT, lw=1.0, ms=4)
            axes.set_title(f"{name}: no violation found\n{tried}")
        else:
            marked(axes, violation)
            axes.set_title(f"{name} is not convex\nworst of {tried}")
        return shown

    def lines_of(self, run: Run) -> Lines:
        """Return L on random lines and on the line from the initial weights to the run's weights.

        Random lines go through the run's weights and through the initial weights. If batch norm has running means,
        only random lines through the run's weights are used.
        """
        ways = 1 if has_running_means(run) else 2
        count = self.examples if isinstance(self.examples, int) else enough(run, self.points * self.lines * 3 * ways)
        landscape = landscape_of(run, self.split, count, self.seed, torch.float64)
        here = landscape.here
        origins = {"the run's": here}
        if ways == 2:
            origins["the first"] = {name: tensor.to(here[name]) for name, tensor in start_of(run).items()}
        positions = torch.linspace(-1, 1, self.points, dtype=torch.float64)
        stream, values, names = randomness.key(self.seed, "landscape/convexity"), [], []
        for name, origin in origins.items():
            for place in range(self.lines):
                direction = filter_normalised(random_direction(here, stream, place), origin)
                for reach in REACHES:
                    values.append(landscape.losses(origin, [scaled(direction, reach)], positions[:, None]))
                    names.append(f"at 0: {name} weights; 1: moved by {reach:g} of each row's norm")
        if ways == 2:
            start = origins["the first"]
            values.append(landscape.losses(start, [difference(here, start)], (1 + positions[:, None]) / 2))
            names.append("−1: the first weights; 1: the run's")
        return Lines(positions.numpy(), torch.stack(values).numpy(), names)


def marked(axes: Axes, violation: Violation) -> None:
    """Draw the chord of a violation and the point above the chord. Below the axes, write the inequality in numbers."""
    t = violation.t
    axes.plot([violation.left, violation.right], violation.ends, "o--", color=PALETTE[5], lw=1.2, ms=5)
    axes.plot([violation.middle] * 2, [violation.chord, violation.value], color=PALETTE[5], lw=1.6)
    axes.plot([violation.middle], [violation.value], "o", color=INK, ms=5)
    words = (
        f"t = {t:.2f}: f(t·x₁ + (1 − t)·x₂) = {violation.value:.4g}  >  "
        f"{violation.chord:.4g} = t·f(x₁) + (1 − t)·f(x₂)\n"
        f"by {violation.excess:.2g} of the largest |f| of the line (counts from {TOLERANCE:.0e} on)"
    )
    axes.annotate(words, (0.5, 0), (0, -34), xycoords="axes fraction", textcoords="offset points",
                  ha="center", va="top", fontsize=7.5, color=INK)  # fmt: skip
