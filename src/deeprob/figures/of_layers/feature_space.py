"""Feature space: the points, a grid and the boundary of the input plane after each layer of a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from torch import Tensor

from deeprob.analysis.plane import grid
from deeprob.analysis.separability import separability
from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.data import Examples
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig
from deeprob.figures.of_layers.stages import (
    INPUT,
    Stage,
    cut_of_stages,
    frame_of,
    joined,
    stage_names,
    stage_title,
    stages_of,
)
from deeprob.figures.of_models.decision_boundary import draw_boundaries, needs_classes_of_the_plane
from deeprob.figures.style import INK, LEVEL, PALE, UPRIGHT, label_axes, palette_color, shortened

NAMED, LONGEST = 10, 18
"""The largest number of classes in a legend, and the largest number of letters of a name in the legend."""

Scores = Callable[[Tensor], Tensor]


@register("figure", "feature_space")
@dataclass(kw_only=True, slots=True)
class FeatureSpaceConfig(FigureConfig):
    """The points, a grid and the boundary of the input plane, before the network and after each part of a layer.

    A layer has two parts: the linear part and the activation. If a layer has two units, they are the axes of its panel.
    If a layer has more units, the axes are principal components. A linear classifier is trained on the values of all
    units of the layer, and its training accuracy is written above the panel. If the last hidden layer has two units,
    its panel shows the straight boundary of the last layer. All other panels show the boundary of the input plane,
    moved by the layers.

    Attributes
    ----------
    points
        The largest number of training points that are shown.
    lines
        The number of grid lines in each direction.
    resolution
        The boundary is computed on a grid of points. This is the number of its points in each direction.
    stages
        The largest number of panels after the input. A linear part and an activation are two panels. If there are
        more panels, the last ones are shown.
    units
        The two units that are the axes of hidden layers with more than two units. The first unit is 1. If null, the
        axes are principal components. Example: ``figure=feature_space figure.units=[1,2]``.
    """

    points: int = number(600, minimum=0)
    lines: int = number(15, minimum=2, maximum=200)
    resolution: int = number(400, minimum=2, maximum=5000)
    stages: int = number(7, minimum=1)
    units: list[int] | None = number(None, minimum=1, optional=True, listed=True)

    def problems(self) -> list[str]:
        """Return a list of error messages about the option `units`. It is empty if the option is right."""
        if self.units is None or len(set(self.units)) == len(self.units) == 2:
            return []
        return [f"units={str(self.units).replace(' ', '')}: expected two different units, as in [1,2]"]

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes_of_the_plane(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        rows, columns = stage_grid(1 + min(self.stages, caps.STAGES, len(stage_names(run)) - 1))
        return 2.3 * columns + 0.1, 2.55 * rows + legend_height(run.classes, columns)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        first, *others = stages_of(run, self.lines, self.resolution, self.units)
        most = min(self.stages, caps.STAGES)
        shown = [first, *others[-most:]]
        rows, columns = stage_grid(len(shown))
        cells = list(canvas.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.08}).flat)
        for axes, stage in zip(cells, shown, strict=False):
            draw_stage(axes, stage, self.points, scores_after(run, others, stage))
        for axes in cells[len(shown) :]:
            axes.set_axis_off()
        left_out = [stage_title(stage.name) for stage in others[:-most]]
        ends = " to ".join(dict.fromkeys([*left_out[:1], *left_out[-1:]]))
        legend(canvas, run, columns, f"left out after the input: {ends}" if left_out else "")

    def cut(self, run: Run) -> str:
        """Return a text that says which stages are shown, or an empty text if all are shown."""
        return cut_of_stages(run, caps.STAGES if self.stages > caps.STAGES else None)

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 1, since a panel takes the whole width."""
        return 1


