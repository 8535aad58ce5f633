"""Color histograms: the share of each color among the pixels of a picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import choice, number, register
from deeprob.features.hsv import hsv
from deeprob.features.picture_features import PictureFeatures, PictureFeaturesConfig
from deeprob.features.votes import pooled, regions, votes

SPACES = ("hsv", "rgb")


@register("features", "color_histogram")
@dataclass(kw_only=True, slots=True)
class ColorHistogramConfig(PictureFeaturesConfig):
    """Color histograms: the range of colors is divided into bins, and the share of pixels in each bin is measured.

    Attributes
    ----------
    space
        The color space. ``hsv`` is hue, saturation and value; hue is an angle, so its last bin is next to its first.
    bins
        The number of bins of each channel.
    joint
        Whether one histogram with bins³ bins counts the combinations of the three channels. If false, there is one
        histogram for each channel.
    soft
        Whether a pixel between the centres of two bins counts for both bins, and more for the nearer bin.
    grid
        The number of regions along each side of a picture. Each region has a histogram. With 1, the region is the
        whole picture.
    """

    space: str = choice("hsv", among=SPACES)
    bins: int = number(8, minimum=2, maximum=256)
    joint: bool = False
    soft: bool = True
    grid: int = number(4, minimum=1)

    def build(self, input_shape: tuple[int, ...]) -> "ColorHistogram":
        """Return the feature.

        Raises
        ------
        UserError
            If inputs are not pictures in color, or have fewer pixels along a side than `grid`.
        """
        _, height, width = self.shape(input_shape, color=True)
        self.check_grid(self.grid, height, width)
        return ColorHistogram(
            (height, width),
            self.standardize,
            self.before,
            space=self.space,
            bins=self.bins,
            joint=self.joint,
            soft=self.soft,
            grid=self.grid,
        )


class ColorHistogram(PictureFeatures):
    """Describe each region of a picture by a histogram: the share of pixels in each bin of colors.

    The range of each channel is divided into b bins of equal width, from [0, 1/b) to [1 − 1/b, 1]. With a grid of g × g
    regions, a picture has 3·b·g² features, or b³·g² features with ``joint=True``. Source: Swain & Ballard, "Color
    indexing", 1991.

    Parameters
    ----------
    size
        The size (H, W) of a picture.
    standardize, before
        See `PictureFeatures`.
    space, bins, joint, soft, grid
        See `ColorHistogramConfig`.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        standardize: str,
        before: list[str],
        *,
        space: str,
        bins: int,
        joint: bool,
        soft: bool,
        grid: int,
    ) -> None:
        height, width = size
        count = grid**2 * (bins**3 if joint else 3 * bins)
        planes = bins**2 + 3 * bins if joint else 3 * bins
        super().__init__((count,), standardize, before, (planes + 12) * height * width + count)
        self.space = space
        self.bins = bins
        self.joint = joint
        self.soft = soft
        self.register_buffer("rows", regions(height, grid), persistent=False)
        self.register_buffer("columns", regions(width, grid), persistent=False)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return the features (B, D) of pictures (B, 3, H, W).

        They are ordered by channel, then by bin, then by region. With ``joint=True``, they are ordered by bin, then by
        region.
        """
        colors = pictures / 255
        if self.space == "hsv":
            colors = hsv(colors)
        channels = [
            votes(channel, self.bins, circular=self.space == "hsv" and position == 0, soft=self.soft)
            for position, channel in enumerate((colors * self.bins).unbind(1))
        ]
        if not self.joint:
            return torch.cat([pooled(channel, self.rows, self.columns) for channel in channels], 1).flatten(1)
        first, second, third = channels
        pairs = (second[:, :, None] * third[:, None]).flatten(1, 2)
        grid = [self._joint(first, pairs, row, column) for row in self.rows for column in self.columns]
        return torch.stack(grid, -1).flatten(1)

    @staticmethod
    def _joint(first: Tensor, pairs: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return the shares (B, b, b²) of the pixels of one region in each combination of bins.

        A row or a column belongs to the region if its weight in `row` (H,) or `column` (W,) is not 0.
        """
        inside = row.nonzero(), column.nonzero().flatten()
        one, two = (planes[:, :, inside[0], inside[1]].flatten(2) for planes in (first, pairs))
        return one @ two.transpose(1, 2) / one.shape[2]
