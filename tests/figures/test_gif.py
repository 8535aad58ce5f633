import io

import numpy as np
from PIL import Image

from deeprob.figures.gif import gif
from deeprob.figures.style import INK, LEVEL, PALETTE, UPRIGHT


def test_the_palette_has_every_ink_as_it_is():
    inks = [tuple(int(ink[i : i + 2], 16) for i in (1, 3, 5)) for ink in (*PALETTE, INK, UPRIGHT, LEVEL, "#ffffff")]
    picture = np.array(inks, dtype=np.uint8)[None].repeat(8, 0)
    with Image.open(io.BytesIO(gif([(picture, 0.1)]))) as film:
        assert np.array_equal(np.asarray(film.convert("RGB")), picture)
