"""A bank: many small pictures, such as templates, drawn in rows on the same axes."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor

from deeprob.figures.style import breadth, picture_axes

TALLEST, WIDTH, CAPTION, LINE = 1.6, 8.3, 0.2, 0.17
"""The largest height of a picture, the largest width of a bank, and the heights of a caption and a line, in inches."""

FINEST = 64
"""The largest width and height of a template in pixels."""


class Tile(NamedTuple):
    """A picture (H, W, 3) with values in [0, 1], and the caption above the picture."""

    pixels: Tensor
    caption: str = ""


@dataclass(frozen=True)
class Bank:
    """Rows of pictures. All pictures have the same height. All pictures of a column have the same width.

    Attributes
    ----------
    rows
        The rows of pictures. No row has more pictures than the first.
    names
        The label to the left of each row.
    title
        The title above the bank.
    """

    rows: Sequence[Sequence[Tile]]
    names: Sequence[str] = ()
    title: str = ""

    def size(self) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        width = self._lefts[-1] * self._scale + self._room
        height = len(self.rows) * self._step * self._scale + 0.1
        lines = self._wrapped(width).count("\n") + 1 if self.title else 0
        return width, height + (LINE * lines + 0.12 if lines else 0.0)

    def draw(self, axes: Axes) -> None:
        """Draw the bank."""
        strips = []
        for number, row in enumerate(self.rows):
            strip = beside([tile.pixels for tile in row], self._gap)
            missing = self._lefts[-1] - self._gap - strip.shape[1]
            strips.append(F.pad(strip, (0, 0, 0, missing, self._above, 0), value=1.0))
            for tile, left in zip(row, self._lefts, strict=False):
                place = left + (tile.pixels.shape[1] - 1) / 2, number * self._step + 0.75 * self._above
                axes.text(*place, tile.caption, ha="center", va="baseline", fontsize=8)
        image = torch.cat(strips)
        coarse = image.shape[1] < 600  # in a finer image, "nearest" would leave out pixels
        axes.imshow(image.numpy(), interpolation="nearest" if coarse else "auto")
        axes.set_anchor("E")
        picture_axes(axes)
        if self.names:
            middles = [number * self._step + (self._step + self._above) / 2 for number in range(len(self.rows))]
            axes.set_yticks(middles, self.names, fontsize=9)
            axes.tick_params(length=0)
        axes.set_title(self._wrapped(self.size()[0]), fontsize=8.5, fontweight="normal")

    @property
    def _room(self) -> float:
        """The width of the space for the names of the rows, in inches."""
        return 0.1 + (0.1 + 0.088 * max(map(breadth, self.names)) if self.names else 0.0)

    @property
    def _gap(self) -> int:
        """The width of the space between two pictures, in pixels."""
        return max(1, round(0.06 * len(self.rows[0][0].pixels)))

    @property
    def _lefts(self) -> list[int]:
        """The pixel at which each column begins, and the pixel at which one more column would begin."""
        widths = [tile.pixels.shape[1] + self._gap for tile in self.rows[0]]
        return [0, *itertools.accumulate(widths)]

    @property
    def _scale(self) -> float:
        """The side of a pixel in inches."""
        return min((WIDTH - self._room) / self._lefts[-1], TALLEST / len(self.rows[0][0].pixels))

    @property
    def _above(self) -> int:
        """The height of the space above each row, in pixels."""
        captions = any(tile.caption for row in self.rows for tile in row)
        return math.ceil(CAPTION / self._scale) if captions else self._gap

    @property
    def _step(self) -> int:
        """The height of a row and of the space above the row, in pixels."""
        return self._above + len(self.rows[0][0].pixels)

    def _wrapped(self, width: float) -> str:
        return textwrap.fill(self.title, round(13.5 * width))


def picture(templates: Tensor, share: float = 0.99) -> Tensor:
    """Return templates (P, 3, H, W) side by side as one picture (H, P(W+1)−1, 3) in [0, 1].

    White lines separate the templates. A weight of 0 is mid-grey, positive weights are lighter, and negative weights
    are darker. The quantile `share` of the magnitudes is drawn as white or black, and larger weights are clipped.
    Without clipping, one very large weight would turn all other pixels grey. If a template has more than `FINEST`
    pixels in one direction, squares of pixels are first replaced by their means.
    """
    square = -(-max(templates.shape[2:]) // FINEST)
    templates = F.avg_pool2d(templates, square) if square > 1 else templates
    reach = templates.abs().flatten().quantile(share).clamp(min=torch.finfo(templates.dtype).tiny)
    scaled = (0.5 + 0.5 * templates / reach).clamp(0, 1)
    return beside(list(scaled.permute(0, 2, 3, 1)), 1)


def beside(pictures: Sequence[Tensor], gap: int) -> Tensor:
    """Return pictures (H, W, 3) side by side as one picture, with `gap` white columns of pixels between them."""
    return torch.cat([F.pad(pixels, (0, 0, 0, gap), value=1.0) for pixels in pictures], dim=1)[:, :-gap]
