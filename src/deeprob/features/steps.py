"""Steps that change pictures before features are computed: ``features.before=[equalize,grayscale]``."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def equalize(pictures: Tensor) -> Tensor:
    """Spread the levels in each channel over the range from 0 to 255 (histogram equalization).

    A level is the value of a pixel in one channel. The new level of a pixel is about 255 times the share of pixels with
    a lower level. The exact formula is the same as in Pillow and torchvision: ⌊(c + ⌊s/2⌋)/s⌋ with s = ⌊(n − m)/255⌋,
    where

    - n is the number of pixels in the channel,
    - m is the number of pixels that have the highest level in the channel,
    - c is the number of pixels with a level below the pixel's old level.

    If s = 0, the channel stays unchanged. This happens if all its levels are equal, or if it has fewer than 256 pixels.

    Parameters
    ----------
    pictures
        (B, C, H, W) uint8, or floats in [0, 1]. Floats are first converted to 256 levels.

    Returns
    -------
    Tensor
        Pictures of the same shape and dtype.
    """
    if pictures.is_floating_point():
        whole = pictures.mul(256 - 1e-3).to(torch.uint8)  # torchvision converts floats to levels in the same way
        return equalize(whole).to(pictures.dtype).div_(255)
    channels = pictures.flatten(2).flatten(0, 1).long()  # (B·C, H·W)
    first = torch.arange(len(channels), device=pictures.device)[:, None] * 256
    counts = torch.bincount((channels + first).flatten(), minlength=256 * len(channels)).view(-1, 256)
    highest = counts.gather(1, channels.amax(1, keepdim=True))
    step = (channels.shape[1] - highest) // 255
    divisor = step.clamp(min=1)
    becomes = ((counts.cumsum(1) - counts + divisor // 2) // divisor).clamp_(max=255)
    becomes = torch.where(step > 0, becomes, torch.arange(256, device=pictures.device))
    return becomes.to(torch.uint8).gather(1, channels).view(pictures.shape)


LUMA = (0.299, 0.587, 0.114)


def grayscale(pictures: Tensor) -> Tensor:
    """Return the brightness (B, 1, H, W) of pictures (B, C, H, W), in the same dtype.

    With 3 channels, the brightness is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, also used by Pillow). With another
    number of channels, the brightness is the mean of the channels. If the dtype is uint8, the result is rounded.
    """
    channels = pictures.shape[1]
    weights = torch.tensor(LUMA if channels == 3 else [1 / channels] * channels, device=pictures.device)
    if pictures.is_floating_point():
        return torch.einsum("bchw,c->bhw", pictures, weights.to(pictures.dtype)).unsqueeze(1)
    exact = torch.einsum("bchw,c->bhw", pictures.double(), weights.double())  # in float32, halves would round by chance
    return exact.round_().unsqueeze(1).to(pictures.dtype)


STEPS: dict[str, Callable[[Tensor], Tensor]] = {"equalize": equalize, "grayscale": grayscale}


def shape_after(steps: Sequence[str], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of pictures after `steps`. Before the steps, it is `shape`."""
    channels, height, width = shape
    return 1 if "grayscale" in steps else channels, height, width
