import colorsys

import numpy as np
import torch

from deeprob.features.hsv import hsv


def converted(colors: np.ndarray) -> np.ndarray:
    """Return hue, saturation and value (N, 3) of colors (N, 3)."""
    pictures = torch.from_numpy(colors).T[None, :, None]  # one picture of one row
    return hsv(pictures)[0, :, 0].T.numpy()


def test_by_hand():
    colors = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0.5, 0.5], [0, 0.5, 0.5], [1, 1, 0], [0.3, 0.3, 0.3], [0, 0, 0]]
    expected = [[0, 1, 1], [1 / 3, 1, 1], [2 / 3, 1, 1], [0, 0.5, 1], [0.5, 1, 0.5], [1 / 6, 1, 1], [0, 0, 0.3]]
    np.testing.assert_allclose(converted(np.array(colors)), [*expected, [0, 0, 0]], atol=1e-12)


def test_every_shade_of_a_coarse_cube_is_colorsys_own():
    levels = np.linspace(0, 1, 18)
    colors = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    expected = [colorsys.rgb_to_hsv(*color) for color in colors]
    np.testing.assert_allclose(converted(colors), expected, atol=1e-12)


def test_real_levels_in_single_precision():
    colors = np.random.default_rng(0).integers(0, 256, (3000, 3)) / 255
    measured = converted(colors.astype(np.float32))
    np.testing.assert_allclose(measured, [colorsys.rgb_to_hsv(*color) for color in colors], atol=1e-6)


def test_a_red_just_before_the_whole_turn_has_a_hue_below_1():
    hue = converted(np.array([[1, 0, 1e-9], [1, 0, 1e-3]], dtype=np.float32))[:, 0]
    assert (hue < 1).all()
    assert hue[1] > 0.999


def test_shape_and_type_stay():
    pictures = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    assert hsv(pictures).shape == pictures.shape
    assert hsv(pictures).dtype == torch.float64
