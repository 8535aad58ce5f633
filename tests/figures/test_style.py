import itertools
import struct

import numpy as np
from matplotlib.colors import to_rgb

from deeprob.figures.style import DIVERGING, PALETTE, SEQUENTIAL, drawn, palette_color, png


def seen(hexadecimal: str, matrix: np.ndarray) -> np.ndarray:
    """A color as an eye without one kind of cones sees it, in the L*a*b* space, where distance is difference."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(hexadecimal)])
    x, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ (
        matrix @ linear
    ).clip(0, 1)
    f = [np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x / 0.9505, y, z / 1.089)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Viénot, Brettel & Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats", 1999
EYES = {
    "all cones": np.eye(3),
    "no red cones": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "no green cones": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


def test_the_first_classes_are_told_apart_by_all_eyes():
    for matrix in EYES.values():
        for one, other in itertools.combinations(PALETTE[:6], 2):
            assert np.linalg.norm(seen(one, matrix) - seen(other, matrix)) > 11, (one, other)


def test_ten_classes_have_ten_colors_and_more_begin_again():
    assert len(set(PALETTE)) == 10
    assert palette_color(0) == palette_color(10) == PALETTE[0]


def test_zero_is_white():
    np.testing.assert_allclose(DIVERGING(0.5)[:3], 1, atol=0.01)
    np.testing.assert_allclose(SEQUENTIAL(0.0)[:3], 1, atol=0.01)


def test_png_has_the_size_asked_for():
    figure = drawn((3, 2), lambda canvas: canvas.subplots().plot([0, 1]))
    assert struct.unpack(">II", png(figure, dpi=100)[16:24]) == (300, 200)
    assert png(figure) == png(figure)
