"""A palette learned from pictures: its colors, their shares of pixels, and pictures that have only these colors."""

from dataclasses import dataclass

import torch
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from torch import Tensor

from deeprob import randomness
from deeprob.assembly.finished import Run
from deeprob.config import register
from deeprob.features import ColorQuantizationConfig
from deeprob.features.color_quantization import ColorQuantization
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
    row_height,
    sheet,
    the_part,
)
from deeprob.figures.style import FAINT, PALE

SWATCHES, MOST, HIGH = 16, 64, 0.3
"""The number of swatches per row, the largest number of swatches, and the height of a swatch in inches."""

SAMPLE = 500
"""The largest number of pictures whose pixels are counted."""

PAIRS = 3
"""The number of pairs of pictures (before and after) per row."""

SIDE = (WIDTH / PAIRS - 0.06 - GAP) / 2


@register("figure", "palette")
@dataclass(kw_only=True, slots=True)
class PaletteConfig(ExamplesConfig):
    """The colors of a palette, their shares of pixels, and pictures before and after quantization.

    Quantization replaces each pixel by the nearest color of the palette. The most used color comes first. The shares
    are measured on at most 500 random pictures of the split.
    """

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return (
            ""
            if part_of(run, ColorQuantizationConfig)
            else "needs features=color_quantization, alone, in concat or first in chain"
        )

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return WIDTH + 0.16, HEAD + self._height(run)

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return PAIRS, row_height(run, SIDE)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        _, feature = the_part(run, ColorQuantizationConfig)
        assert isinstance(feature, ColorQuantization)
        examples, titles = self.chosen(run)
        everything = run.examples(self.split).inputs
        sample = torch.randperm(len(everything), generator=randomness.generator(self.seed, "palette"))[:SAMPLE]
        shares = used(feature, everything[sample.to(everything.device)])
        order = shares.argsort(descending=True, stable=True)[:MOST]
        some = f", the {MOST} most used" if len(order) < len(shares) else ""
        title = f"Palette of {len(shares)} colours{some}"
        remark = f"below each colour: the share of pixels that are nearest to it, in % ({self.split})"
        axes = sheet(canvas, self._height(run), title, remark)
        wide = WIDTH / SWATCHES
        for place, number in enumerate(order.tolist()):
            x, y = place % SWATCHES * wide, 1.5 * LINE + place // SWATCHES * (HIGH + LINE)
            ink = (feature.palette[number].cpu() / 255).tolist()
            axes.add_patch(Rectangle((x, y), wide - 0.04, HIGH, facecolor=ink, edgecolor=PALE, linewidth=0.5))
            share = 100 * shares[number].item()
            text = "<0.1" if 0 < share < 0.05 else f"{share:.1f}"
            axes.text(x + wide / 2 - 0.02, y + HIGH + 0.02, text, fontsize=7, color=FAINT, ha="center", va="top")
        painted = feature.quantized(examples.inputs).cpu()
        for place, (picture, after) in enumerate(zip(examples.inputs, painted, strict=True)):
            left = place % PAIRS * WIDTH / PAIRS
            top = self._swatches(run) + place // PAIRS * row_height(run, SIDE) + LINE
            caption(axes, left, top - 0.03, titles[place])
            put(axes, as_rgb(picture), boxed(picture.shape, left, top, SIDE))
            put(axes, as_rgb(after), boxed(picture.shape, left + SIDE + 0.06, top, SIDE))

    def _swatches(self, run: Run) -> float:
        """Return the height in inches of the colors above the pictures."""
        colors = min(MOST, len(the_part(run, ColorQuantizationConfig)[1].get_buffer("palette")))
        return 1.5 * LINE + -(-colors // SWATCHES) * (HIGH + LINE) + GAP

    def _height(self, run: Run) -> float:
        return self._swatches(run) + -(-len(self.chosen(run)[1]) // PAIRS) * row_height(run, SIDE)


def used(feature: ColorQuantization, inputs: Tensor) -> Tensor:
    """Return the share (K,) of pixels for each color of the palette.

    Each pixel of the pictures `inputs` (N, 3, H, W) counts for the nearest color. The sum of the shares is 1.
    """
    rows, columns = feature.rows, feature.columns
    described = torch.cat([feature.describe(pictures) for _, pictures in feature.prepared(inputs)])
    return of_whole(described.view(len(inputs), -1, len(rows), len(columns)), rows, columns).mean(0).cpu()
