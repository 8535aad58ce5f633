"""Films as GIF files, with the colors that all figures share."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from deeprob.figures.style import INK, LEVEL, PALE, PALETTE, UPRIGHT


def gif(pictures: Sequence[tuple[np.ndarray, float]]) -> bytes:
    """Return the bytes of a GIF file that repeats for ever.

    `pictures` holds frames (H, W, 3) of uint8 and their durations in seconds. The file contains each color of the
    style and four paler shades of the color. The shades make edges smooth.
    """
    inks = np.array([to_rgb(ink) for ink in (*PALETTE, INK, UPRIGHT, LEVEL)])
    shades = [1 - step / 5 * (1 - inks) for step in range(1, 6)]
    palette = Image.new("P", (1, 1))
    colors = np.concatenate([np.ones((1, 3)), [to_rgb(PALE)], *shades])
    palette.putpalette((255 * colors).round().astype(int).flatten().tolist())
    first, *others = (
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture, _ in pictures
    )
    file = io.BytesIO()
    durations = [round(1000 * seconds) for _, seconds in pictures]
    first.save(file, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False)
    return file.getvalue()
