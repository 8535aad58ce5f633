"""Random flips and shifts of pictures, computed on the device of the batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob import randomness
from deeprob.config import number
from deeprob.data.base import DatasetConfig


@dataclass(frozen=True)
class Augmentation:
    """A random flip and a random shift of each picture, drawn anew in each update.

    Attributes
    ----------
    flip
        Whether each picture is mirrored left to right with probability ½.
    crop
        The largest shift in each direction, in pixels. Pixels from outside the picture are black. This is the same as
        adding a black frame of `crop` pixels, and then cutting out a window of the original size at random.
    """

    flip: bool
    crop: int

    def __call__(self, pictures: Tensor, key: Tensor) -> Tensor:
        """Flip and shift pictures (B, C, H, W) at random; the same `key` always gives the same flips and shifts."""
        count, channels, height, width = pictures.shape
        words = randomness.bits(key, count)[:, None]
        shifts = 2 * self.crop + 1
        rows = torch.arange(height, device=key.device) + (words >> 1 & 0xFFFF) % shifts
        columns = torch.arange(width, device=key.device) + (words >> 17 & 0xFFFF) % shifts
        if self.flip:
            columns = torch.where((words & 1).bool(), columns.flip(1), columns)
        framed = F.pad(pictures, (self.crop,) * 4)
        pixels = (rows[:, :, None] * framed.shape[3] + columns[:, None, :]).view(count, 1, -1)
        return framed.flatten(2).gather(2, pixels.expand(-1, channels, -1)).view(pictures.shape)


@dataclass(kw_only=True, slots=True)
class PicturesConfig(DatasetConfig):
    """Fields of every dataset of pictures. They describe the random changes of training pictures.

    Attributes
    ----------
    flip
        Whether each training picture is mirrored left to right with probability ½, drawn anew in each update.
    crop
        The largest random shift of a training picture in each direction, in pixels. The shift is drawn anew in each
        update. Pixels from outside the picture are black.
    """

    flip: bool = False
    crop: int = number(0, minimum=0, maximum=1024)

    def augmentation(self) -> Augmentation | None:
        """Return the augmentation of training pictures, or None if flip and crop are off."""
        return Augmentation(self.flip, self.crop) if self.noise_sources() else None

    def noise_sources(self) -> list[str]:
        """Return the settings that switch the augmentation off, such as ``["dataset.flip=false"]``."""
        return ["dataset.flip=false"] * self.flip + ["dataset.crop=0"] * (self.crop > 0)