def stage_grid(panels: int) -> tuple[int, int]:
    """Return the number of rows and the number of columns for a number of panels.

    Up to four panels form one row. More panels form three or four columns, so that few cells stay empty.
    """
    columns = panels if panels <= 4 else min((4, 3), key=lambda columns: -panels % columns)
    return -(-panels // columns), columns


def draw_stage(axes: Axes, stage: Stage, points: int, network: Scores | None = None) -> None:
    """Draw the points, the grid and the boundary at a stage, and write the accuracy of a linear classifier.

    Parameters
    ----------
    axes
        The axes to draw on.
    stage
        A stage from `stages_of`.
    points
        The largest number of training points that are shown.
    network
        A function from the stage's two units (M, 2) to scores (M, C). The boundary of these scores is drawn. If None,
        the boundary of `stage` is drawn.
    """
    limits = frame_of(stage.points)
    axes.set(xlim=limits[:2], ylim=limits[2:], box_aspect=1)
    if stage.projection.by_unit and stage.name != INPUT:
        axes.axhline(0, color=PALE, lw=1.2, zorder=0.5)
        axes.axvline(0, color=PALE, lw=1.2, zorder=0.5)
    half = len(stage.grid) // 2
    axes.plot(*joined(stage.grid[:half]).T.numpy(), color=UPRIGHT, lw=0.7, zorder=1.5)
    axes.plot(*joined(stage.grid[half:]).T.numpy(), color=LEVEL, lw=0.7, zorder=1.5)
    cloud(axes, stage.points[:points], stage.train.targets[:points])
    if network is None:
        axes.plot(*joined(stage.boundary).T.numpy(), color=INK, lw=1.3)
    else:
        draw_boundaries(axes, network(grid(limits, 300)), limits, INK)
    label_axes(axes, *stage.projection.labels)
    axes.locator_params(nbins=4)
    if stage.train.inputs.shape[1] == 1:
        axes.set_yticks([])
    axes.set_title(stage_title(stage.name), pad=15)
    axes.text(0, 1.03, probe_text(stage.train), transform=axes.transAxes, fontsize=8)


def probe_text(train: Examples) -> str:
    """Return a text with the accuracy of a linear classifier. If there are too many data, the text says so."""
    classes = int(train.targets.max()) + 1
    if train.inputs.numel() * classes > caps.NUMBERS:
        return "no linear probe: too large"
    return f"linear probe {100 * separability(train, train):.1f} %"


def cloud(axes: Axes, points: Tensor, targets: Tensor) -> PathCollection:
    """Draw points (n, 2) in the colors of their classes `targets` (n,). A later point covers an earlier one."""
    colors = [palette_color(target) for target in targets.tolist()]
    x, y = points.T.numpy()
    return axes.scatter(x, y, s=10, c=colors, edgecolors="white", linewidths=0.4, zorder=1.9)


def scores_after(run: Run, stages: list[Stage], stage: Stage) -> Scores | None:
    """Return the last layer as a function from the units of `stage` to the scores.

    If `stage` is not the input of the last layer, or does not have two units, return None. In the plane of two units h,
    the boundary (w_j − w_k)·h + b_j − b_k = 0 is a straight line.
    """
    layers = run.model.linear_layers
    before = stages[-2] if len(stages) > 1 and layers else None
    activated = stage.name == f"linear {len(layers)}"  # an activation function follows the last layer
    if stage is not before or activated or stage.train.inputs.shape[1] != 2:
        return None

    @torch.no_grad()
    def scores(hidden: Tensor) -> Tensor:
        found: Tensor = layers[-1](hidden.to(layers[-1].weight))
        return found.cpu()

    return scores


def legend(canvas: FigureBase, run: Run, columns: int, remark: str = "") -> None:
    """Draw the legend below `columns` columns of panels. The remark stands above the legend."""
    marks = [Line2D([], [], color=INK, lw=1.3, label="boundary")] if len(run.classes) <= caps.CLASSES else []
    marks += [
        Line2D([], [], color=ink, lw=1.2, label=f"constant {shortened(name, LONGEST)}")
        for ink, name in zip((UPRIGHT, LEVEL), run.data().columns or ("x₁", "x₂"), strict=True)
    ]
    marks += class_marks(run.classes)
    across = min(len(marks), 2 * columns)
    canvas.legend(handles=marks, loc="outside lower center", ncols=across, handletextpad=0.4, title=remark)


def class_marks(classes: Sequence[str]) -> list[Line2D]:
    """Return one legend entry per class. If there are more than `NAMED` classes, return no entries."""
    marks = [
        Line2D([], [], marker="o", ls="", ms=5, color=palette_color(place), label=shortened(name, LONGEST))
        for place, name in enumerate(classes)
    ]
    return marks if len(marks) <= NAMED else []


def legend_height(classes: Sequence[str], columns: int) -> float:
    """Return the height of the legend in inches."""
    return 0.2 + 0.17 * -(-(3 + len(class_marks(classes))) // (2 * columns))
