"""Hue, saturation and value: describe a color by an angle, by its distance from grey, and by its brightness."""

import torch
from torch import Tensor


def hsv(pictures: Tensor) -> Tensor:
    """Return the hue, saturation and value of pictures in red, green and blue.

    - The value is the maximum of red, green and blue.
    - The saturation is (max − min)/max. For black it is 0.
    - The hue is an angle, measured in turns: 0 is red, 1/3 is green, 2/3 is blue, and 1 would be red again. For black,
      grey and white it is 0.

    Example: (1, ½, ½) becomes (0, ½, 1), and (0, ½, ½) becomes (½, 1, ½). Source: Smith, "Color gamut transform pairs",
    1978. Python's ``colorsys.rgb_to_hsv`` gives the same result.

    Parameters
    ----------
    pictures
        (B, 3, H, W) floats from 0 to 1.

    Returns
    -------
    Tensor
        (B, 3, H, W) floats from 0 to 1. The hue is always less than 1.
    """
    red, green, blue = pictures.unbind(1)
    value = pictures.amax(1)
    spread = value - pictures.amin(1)
    divisor = torch.where(spread > 0, spread, 1)
    sixths = torch.where(
        red == value,
        (green - blue) / divisor,
        torch.where(green == value, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = torch.where(spread > 0, sixths / 6, 0).remainder_(1)
    hue = torch.where(hue < 1, hue, 0)  # a hue just below 0 may be rounded to a whole turn
    return torch.stack([hue, spread / torch.where(value > 0, value, 1), value], dim=1)
