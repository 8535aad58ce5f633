"""A film of feature space: the plane bends layer by layer, from the input to the scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import name_of, number, register
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import in_words, some_of
from deeprob.figures.gif import gif
from deeprob.figures.letters import make_legible
from deeprob.figures.of_layers.feature_space import (
    class_marks,
    cloud,
    legend,
    legend_height,
    stage_grid,
)
from deeprob.figures.of_layers.scenes import Scene, played, scenes_of
from deeprob.figures.of_layers.stages import Stage, cut_of_stages, stage_names, stages_of
from deeprob.figures.of_models.decision_boundary import needs_classes_of_the_plane
from deeprob.figures.style import INK, LEVEL, PALE, STYLE, UPRIGHT, label_axes, picture_axes
from deeprob.tracking.files import write_whole

DPI = 120
"""The film's dots per inch."""

EDGE = 1.12
"""A frame shows the square [−EDGE, EDGE]². The points lie in [−1, 1]²."""


@register("figure", "warp_film")
@dataclass(kw_only=True, slots=True)
class WarpFilmConfig(FigureConfig):
    """A GIF of the plane from the input to the scores: the points, the grid and the boundary move stage by stage.

    Each stage is drawn as in ``feature_space``, then rotated or mirrored to fit the stage before, and scaled to fill
    the frame. If runs are compared, there is no film: a still picture of each run shows the stages side by side.

    Attributes
    ----------
    frames
        The number of pictures between two stages.
    fps
        The number of pictures per second.
    hold
        The duration of the pause at each stage, in seconds.
    pixels
        The width and height of the film, in pixels.
    points
        The largest number of training points that are shown.
    lines
        The number of grid lines in each direction.
    resolution
        The boundary is computed on a grid of points. This is the number of its points in each direction.
    """

    frames: int = number(12, minimum=0, maximum=1000)
    fps: int = number(20, minimum=1, maximum=50)
    hold: float = number(1.0, minimum=0.02, maximum=100)
    pixels: int = number(480, minimum=100, maximum=2000)
    points: int = number(300, minimum=0)
    lines: int = number(13, minimum=2, maximum=200)
    resolution: int = number(200, minimum=2, maximum=5000)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes_of_the_plane(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the still picture in inches."""
        rows, columns = stage_grid(min(len(stage_names(run)), 1 + caps.STAGES))
        return 2.4 * columns, 2.7 * rows + legend_height(run.classes, columns)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the stages of a run as a still picture."""
        stages = self._stages(run)
        targets, scenes = stages[0].train.targets[: self.points], scenes_of(stages)
        rows, columns = stage_grid(len(scenes))
        cells = list(canvas.subplots(rows, columns, squeeze=False).flat)
        for axes, scene in zip(cells, scenes, strict=False):
            SceneScreen(axes, targets).show(scene)
        for axes in cells[len(scenes) :]:
            axes.set_axis_off()
        legend(canvas, run, columns)

    def _stages(self, run: Run) -> list[Stage]:
        """Return the stages to show: the input, and the last `caps.STAGES` stages after it."""
        first, *others = stages_of(run, self.lines, self.resolution)
        return [first, *others[-caps.STAGES :]]

    def _frames(self, run: Run) -> int:
        """Return the number of pictures between two stages: `frames`, or fewer to limit the film's pixels."""
        ways = min(len(stage_names(run)) - 1, caps.STAGES)
        return min(self.frames, int(caps.FILM / self.pixels**2 / ways))

    def cut(self, run: Run) -> str:
        """Return a text that says which part of the film is shown, or an empty text if all is shown."""
        frames = some_of(self._frames(run), self.frames, "pictures between two stages")
        return in_words(cut_of_stages(run, caps.STAGES), frames)

    def film(self, run: Run) -> Iterator[tuple[np.ndarray, float]]:
        """Yield frames (pixels, pixels, 3) of uint8 and their durations in seconds."""
        stages = self._stages(run)
        targets, scenes = stages[0].train.targets[: self.points], scenes_of(stages)
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(self.pixels / DPI, self.pixels / DPI), dpi=DPI)
            canvas: Any = FigureCanvasAgg(figure)  # has no type hints
            below = class_row(figure, run.classes)
            make_legible(figure)
            canvas.draw()
            still = canvas.copy_from_bbox(figure.bbox)  # the background, which is the same in all frames
            axes = figure.add_axes((0.06, below + 0.07, 0.9, 0.85 - below))
            screen = SceneScreen(axes, targets)
        for scene, seconds in played(scenes, self._frames(run), self.hold, 1 / self.fps):
            with mpl.rc_context(STYLE):  # it ends before each yield, so that other figures do not get this style
                screen.show(scene)
                canvas.restore_region(still)
                axes.draw(canvas.get_renderer())
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy(), seconds

    def save(self, run: Run | None, folder: Path) -> Path:
        """Write the film of one run into a folder, and return the path of the file."""
        assert run is not None
        path = folder / f"{name_of(self)}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, gif(list(self.film(run))))
        return path

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 1, since a panel takes the whole width."""
        return 1


def class_row(figure: Figure, classes: Sequence[str]) -> float:
    """Draw the legend of classes at the bottom of a square figure. Return legend height / figure height."""
    marks = class_marks(classes)
    columns = max(1, min(len(marks), 5))
    figure.legend(handles=marks, loc="lower center", ncols=columns, fontsize=7, handletextpad=0)
    return 0.05 * -(-len(marks) // columns)


class SceneScreen:
    """Axes that show one scene at a time.

    Parameters
    ----------
    axes
        The axes to draw on.
    targets
        The classes (n,) of the points to show. Only the first n points of each scene are shown.
    """

    def __init__(self, axes: Axes, targets: Tensor) -> None:
        picture_axes(axes)
        axes.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), box_aspect=1)
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, ec=PALE, lw=1.0))
        self.axes = axes
        (self.upright,) = axes.plot([], [], color=UPRIGHT, lw=0.8, zorder=1.5)
        (self.level,) = axes.plot([], [], color=LEVEL, lw=0.8, zorder=1.5)
        (self.boundary,) = axes.plot([], [], color=INK, lw=1.5)
        self.shown = len(targets)
        self.cloud = cloud(axes, torch.zeros(self.shown, 2), targets)

    def show(self, scene: Scene) -> None:
        """Replace the scene on the axes by `scene`."""
        self.axes.set_title(scene.title)
        label_axes(self.axes, *scene.labels)
        self.upright.set_data(*scene.upright.T)
        self.level.set_data(*scene.level.T)
        self.boundary.set_data(*scene.boundary.T)
        self.cloud.set_offsets(scene.points[: self.shown])
