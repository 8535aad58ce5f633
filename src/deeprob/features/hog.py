"""Histograms of oriented gradients: the directions and the strengths of edges in each cell of a picture."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import choice, number, register
from deeprob.errors import UserError
from deeprob.features.picture_features import PictureFeatures, PictureFeaturesConfig
from deeprob.features.votes import cells, pooled, votes

NORMS = ("none", "l2", "l2_hys")
_EPSILON = 1e-5  # as in scikit-image; here for levels from 0 to 255
_CLIP = 0.2


@register("features", "hog")
@dataclass(kw_only=True, slots=True)
class HogConfig(PictureFeaturesConfig):
    """Histograms of oriented gradients (HoG): the directions of edges in cells of pixels.

    Attributes
    ----------
    cell
        The side of a cell, in pixels.
    directions
        The number of directions, which are the bins of a cell's histogram.
    signed
        Whether an edge from dark to light differs from an edge from light to dark. If true, the bins cover a whole
        turn. If false, they cover half a turn.
    soft
        Whether a pixel counts for several neighbouring directions and cells, by linear interpolation. If false, it
        counts for one direction and one cell only.
    norm
        The normalisation of each block of cells, which makes features independent of contrast. ``l2`` divides a block
        by its length √(Σv²). ``l2_hys`` does the same, then replaces numbers above 0.2 by 0.2, and divides by the
        length again. ``none`` does not normalise.
    block
        The side of a block, in cells. Blocks overlap, so a cell is in several blocks. With norm=none there are no
        blocks.
    """

    cell: int = number(4, minimum=1)
    directions: int = number(9, minimum=2)
    signed: bool = False
    soft: bool = True
    norm: str = choice("l2", among=NORMS)
    block: int = number(2, minimum=1)

    def build(self, input_shape: tuple[int, ...]) -> "Hog":
        """Return the feature.

        Raises
        ------
        UserError
            If inputs are not pictures, or are too small for one cell or block.
        """
        channels, height, width = self.shape(input_shape)
        in_blocks = self.norm != "none"
        needed = self.cell * (self.block if in_blocks else 1)
        if min(height, width) < needed:
            keys = f"cell={self.cell}" + f" block={self.block}" * in_blocks
            raise UserError(
                f"features=hog {keys} needs pictures of {needed}×{needed} pixels or more, not {width}×{height}: "
                f"lower cell{' or block' * in_blocks}"
            )
        return Hog(
            (channels, height, width),
            self.standardize,
            self.before,
            cell=self.cell,
            directions=self.directions,
            signed=self.signed,
            soft=self.soft,
            norm=self.norm,
            block=self.block,
        )


class Hog(PictureFeatures):
    """Describe a picture by histograms of gradient directions, one histogram for each cell of pixels.

    Each pixel votes for the direction of its gradient, with the length of the gradient as its weight. The histogram of
    a cell is the mean of the votes of its pixels. Neighbouring cells are joined into blocks, and each block is
    normalised.

    A picture has R × C cells, and each histogram has d directions. With norm ``none``, there are R·C·d features. With
    blocks of b × b cells, there are (R − b + 1)(C − b + 1)·b²·d features. Example: 2 × 3 cells with 9 directions give
    54 features. With blocks of 2 × 2 cells, they give 72 features. With ``soft=False`` and ``signed=False``, the result
    is the same as that of scikit-image's ``hog``. Source: Dalal & Triggs, "Histograms of oriented gradients for human
    detection", 2005.

    Parameters
    ----------
    shape
        The shape (C, H, W) of a picture.
    standardize, before
        See `PictureFeatures`.
    cell, directions, signed, soft, norm, block
        See `HogConfig`.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        standardize: str,
        before: list[str],
        *,
        cell: int,
        directions: int,
        signed: bool,
        soft: bool,
        norm: str,
        block: int,
    ) -> None:
        channels, height, width = shape
        grid = (height // cell, width // cell)
        block = 1 if norm == "none" else block
        count = math.prod(side - block + 1 for side in grid) * block**2 * directions
        super().__init__((count,), standardize, before, (directions + 3 * channels) * height * width + 2 * count)
        self.directions = directions
        self.signed = signed
        self.soft = soft
        self.norm = norm
        self.block = block
        self.register_buffer("rows", cells(height, cell, soft=soft), persistent=False)
        self.register_buffer("columns", cells(width, cell, soft=soft), persistent=False)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return the features (B, D) of pictures (B, C, H, W).

        They are ordered by block (row by row), then by cell in the block (row by row), then by direction.
        """
        return normalized_blocks(self.histograms(pictures), self.block, self.norm)

    def histograms(self, pictures: Tensor) -> Tensor:
        """Return the histograms (B, d, R, C) of all cells of pictures (B, C, H, W), without normalisation."""
        down, right = gradients(pictures)
        turn = 2 * math.pi if self.signed else math.pi
        places = torch.atan2(down, right).mul_(self.directions / turn).remainder_(self.directions)
        strength = right.square_().add_(down.square_()).sqrt_()
        planes = votes(places, self.directions, circular=True, soft=self.soft, weights=strength)
        return pooled(planes, self.rows, self.columns)


def gradients(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vertical and the horizontal gradient of a picture at each pixel.

    The vertical gradient is the lower neighbour of the pixel minus the upper neighbour. The horizontal gradient is the
    right neighbour minus the left neighbour. At the border, where a neighbour is missing, this gradient is 0. For each
    pixel, only the channel with the longest gradient is used. If the gradients of several channels are equally long,
    the first of these channels is used.

    Parameters
    ----------
    pictures
        (B, C, H, W) floats.

    Returns
    -------
    tuple of Tensor
        First, the vertical gradients (B, H, W), which are positive where the picture becomes brighter downwards.
        Second, the horizontal gradients (B, H, W), which are positive where it becomes brighter to the right.
    """
    down, right = torch.zeros_like(pictures), torch.zeros_like(pictures)
    torch.sub(pictures[:, :, 2:], pictures[:, :, :-2], out=down[:, :, 1:-1])
    torch.sub(pictures[..., 2:], pictures[..., :-2], out=right[..., 1:-1])
    squares = torch.addcmul(down.square(), right, right)
    best_down, best_right, best = down[:, 0], right[:, 0], squares[:, 0]
    for channel in range(1, pictures.shape[1]):
        more = squares[:, channel] > best
        best_down = torch.where(more, down[:, channel], best_down)
        best_right = torch.where(more, right[:, channel], best_right)
        best = torch.maximum(squares[:, channel], best)
    return best_down, best_right


def normalized_blocks(histograms: Tensor, block: int, norm: str) -> Tensor:
    """Join the histograms (B, d, R, C) of cells into blocks, normalise each block, and return all numbers (B, D).

    Parameters
    ----------
    histograms
        (B, d, R, C), with d directions and R × C cells.
    block
        The side of a block, in cells.
    norm
        See `HogConfig`. A block without edges stays 0, because its length is computed as √(Σv² + ε²) with ε = 10⁻⁵.
    """
    blocks = histograms.unfold(2, block, 1).unfold(3, block, 1)  # (B, d, rows, columns, block, block)
    blocks = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3)
    if norm != "none":
        blocks = blocks / length(blocks)
    if norm == "l2_hys":
        blocks = blocks.clamp_(max=_CLIP)
        blocks = blocks / length(blocks)
    return blocks.flatten(1)


def length(vectors: Tensor) -> Tensor:
    """Return the lengths √(Σv² + ε²) of vectors (…, D) as a tensor (…, 1), with ε = 10⁻⁵."""
    return vectors.square().sum(-1, keepdim=True).add_(_EPSILON**2).sqrt_()
