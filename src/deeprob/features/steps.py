"""Steps that pictures may go through before a feature: ``features.before=[equalize,grayscale]``."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def equalize(pictures: Tensor) -> Tensor:
    """Spread the levels of each channel of each picture evenly from 0 to 255 (histogram equalization).

    A level becomes the share of pixels below it, times 255 and rounded. If c of n pixels have a lower level, and m have
    the highest level that occurs, the level becomes ⌊(c + ⌊s/2⌋)/s⌋ with s = ⌊(n − m)/255⌋. If s = 0 (a single level
    alone, or fewer than 256 pixels), a channel stays unchanged. Pillow and torchvision use the same definition.

    Parameters
    ----------
    pictures
        (B, C, H, W) uint8, or floats in [0, 1], which are cut into 256 levels first.

    Returns
    -------
    Tensor
        Of the same shape and type.
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


_LUMA = (0.299, 0.587, 0.114)


def grayscale(pictures: Tensor) -> Tensor:
    """Return the brightness (B, 1, H, W) of pictures (B, 3, H, W): 0.299 R + 0.587 G + 0.114 B, of the same type.

    The weights are those of ITU-R BT.601, which Pillow uses too; uint8 results are rounded. If pictures do not have 3
    channels, the result is the mean of their channels.
    """
    channels = pictures.shape[1]
    weights = torch.tensor(_LUMA if channels == 3 else [1 / channels] * channels, device=pictures.device)
    if pictures.is_floating_point():
        return torch.einsum("bchw,c->bhw", pictures, weights.to(pictures.dtype)).unsqueeze(1)
    return torch.einsum("bchw,c->bhw", pictures.float(), weights).round_().unsqueeze(1).to(pictures.dtype)


STEPS: dict[str, Callable[[Tensor], Tensor]] = {"equalize": equalize, "grayscale": grayscale}


def shape_after(steps: Sequence[str], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) after some steps of pictures that have `shape` before."""
    channels, height, width = shape
    return 1 if "grayscale" in steps else channels, height, width
