"""Decision boundaries: the class that a model predicts at each point of the plane, and its confidence."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.analysis.plane import Limits, boundary_fields, grid, limits_of
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.data import Examples
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig, plane_names
from deeprob.figures.caps import some_of
from deeprob.figures.style import INK, breadth, equal_scales, palette_color, plane_axes, rgb, shortened

PART = 4096  # points of the grid that go through the model together; all of them may take more than 100 MB


@register("figure", "decision_boundary")
@dataclass(kw_only=True, slots=True)
class DecisionBoundaryConfig(FigureConfig):
    """The regions of the predicted classes in the plane of raw inputs, with boundaries and data points.

    The color of a region is stronger where the model is more confident.

    Attributes
    ----------
    split
        The split whose examples are shown.
    resolution
        The colors are computed on a grid of points. This is the number of its points in each direction.
    points
        The largest number of examples that are shown. 0 shows none.
    """

    live: ClassVar[bool] = True

    split: str = choice("train", among=SPLITS)
    resolution: int = number(300, minimum=2, maximum=5000)
    points: int = number(600, minimum=0)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes_of_the_plane(run)

    def quick(self) -> Self:
        """Return a version with a coarser grid and fewer examples."""
        return dataclasses.replace(self, resolution=min(self.resolution, 120), points=min(self.points, 300))

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches, in the proportions of the plane."""
        left, right, bottom, top = limits = limits_of(run.examples("train").inputs)
        height = min(max((top - bottom) / (right - left), 0.4), 1.4) if equal_scales(limits) else 1.0
        return 4.2, 0.9 + 3.3 * height

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        axes = canvas.subplots()
        examples = run.examples(self.split)
        limits = limits_of(run.examples("train").inputs)
        draw_regions(axes, run, limits, self.resolution)
        scatter(axes, examples, self.points)
        plane_axes(axes, limits, plane_names(run))
        axes.set_title(f"{100 * run.evaluate(self.split)['accuracy']:.1f} % right ({self.split})")
        axes.set_title(points_shown(len(examples), self.points), loc="right", fontsize=8, fontweight="normal")
        class_legend(axes, run.classes)


def needs_classes_of_the_plane(run: Run) -> str:
    """Return the reason why a figure of classes in the plane cannot show `run`, or an empty text if it can."""
    if not run.classes:
        return "needs classes, and the run predicts numbers"
    shape = run.predictor.input_shape
    return "" if shape == (2,) else f"needs points of the plane, and the run's inputs have the shape {list(shape)}"


def draw_regions(axes: Axes, scores: Callable[[Tensor], Tensor], limits: Limits, resolution: int) -> None:
    """Draw the regions of classes and the boundaries between them.

    A region has the color of its class. The color is stronger where the model is more confident, and palest where all
    classes are equally likely. If there are more than `caps.CLASSES` classes, boundaries are drawn as dark points of
    the grid instead of lines.

    Parameters
    ----------
    axes
        The axes to draw on.
    scores
        A function from points (N, 2) to scores (N, C).
    limits, resolution
        The part of the plane, and the number of grid points in each direction.
    """
    points = grid(limits, resolution)
    first = scores(points[:1]).cpu()
    classes = first.shape[1]
    if classes > caps.CLASSES:
        parts = torch.split(points, max(1, caps.NUMBERS // classes))
        found = [scores(part).cpu().softmax(1).max(1) for part in parts]
        sure, winner = (torch.cat(some) for some in zip(*found, strict=True))
    else:
        values = first.new_empty(len(points), classes)
        for rows, part in zip(torch.split(values, PART), torch.split(points, PART), strict=True):
            rows.copy_(scores(part))
        sure, winner = values.softmax(1).max(1)
    strength = 0.10 + 0.42 * ((sure - 1 / classes) / (1 - 1 / classes)).clamp(0, 1)
    colors = torch.tensor([rgb(place) for place in range(classes)])[winner]
    image = 1 - strength[:, None] * (1 - colors)
    if classes > caps.CLASSES:
        image[edges(winner.view(resolution, resolution)).flatten()] = image.new_tensor(to_rgb(INK))
    axes.imshow(image.view(resolution, resolution, 3).numpy(), extent=limits, origin="lower", aspect="equal")
    if classes <= caps.CLASSES:
        draw_boundaries(axes, values, limits, INK)


def edges(winner: Tensor) -> Tensor:
    """Return a mask (R, R) that is True at boundaries between classes.

    `winner` (R, R) holds the class of each point of a grid. The mask is True at a point if its right or upper neighbour
    has another class.
    """
    found = torch.zeros_like(winner, dtype=torch.bool)
    found[:, :-1] |= winner[:, :-1] != winner[:, 1:]
    found[:-1] |= winner[:-1] != winner[1:]
    return found


def draw_boundaries(axes: Axes, values: Tensor, limits: Limits, ink: str) -> None:
    """Draw the boundaries between classes. `values` holds the scores (R², C) of the points of a grid over `limits`."""
    for field in boundary_fields(values):
        if field.min() < 0 < field.max():
            axes.contour(field.numpy(), levels=[0.0], extent=limits, colors=ink, linewidths=1.2)


def scatter(axes: Axes, examples: Examples, most: int = 600) -> None:
    """Draw up to `most` examples as points in the colors of their classes."""
    inputs, targets = evenly_spaced(examples, most)
    for target in np.unique(targets):
        axes.plot(*inputs[targets == target].T, "o", color=palette_color(int(target)), ms=3.2, mec="white", mew=0.4)


def evenly_spaced(examples: Examples, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and targets of every n-th example. They are at most `most` examples."""
    chosen = examples[places_of(len(examples), most).to(examples.targets.device)]
    return chosen.inputs.cpu().numpy(), chosen.targets.cpu().numpy()


def places_of(count: int, most: int) -> Tensor:
    """Return the indices 0, n, 2n, … below `count`. They are at most `most` indices."""
    return torch.arange(count)[:: max(1, -(-count // most))] if most else torch.arange(0)


def points_shown(count: int, most: int) -> str:
    """Return a text such as ``600 of 3,000 points``. If all points or no points are drawn, the text is empty."""
    return some_of(len(places_of(count, most)), count, "points") if most else ""


def class_legend(axes: Axes, classes: Sequence[str], most: int = 10) -> None:
    """Draw the legend of classes below the axes, if there are at most `most` classes."""
    if not 0 < len(classes) <= most:
        return
    names = [shortened(name, 18) for name in classes]
    marks = [
        axes.plot([], [], "o", color=palette_color(place), ms=5, label=name)[0] for place, name in enumerate(names)
    ]
    columns = min(len(classes), 4 if max(map(breadth, names)) < 9 else 2)
    axes.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, handletextpad=0.2)
