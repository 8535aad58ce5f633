"""Color quantization: learn a palette of a few colors, and measure each color's share of a picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.config import number, register
from deeprob.features.kmeans import kmeans, nearest
from deeprob.features.picture_features import PictureFeatures, PictureFeaturesConfig
from deeprob.features.votes import pooled, regions

_PICTURES = 2048
_PIXELS = 2**16
"""A palette is learned from about `_PIXELS` random pixels of at most `_PICTURES` random training pictures."""


@register("features", "color_quantization")
@dataclass(kw_only=True, slots=True)
class ColorQuantizationConfig(PictureFeaturesConfig):
    """Color quantization: replace each pixel by the nearest color of a palette, and measure the share of each color.

    Attributes
    ----------
    colors
        The number of colors in the palette.
    grid
        The number of regions along each side of a picture. Colors are counted in each region. With 1, the region is
        the whole picture.
    seed
        The seed of all random draws while the palette is learned.
    """

    colors: int = number(16, minimum=2, maximum=4096)
    grid: int = number(4, minimum=1)
    seed: int = number(0, minimum=0)

    def build(self, input_shape: tuple[int, ...]) -> "ColorQuantization":
        """Return the feature. Its palette is not learned yet.

        Raises
        ------
        UserError
            If inputs are not pictures in color, or have fewer pixels along a side than `grid`.
        """
        _, height, width = self.shape(input_shape, color=True)
        self.check_grid(self.grid, height, width)
        return ColorQuantization(
            (height, width), self.standardize, self.before, colors=self.colors, grid=self.grid, seed=self.seed
        )


class ColorQuantization(PictureFeatures):
    """Replace each pixel by the nearest color of a palette, and measure each color's share in each region.

    The function `kmeans` finds the palette. With K colors and a grid of g × g regions, a picture has K·g² features.
    Source: Heckbert, "Color image quantization for frame buffer display", 1982, who finds the palette in another way.

    Parameters
    ----------
    size
        The size (H, W) of a picture.
    standardize, before
        See `PictureFeatures`.
    colors, grid, seed
        See `ColorQuantizationConfig`.
    """

    palette: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(
        self, size: tuple[int, int], standardize: str, before: list[str], *, colors: int, grid: int, seed: int
    ) -> None:
        height, width = size
        super().__init__((colors * grid**2,), standardize, before, (2 * colors + 6) * height * width)
        self.seed = seed
        self.register_buffer("palette", torch.zeros(colors, 3))
        self.register_buffer("rows", regions(height, grid), persistent=False)
        self.register_buffer("columns", regions(width, grid), persistent=False)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Learn the palette from training pictures (N, 3, H, W), and return the features of these pictures."""
        rng = randomness.generator(self.seed, "palette")
        sample = inputs[torch.randperm(len(inputs), generator=rng)[:_PICTURES].sort().values.to(inputs.device)]
        share = -(-_PIXELS // len(sample))  # number of pixels drawn from each picture, with replacement
        pixels = []
        for _, pictures in self.prepared(sample):
            places = torch.randint(pictures[0, 0].numel(), (len(pictures), 1, share), generator=rng)
            flat = pictures.flatten(2).cpu()  # a CPU adds in a fixed order, so the same pictures give the same palette
            pixels.append(flat.gather(2, places.expand(-1, 3, -1)).transpose(1, 2).flatten(0, 1))
        self.palette.copy_(kmeans(torch.cat(pixels), len(self.palette), rng))
        return super().fit(inputs, weights)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return features (B, K·g²) of pictures (B, 3, H, W), ordered by color, then by region."""
        numbers = torch.arange(len(self.palette), device=pictures.device)
        planes = (self._nearest(pictures)[:, None] == numbers[:, None, None]).to(pictures.dtype)
        return pooled(planes, self.rows, self.columns).flatten(1)

    def quantized(self, inputs: Tensor) -> Tensor:
        """Replace each pixel by the nearest color of the palette, and return the pictures (N, 3, H, W) as uint8."""
        colors = self.palette.round().to(torch.uint8)
        parts = [colors[self._nearest(pictures)].permute(0, 3, 1, 2) for _, pictures in self.prepared(inputs)]
        return torch.cat(parts)

    def _nearest(self, pictures: Tensor) -> Tensor:
        """Find the color of the palette nearest to each pixel; return its position (B, H, W) as int64."""
        pixels = pictures.movedim(1, -1)
        return nearest(pixels.flatten(0, 2), self.palette).view(pixels.shape[:3])
