"""Loss planes: L(W) on a plane through a run's weights, as a map with lines of equal loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.analysis.landscape.directions import Point, difference, inner, norm_of, scaled_to
from deeprob.analysis.landscape.landscape import Landscape
from deeprob.assembly.finished import Run, load_run
from deeprob.assembly.landscape_of import landscape_of, start_of, weights_of
from deeprob.config import number, register, some_words
from deeprob.figures.of_loss.loss_slice import OVER, LandscapeConfig, no_line
from deeprob.figures.style import FAINT, INK, SEQUENTIAL

Numbers = npt.NDArray[np.float64]

LEVELS = 17
"""The largest number of lines of equal loss.

The lines divide the plane into bands of about equal area. So the shape of L is visible for small and for large values.
"""


ACROSS = "a random direction at a right angle, same unit"


class Plane(NamedTuple):
    """A plane through weights. The run lies at (0, 0), and two directions span the plane.

    Attributes
    ----------
    directions
        The directions D₁ and D₂ of the axes.
    labels
        The labels of the axes.
    marks
        The coordinates of other points, by name.
    limits
        The coordinates of the edges of the drawn part: left, right, bottom, top.
    """

    directions: tuple[Point, Point]
    labels: tuple[str, str]
    marks: dict[str, tuple[float, float]]
    limits: tuple[float, float, float, float]


@register("figure", "loss_plane")
@dataclass(kw_only=True, slots=True)
class LossPlaneConfig(LandscapeConfig):
    """L(W) = data loss + λR(W) on a plane through a run's weights, with lines of equal loss.

    By default, two random directions span the plane. If `direction` is not ``random``, the first axis has this
    direction. If one other run is given, the first axis goes to the other run. In both cases, the second axis is a
    random direction at a right angle to the first axis, with the same norm. If two other runs are given, the plane goes
    through all three runs.

    Attributes
    ----------
    other
        The directories of one or two other runs of the same architecture. Example: ``figure=loss_plane
        figure.other=[DIR,DIR]``.
    points
        The number of points along each axis.
    """

    other: list[str] | None = some_words()
    points: int = number(41, minimum=3, maximum=2001)

    def problems(self) -> Iterator[str]:
        """Yield an error if `other` does not contain one or two runs."""
        if self.other is not None and not 1 <= len(self.other) <= 2:
            yield f"other={','.join(self.other)}: expected one or two runs, which define the plane with this run"

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return no_line(run, self.direction, self.other or [])

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return 5.2, 4.4

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the loss plane of a run."""
        axes = canvas.subplots()
        landscape = landscape_of(run, self.split, self.count(run, self.points**2), self.seed)
        plane = self.plane(run, landscape)
        left, right, bottom, top = plane.limits
        x, y = (torch.linspace(*ends, self.points, dtype=torch.float64) for ends in ((left, right), (bottom, top)))
        steps = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
        values = landscape.losses(landscape.here, plane.directions, steps).view(self.points, self.points).numpy()
        contours(canvas, axes, x.numpy(), y.numpy(), values)
        for name, place in {"the run": (0.0, 0.0), **plane.marks}.items():
            mark(axes, name, place, first=name == "the run")
        axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1], aspect="equal", xlim=(left, right), ylim=(bottom, top))
        axes.set_title(f"L(W) over {len(landscape.examples):,} {self.split} examples")

    def plane(self, run: Run, landscape: Landscape) -> Plane:
        """Return the plane that the options describe."""
        here, over, reach = landscape.here, OVER * self.radius, self.radius
        others = [weights_of(load_run(path), here) for path in self.other or ()]
        if len(others) == 2:
            return through_three(here, others[0], others[1], over)
        drawn = self.drawn_direction(here, 0)
        if not others and self.direction == "random":
            unit = "filter-normalised" if self.normalise == "filter" else "standard normal"
            labels = (f"first random direction ({unit})", f"second random direction ({unit})")
            return Plane((drawn, self.drawn_direction(here, 1)), labels, {}, (-reach, reach, -reach, reach))
        if not others and self.direction == "gradient":
            first = scaled_to(landscape.gradient(), -norm_of(here))
            across = scaled_to(at_right_angle(drawn, first)[1], norm_of(here))
            labels = ("down the gradient, in norms of the weights", ACROSS)
            return Plane((first, across), labels, {}, (-reach, reach, -reach, reach))
        name = "the other run" if others else "its start"
        there = others[0] if others else start_of(run)
        first = difference({key: tensor.to(here[key]) for key, tensor in there.items()}, here)
        across = scaled_to(at_right_angle(drawn, first)[1], norm_of(first))
        labels, limits = (f"from the run (0) to {name} (1)", ACROSS), (-over, 1 + over, -0.5 - over, 0.5 + over)
        return Plane((first, across), labels, {name: (1.0, 0.0)}, limits)


def through_three(here: Point, second: Point, third: Point, over: float) -> Plane:
    """Return the plane through three points. The first axis goes from `here` to `second`. `over` is the margin."""
    first = difference(second, here)
    along, across = at_right_angle(difference(third, here), first)
    unit = norm_of(first) or 1.0
    height = norm_of(across) / unit
    return Plane(
        (first, scaled_to(across, unit)),
        ("from the run (0) to the first other (1)", "at a right angle, same unit"),
        {"the first other": (1.0, 0.0), "the second other": (along, height)},
        (min(0.0, along) - over, max(1.0, along) + over, -over, height + over),
    )


def at_right_angle(direction: Point, first: Point) -> tuple[float, dict[str, Tensor]]:
    """Split `direction` into a part along `first` and a part at a right angle to `first`.

    Return the number a and the second part, where the first part is a · `first`.
    """
    along = inner(direction, first) / (inner(first, first) or 1.0)
    return along, {name: tensor - along * first[name] for name, tensor in direction.items()}


def contours(canvas: FigureBase, axes: Axes, x: Numbers, y: Numbers, values: Numbers) -> None:
    """Draw a map of `values` (len(y), len(x)). Lines of equal value divide the map into bands of equal area."""
    finite = values[np.isfinite(values)]
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, LEVELS))) if finite.size else np.zeros(1)
    if len(levels) < 3:
        axes.annotate("flat", (0.5, 0.9), xycoords="axes fraction", ha="center", color=FAINT)
        return
    shown = np.ma.masked_invalid(values)
    norm = BoundaryNorm(levels.tolist(), SEQUENTIAL.N)
    filled = axes.contourf(x, y, shown, levels=levels, cmap=SEQUENTIAL, norm=norm)
    axes.contour(x, y, shown, levels=levels[1:-1], colors="white", linewidths=0.5)
    ticks = levels[:: max(1, len(levels) // 8)]
    bar = canvas.colorbar(filled, ax=axes, shrink=0.85, ticks=ticks, format=f"%.{digits(ticks)}g", spacing="uniform")
    bar.set_label("L(W)")


def digits(numbers: Numbers) -> int:
    """Return how many significant digits are needed to make all numbers look different; at least 3."""
    return next((count for count in range(3, 16) if len({f"{x:.{count}g}" for x in numbers}) == len(numbers)), 16)


def mark(axes: Axes, name: str, place: tuple[float, float], *, first: bool) -> None:
    """Mark a point and write its name. The name is legible on dark and on pale backgrounds."""
    axes.plot(*place, "o" if first else "s", color=INK, mec="white", ms=6, zorder=4)
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
    axes.annotate(name, place, (6, 6), textcoords="offset points", fontsize=8, color=INK, bbox=box, zorder=4)
