"""Patches are small windows of a picture. A descriptor describes each patch by a row of numbers."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob.features.hog import gradients, length
from deeprob.features.votes import votes


class Descriptor(ABC):
    """Cuts pictures into patches, and describes each patch by D numbers.

    Attributes
    ----------
    count
        D, the number of values that describe a patch.
    grid
        The number of rows of patches in a picture, and the number of columns of patches.
    """

    count: int
    grid: tuple[int, int]

    @abstractmethod
    def __call__(self, pictures: Tensor) -> Tensor:
        """Return D values for each of the P patches of pictures (B, C, H, W), as a tensor (B, P, D).

        Pictures are floats from 0 to 255. Patches are ordered row by row.
        """


class Levels(Descriptor):
    """Describe a patch by its pixels, after differences of brightness and contrast are removed.

    A patch x becomes (x − x̄)/√(var x + contrast), with the unbiased variance. It has D = C·size² numbers. Example:
    with contrast 2, the patch [0, 2] becomes [−½, ½]. If all values of a patch are equal, they become 0. Source:
    Coates, Ng & Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011.

    Parameters
    ----------
    shape
        The shape (C, H, W) of a picture.
    size, stride
        The side of a patch, and the distance from one patch to the next, in pixels.
    contrast
        A number that is added to each variance, so that faint noise does not look like an edge. With None, the values
        stay unchanged.
    """

    def __init__(self, shape: tuple[int, int, int], size: int, stride: int, contrast: float | None) -> None:
        channels, height, width = shape
        self.count = channels * size**2
        self.grid = ((height - size) // stride + 1, (width - size) // stride + 1)
        self.size = size
        self.stride = stride
        self.contrast = contrast

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the descriptions (B, P, C·size²) of patches, each ordered by channel, then by row, then by column."""
        columns = F.unfold(pictures, self.size, stride=self.stride)  # (B, D, P)
        if self.contrast is not None:
            columns -= columns.mean(1, keepdim=True)
            variance = columns.square().sum(1, keepdim=True) / max(1, self.count - 1)
            columns *= (variance + self.contrast).rsqrt_()
        return columns.transpose(1, 2)


class Edges(Descriptor):
    """Describe a patch by a histogram of oriented gradients, with 4 × 4 cells and 8 directions over a whole turn.

    The histogram has 128 numbers. First, it is scaled to length 1. Then, each number is replaced by its square root.

    The source of the histogram is Lowe, "Distinctive image features from scale-invariant keypoints", 2004. Unlike
    there, no keypoints are searched. The source of the square root is Arandjelović & Zisserman, "Three things everyone
    should know to improve object retrieval", 2012. They divide by the sum instead of the length.

    Parameters
    ----------
    shape
        The shape (C, H, W) of a picture.
    size, stride
        The side of a patch, which is a multiple of 4, and the distance from one patch to the next, in pixels.
    """

    cells = 4
    directions = 8

    def __init__(self, shape: tuple[int, int, int], size: int, stride: int) -> None:
        _, height, width = shape
        self.count = self.directions * self.cells**2
        self.grid = ((height - size) // stride + 1, (width - size) // stride + 1)
        self.cell = size // self.cells
        self.stride = stride

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the histograms (B, P, 128) of patches, each ordered by direction, then by row and column of cells."""
        down, right = gradients(pictures)
        places = torch.atan2(down, right).mul_(self.directions / (2 * torch.pi)).remainder_(self.directions)
        strength = right.square_().add_(down.square_()).sqrt_()
        planes = votes(places, self.directions, circular=True, soft=True, weights=strength)
        means = F.avg_pool2d(planes, self.cell, stride=1)
        columns = F.unfold(means, self.cells, dilation=self.cell, stride=self.stride)
        described = columns.transpose(1, 2)
        return (described / length(described)).sqrt_()


def choose(count: int, picked: int, rng: torch.Generator) -> Tensor:
    """Draw `picked` of `count` examples at random, and return the sorted positions of the drawn examples.

    If `picked` is larger than `count`, all examples are drawn.
    """
    return torch.randperm(count, generator=rng)[:picked].sort().values


def pick(described: Tensor, share: int, rng: torch.Generator) -> Tensor:
    """Draw `share` patches of each picture (B, P, D) with replacement, and return them as one tensor (B·share, D).

    The random numbers come from the CPU, so they are the same on every device.
    """
    count, patches, numbers = described.shape
    places = torch.randint(patches, (count, share, 1), generator=rng).to(described.device)
    return described.gather(1, places.expand(-1, -1, numbers)).flatten(0, 1)
