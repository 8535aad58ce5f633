"""Histogram equalization: pictures before and after, with the histograms of their levels."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.features.steps import equalize
from deeprob.figures.of_features.picture_sheet import HEAD, WIDTH, ExamplesConfig, as_rgb, height_of, needs_pictures
from deeprob.figures.style import FAINT, INK, PALETTE, picture_axes

CHANNELS = {1: ("level",), 3: ("red", "green", "blue")}
INKS = {"level": INK, "red": PALETTE[5], "green": PALETTE[2], "blue": PALETTE[0]}
LINES = {"level": "-", "red": "-", "green": "--", "blue": ":"}
"""The names of the channels, the colors of their lines, and the styles of their lines."""

BINS = 64
"""The number of bins of a histogram of the 256 levels."""

EVEN = 25
"""The height of each bar if all levels are equally frequent. The unit is % of the y axis."""


@register("figure", "equalize")
@dataclass(kw_only=True, slots=True)
class EqualizeConfig(ExamplesConfig):
    """Pictures before and after histogram equalization. Each picture has a histogram of its levels.

    Levels are pixel values from 0 to 255. At each level, a line shows the share of pixels up to this level.
    The figure also works for a run whose features do not equalize pictures.
    """

    examples: int = number(4, minimum=1, maximum=20)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_pictures(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return WIDTH + 0.16, HEAD + 0.2 + histogram_row_height(run) * len(self.chosen(run)[1])

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return 1, histogram_row_height(run)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        examples, titles = self.chosen(run)
        grid = canvas.subplots(len(titles), 4, squeeze=False, width_ratios=[1, 1.35, 1, 1.35])
        for row, title, picture in zip(grid, titles, examples.inputs, strict=True):
            after = equalize(picture[None])[0]
            same = " (no change)" if torch.equal(after, picture) else ""
            for name, pixels, (left, right) in ((title, picture, row[:2]), (f"equalized{same}", after, row[2:])):
                left.imshow(as_rgb(pixels).numpy())
                picture_axes(left)
                left.set_title(name, fontsize=8, fontweight="normal", pad=3)
                levels_of(right, pixels)
        for axes in grid[-1, 1::2]:
            axes.set_xlabel("level", fontsize=8)
        for axes in grid[:-1, 1::2].flat:
            axes.set_xticklabels([])
        names = CHANNELS.get(len(examples.inputs[0]), ())
        lines = [grid[0, 1].lines[place] for place in range(len(names))]
        title = "Histogram equalization: how often levels occur (bars), and shares up to a level in % (lines)"
        canvas.suptitle(title, fontsize=9.5, x=0.005, ha="left")
        if len(names) > 1:
            canvas.legend(lines, names, loc="outside lower right", ncols=len(names))


def histogram_row_height(run: Run) -> float:
    """Return the height of a row of pictures and histograms in inches."""
    return max(1.15, height_of(run.predictor.input_shape, 1.5) + 0.3)


def levels_of(axes: Axes, picture: Tensor) -> None:
    """Draw the levels of a picture: the histogram as bars, and the cumulative shares in % as lines.

    The bars count all channels together. There is one line per channel. If all levels are equally frequent, all bars
    have the height `EVEN`, and the lines lie on the thin diagonal. The y axis ends at 105 %, and higher bars are cut
    off.
    """
    channels = whole_levels(picture).flatten(1).numpy()
    counts, edges = np.histogram(channels, BINS, (0, 256))
    axes.bar(edges[:-1], EVEN * BINS * counts / channels.size, 256 / BINS, align="edge", color="#c4c4c4")
    for name, channel in zip(CHANNELS.get(len(channels), ["level"] * len(channels)), channels, strict=True):
        share = np.bincount(channel, minlength=256).cumsum() * 100 / len(channel)
        axes.plot(np.arange(256), share, color=INKS[name], linestyle=LINES[name], linewidth=1.3)
    axes.plot([0, 255], [0, 100], color=FAINT, linewidth=0.7)
    axes.set(xlim=(0, 256), ylim=(0, 105), xticks=[0, 64, 128, 192, 255], yticks=[0, 50, 100])


def whole_levels(picture: Tensor) -> Tensor:
    """Return a picture's levels as uint8 from 0 to 255. Floats in [0, 1] are scaled and rounded down."""
    return picture.mul(256 - 1e-3).to(torch.uint8) if picture.is_floating_point() else picture
