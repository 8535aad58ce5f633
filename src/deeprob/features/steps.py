"""Steps that change pictures before features are computed: ``features.before=[equalize,grayscale]``."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def equalize(pictures: Tensor) -> Tensor:
    """Spread the levels of each channel of each picture evenly from 0 to 255 (histogram equalization).

    The new level of a pixel is the share of pixels with a lower level, times 255 and rounded. In detail: if a channel
    has n pixels, c pixels have a lower level, and m pixels have the highest level that occurs, then the new level is
    ⌊(c + ⌊s/2⌋)/s⌋ with s = ⌊(n − m)/255⌋. If s = 0, the channel stays unchanged; for example, if all its levels are
    equal, or it has fewer than 256 pixels. Pillow and torchvision use the same definition.

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


_LUMA = (0.299, 0.587, 0.114)


def grayscale(pictures: Tensor) -> Tensor:
    """Return the brightness 0.299 R + 0.587 G + 0.114 B (B, 1, H, W) of pictures (B, 3, H, W), in the same dtype.

    The weights come from ITU-R BT.601; Pillow uses them too. If the dtype is uint8, the result is rounded. If pictures
    do not have 3 channels, the result is the mean of their channels.
    """
    channels = pictures.shape[1]
    weights = torch.tensor(_LUMA if channels == 3 else [1 / channels] * channels, device=pictures.device)
    if pictures.is_floating_point():
        return torch.einsum("bchw,c->bhw", pictures, weights.to(pictures.dtype)).unsqueeze(1)
    return torch.einsum("bchw,c->bhw", pictures.float(), weights).round_().unsqueeze(1).to(pictures.dtype)


STEPS: dict[str, Callable[[Tensor], Tensor]] = {"equalize": equalize, "grayscale": grayscale}


def shape_after(steps: Sequence[str], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) that pictures of shape `shape` have after `steps`."""
    channels, height, width = shape
    return 1 if "grayscale" in steps else channels, height, width
