"""Histograms of oriented gradients: strokes over the picture show the edges in each cell."""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import register
from deeprob.features import HogConfig
from deeprob.features.hog import Hog, normalized_blocks
from deeprob.figures.of_features.picture_sheet import (
    GAP,
    HEAD,
    LINE,
    WIDTH,
    ExamplesConfig,
    as_rgb,
    boxed,
    caption,
    faded,
    part_of,
    put,
    row_height,
    sheet,
    the_part,
)
from deeprob.figures.style import PALETTE

FADED = 0.3
"""The share of the picture's contrast that remains under the strokes."""


@register("figure", "hog")
@dataclass(kw_only=True, slots=True)
class HogStrokesConfig(ExamplesConfig):
    """Pictures, and beside each picture the edges that the feature finds in it.

    Each cell has one stroke per direction. A stroke goes through the middle of the cell and lies along the edge, at a
    right angle to the gradient. The stronger the edge, the longer and darker the stroke. If the feature normalizes
    blocks, the strength is the mean over all blocks that contain the cell. If directions are signed (they cover a whole
    turn), a stroke begins in the middle of the cell. Seen from the middle, the lighter side of the edge is on the left.
    """

    usual: ClassVar[bool] = True

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return "" if part_of(run, HogConfig) else "needs features=hog, alone, in concat or first in chain"

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        rows = -(-len(self.chosen(run)[1]) // pairs_of(run))
        return WIDTH + 0.16, HEAD + LINE + rows * row_height(run, square_side(run))

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return pairs_of(run), row_height(run, square_side(run))

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        config, hog = the_part(run, HogConfig)
        assert isinstance(hog, Hog)
        examples, titles = self.chosen(run)
        side, pairs = square_side(run), pairs_of(run)
        high = row_height(run, side)
        turn = "whole turn" if config.signed else "half turn"
        title = f"HoG: {config.directions} directions over a {turn} in cells of {config.cell}×{config.cell} pixels"
        remark = "strokes run along edges; the longer and darker, the stronger the edge" + (
            ", with its lighter side on the left as seen from the cell's middle" if config.signed else ""
        )
        axes = sheet(canvas, LINE + -(-len(titles) // pairs) * high, title, remark)
        for number, (seen, weights) in enumerate(zip(*cell_strengths(hog, examples.inputs), strict=True)):
            left, top = number % pairs * WIDTH / pairs, LINE + number // pairs * high + LINE
            caption(axes, left, top - 0.03, titles[number])
            put(axes, as_rgb(examples.inputs[number]), boxed(seen.shape, left, top, side))
            box = boxed(seen.shape, left + side + 0.06, top, side)
            put(axes, faded(as_rgb(seen / 255), FADED), box)
            lines, strengths = strokes(weights, config.cell, signed=config.signed)
            colors = np.tile(to_rgba(PALETTE[0]), (len(lines), 1))
            colors[:, 3] = np.sqrt(strengths)
            places = np.array((box.left, box.top)) + box.scale * lines
            axes.add_collection(LineCollection(list(places), colors=colors, linewidths=1.3), autolim=False)


def square_side(run: Run) -> float:
    """Return the side of the square that contains a picture, in inches."""
    pairs = pairs_of(run)
    return (WIDTH / pairs - 0.06 - (GAP if pairs > 1 else 0.0)) / 2


def pairs_of(run: Run) -> int:
    """Return the number of pairs of pictures per row. If pictures have many cells, the number is smaller."""
    _, hog = the_part(run, HogConfig)
    cells = max(hog.get_buffer("rows").shape[0], hog.get_buffer("columns").shape[0])
    return 3 if cells <= 8 else 2 if cells <= 16 else 1


def cell_strengths(hog: Hog, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pictures that the feature sees, and the strengths of their edges.

    The pictures (N, C, H, W) have values from 0 to 255. The strengths are (N, d, R, C) for d directions and R × C
    cells.
    """
    pictures, weights = [], []
    for _, chunk in hog.prepared(inputs):
        histograms = hog.histograms(chunk)
        pictures.append(chunk.cpu())
        weights.append(
            by_cell(normalized_blocks(histograms, hog.block, hog.norm), histograms.shape[1:], hog.block).cpu()
        )
    return torch.cat(pictures), torch.cat(weights)


def by_cell(described: Tensor, shape: tuple[int, ...], block: int) -> Tensor:
    """Return the strengths of edges in each cell. They are means over all blocks that contain the cell.

    Parameters
    ----------
    described
        The result (B, D) of `deeprob.features.hog.normalized_blocks`.
    shape
        The numbers (d, R, C) of directions, of rows of cells and of columns of cells.
    block
        The number of cells along the side of a block.

    Returns
    -------
    Tensor
        The means (B, d, R, C).
    """
    directions, rows, columns = shape
    down, across = rows - block + 1, columns - block + 1
    blocks = described.view(len(described), down, across, block, block, directions)
    total = described.new_zeros(len(described), rows, columns, directions)
    count = described.new_zeros(rows, columns, 1)
    for row, column in itertools.product(range(block), repeat=2):
        inside = slice(row, row + down), slice(column, column + across)
        total[:, *inside] += blocks[:, :, :, row, column]
        count[*inside] += 1
    return (total / count).permute(0, 3, 1, 2)


def strokes(weights: Tensor, cell: int, *, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the strokes of a picture and their strengths, sorted by strength. The strongest stroke comes last.

    The gradient of direction k of d has the angle (k + ½)/d · 2π if `signed`, else (k + ½)/d · π. The angle 0 points to
    the right, and π/2 points down. A stroke lies along the edge, so its angle is larger by π/2. The length of the
    strongest stroke is the side of a cell, or half of it if `signed`.

    Parameters
    ----------
    weights
        The strengths (d, R, C) of edges, per direction and cell.
    cell
        The side of a cell in pixels.
    signed
        Whether directions cover a whole turn. If so, strokes begin in the middle of the cell.

    Returns
    -------
    tuple of ndarray
        The coordinates (S, 2, 2) of the two ends of each stroke, and the strengths (S,) in (0, 1]. The strongest
        stroke has strength 1. The coordinates are x and y in pixels, from the picture's upper left corner. If a
        weight is 0, there is no stroke.
    """
    count, rows, columns = weights.shape
    turn = 2 * math.pi if signed else math.pi
    angles = (torch.arange(count, dtype=torch.float64) + 0.5) / count * turn + math.pi / 2
    along = torch.stack([angles.cos(), angles.sin()], 1)[:, None, None]  # (d, 1, 1, 2)
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    middles = cell * torch.stack([x, y], 2).double()  # (R, C, 2)
    strengths = weights.double() / weights.max().clamp(min=torch.finfo(weights.dtype).tiny)
    reach = along * (cell / 2 * strengths)[..., None]
    ends = torch.stack([middles.expand_as(reach) if signed else middles - reach, middles + reach], 3)
    order = strengths.flatten().argsort(stable=True)
    order = order[strengths.flatten()[order] > 0]
    return ends.flatten(0, 2)[order].numpy(), strengths.flatten()[order].numpy()
