"""Color histograms of example pictures: a ring shows the hues, and bars show the other channels."""

import colorsys
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle, Wedge
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.features import ColorHistogramConfig
from deeprob.features.color_histogram import ColorHistogram
from deeprob.figures.of_features.picture_sheet import (
    GAP,
    HEAD,
    LINE,
    WIDTH,
    ExamplesConfig,
    as_rgb,
    boxed,
    caption,
    of_whole,
    part_of,
    put,
    sheet,
    the_part,
)
from deeprob.figures.style import FAINT

SIDE, WIDE, COLUMNS, INNER = 0.98, 0.92, 2, 0.48
"""The width of a picture, the width of a histogram, the number of examples per row, and the shape of the ring.

Widths are in inches. The shape is the inner radius divided by the outer radius.
"""

NAMES = {"hsv": ("hue", "saturation", "value"), "rgb": ("red", "green", "blue")}

SHADES: dict[str, Callable[[float], tuple[float, float, float]]] = {
    "hue": lambda level: colorsys.hsv_to_rgb(level, 0.9, 0.9),
    "saturation": lambda level: colorsys.hsv_to_rgb(0.08, level, 0.85),
    "value": lambda level: (level, level, level),
    "red": lambda level: (level, 0.0, 0.0),
    "green": lambda level: (0.0, level, 0.0),
    "blue": lambda level: (0.0, 0.0, level),
}
"""The colors of the bins of each channel. A function maps the middle of a bin, in [0, 1], to a color.

All bins of saturation have the same hue.
"""


@register("figure", "color_histogram")
@dataclass(kw_only=True, slots=True)
class ColorHistogramsConfig(ExamplesConfig):
    """Pictures, and beside each picture one histogram per channel: hue, saturation and value, or red, green and blue.

    Each bar belongs to one bin of the feature. Its length shows the share of the picture's pixels in this bin.
    The histogram of hues is a ring. It begins with red at the top and goes clockwise over green to blue.
    """

    usual: ClassVar[bool] = True

    examples: int = number(10, minimum=1, maximum=100)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return (
            ""
            if part_of(run, ColorHistogramConfig)
            else "needs features=color_histogram, alone, in concat or first in chain"
        )

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return WIDTH + 0.16, HEAD + self._height(len(self.chosen(run)[1]))

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return COLUMNS, self._step

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        config, feature = the_part(run, ColorHistogramConfig)
        assert isinstance(feature, ColorHistogram)
        examples, titles = self.chosen(run)
        grid = "" if config.grid == 1 else f", mean of {config.grid}×{config.grid} regions"
        title = f"Colour histograms: {config.bins} bins a channel{grid}"
        remark = "shares of pixels, with the largest in %" + (
            "; the ring of hues begins with red above, where grey counts too" if config.space == "hsv" else ""
        )
        axes = sheet(canvas, self._height(len(titles)), title, remark)
        histograms = picture_shares(feature, examples.inputs)
        for place, (picture, channels) in enumerate(zip(examples.inputs, histograms, strict=True)):
            left, top = place % COLUMNS * WIDTH / COLUMNS, LINE + place // COLUMNS * self._step + LINE
            caption(axes, left, top - 0.03, titles[place])
            put(axes, as_rgb(picture), boxed(picture.shape, left, top, SIDE))
            for column, (name, shares) in enumerate(zip(NAMES[config.space], channels.numpy(), strict=True), 1):
                start = left + column * (SIDE - 0.02) + 0.1
                middle = start + WIDE / 2
                caption(axes, middle, top + SIDE + LINE, name, faint=True, middle=True)
                if name == "hue":
                    ring(axes, shares, middle, top + SIDE / 2, WIDE / 2)
                else:
                    bars(axes, shares, name, middle - 0.39, top + LINE, 0.78, SIDE - LINE)

    @property
    def _step(self) -> float:
        """The distance from the top of a row to the top of the next row, in inches."""
        return LINE + SIDE + LINE + GAP

    def _height(self, count: int) -> float:
        return LINE + -(-count // COLUMNS) * self._step


def picture_shares(feature: ColorHistogram, inputs: Tensor) -> Tensor:
    """Return the histograms (N, 3, bins) of whole pictures (N, 3, H, W), as shares of their pixels.

    If the feature computes one joint histogram of three channels, the histogram of a channel is the sum over the other
    two channels.
    """
    described = torch.cat([feature.describe(pictures) for _, pictures in feature.prepared(inputs)])
    rows, columns = feature.rows, feature.columns
    shares = of_whole(described.view(len(inputs), -1, len(rows), len(columns)), rows, columns).cpu()
    if not feature.joint:
        return shares.view(len(inputs), 3, feature.bins)
    triples = shares.view(len(inputs), feature.bins, feature.bins, feature.bins)
    return torch.stack([triples.sum(others) for others in ((2, 3), (1, 3), (1, 2))], 1)


def ring(axes: Axes, shares: np.ndarray, x: float, y: float, radius: float) -> None:
    """Draw the shares of hues as a ring around the point (x, y) of a sheet. The longest bar ends at `radius`.

    Bin k of n is the sector from k/n to (k + 1)/n of a turn, clockwise from the top. On a sheet, y points down.
    """
    count, inner = len(shares), INNER * radius
    reach = (radius - inner) * shares / shares.max()
    edges = np.arange(count + 1) * 360 / count - 90
    colors = [SHADES["hue"]((k + 0.5) / count) for k in range(count)]
    sectors = list(itertools.pairwise(edges.tolist()))
    base = [Wedge((x, y), inner, *sector, width=0.05) for sector in sectors]
    hues = [Wedge((x, y), inner + long, *sector, width=long) for sector, long in zip(sectors, reach, strict=True)]
    axes.add_collection(PatchCollection(base, facecolors=colors, alpha=0.35, linewidths=0), autolim=False)
    axes.add_collection(PatchCollection(hues, facecolors=colors, linewidths=0), autolim=False)
    write_largest(axes, shares, x, y)


def bars(axes: Axes, shares: np.ndarray, name: str, left: float, top: float, width: float, height: float) -> None:
    """Draw the histogram of a channel as bars in a rectangle. The highest bar is as high as the rectangle."""
    count, wide = len(shares), width / len(shares)
    high = height * shares / shares.max()
    boxes = [Rectangle((left + k * wide, top + height - tall), wide, tall) for k, tall in enumerate(high.tolist())]
    colors = [SHADES[name]((k + 0.5) / count) for k in range(count)]
    edge = 0.4 if count <= 32 else 0.0
    axes.add_collection(PatchCollection(boxes, facecolors=colors, edgecolors=FAINT, linewidths=edge), autolim=False)
    axes.plot([left, left + width], [top + height] * 2, color=FAINT, linewidth=0.8)
    write_largest(axes, shares, left + (shares.argmax() + 0.5) * wide, top - 0.07)


def write_largest(axes: Axes, shares: np.ndarray, x: float, y: float) -> None:
    """Write the largest share in %, centred on the point (x, y)."""
    axes.text(x, y, f"{100 * shares.max():.0f}", fontsize=7, color=FAINT, ha="center", va="center_baseline")
