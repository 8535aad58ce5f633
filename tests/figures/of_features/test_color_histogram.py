import colorsys

import numpy as np
import pytest
import torch
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure

from deeprob.features import ColorHistogramConfig, ConcatConfig, RawConfig
from deeprob.figures.of_features.color_histogram import INNER, ColorHistogramsConfig, bars, picture_shares, ring
from deeprob.figures.of_features.picture_sheet import sheet
from deeprob.figures.style import png


def collections_of(axes):
    return [child for child in axes.collections if isinstance(child, PatchCollection)]


def two_colors() -> torch.Tensor:
    """A picture (1, 3, 4, 4): three quarters pure green, one quarter pure blue."""
    picture = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    picture[:, 1, :3], picture[:, 2, 3:] = 255, 255
    return picture


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("grid", [1, 3])  # 3 does not divide 4
def test_shares_of_a_picture_by_hand(joint, grid):
    feature = ColorHistogramConfig(bins=6, joint=joint, grid=grid, soft=False).build((3, 4, 4))
    (hue, saturation, value) = picture_shares(feature, two_colors())[0].tolist()
    assert hue == pytest.approx([0, 0, 0.75, 0, 0.25, 0])  # green is 1/3 of a turn, blue 2/3
    assert saturation == value == pytest.approx([0, 0, 0, 0, 0, 1])


def test_shares_are_numpys(photos):
    feature = ColorHistogramConfig(space="rgb", bins=8, grid=2, soft=False).build((3, 16, 24))
    for channels, picture in zip(picture_shares(feature, photos), photos.numpy(), strict=True):
        for shares, channel in zip(channels, picture, strict=True):
            expected = np.histogram(channel / 255, 8, (0, 1))[0] / channel.size
            np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_hues_are_sectors_clockwise_from_above():
    axes = sheet(Figure(), 3.0, "")
    ring(axes, np.array([0.0, 0.5, 0.25, 0.25]), 2.0, 1.0, 0.8)
    _, hues = collections_of(axes)
    inner, below = 0.8 * INNER, 0.8 * (INNER + 1) / 2
    around = [path.get_extents().extents - [2, 1, 2, 1] for path in hues.get_paths()]
    # y is downwards: from the right to below, on to the left, and up again
    expected = [[0, 0, 0.8, 0.8], [-below, 0, 0, below], [-below, -below, 0, 0]]
    np.testing.assert_allclose(around[1:], expected, atol=1e-3)
    np.testing.assert_allclose(around[0], [0, -inner, inner, 0], atol=1e-3)  # no share, no length
    expected = [colorsys.hsv_to_rgb(hue, 0.9, 0.9) for hue in (0.125, 0.375, 0.625, 0.875)]
    np.testing.assert_allclose(hues.get_facecolors()[:, :3], expected)
    assert axes.texts[-1].get_text() == "50"


def test_bars_are_as_high_as_shares():
    axes = sheet(Figure(), 3.0, "")
    bars(axes, np.array([0.2, 0.8]), "value", 1.0, 0.5, 2.0, 1.0)
    (boxes,) = collections_of(axes)
    extents = [path.get_extents().extents.tolist() for path in boxes.get_paths()]
    np.testing.assert_allclose(extents, [[1, 1.25, 2, 1.5], [2, 0.5, 3, 1.5]])
    np.testing.assert_allclose(boxes.get_facecolors()[:, :3], [[0.25] * 3, [0.75] * 3])
    assert axes.texts[-1].get_text() == "80"


def test_each_picture_has_its_histograms(run_on, photos):
    run = run_on(ConcatConfig(parts=["hog", {"name": "color_histogram", "grid": 2}]), photos)
    figure = ColorHistogramsConfig(examples=3).draw(run)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Colour histograms: 8 bins a channel, mean of 2×2 regions"
    texts = [text.get_text() for text in axes.texts]
    assert [texts.count(word) for word in ("cats", "dogs", "hue", "saturation", "value")] == [2, 1, 3, 3, 3]
    assert len(axes.images) == 3
    assert len(collections_of(axes)) == 3 * 4  # a ring is two
    bottom = axes.get_ylim()[0]
    assert all(0 < image.get_extent()[3] < image.get_extent()[2] < bottom for image in axes.images)


def test_red_green_and_blue(run_on, photos):
    run = run_on(ColorHistogramConfig(space="rgb", grid=1, bins=4), photos)
    (axes,) = ColorHistogramsConfig(examples=1).draw(run).axes
    assert axes.get_title(loc="left") == "Colour histograms: 4 bins a channel"
    assert "hue" not in axes.texts[0].get_text()
    red, _, blue = collections_of(axes)
    np.testing.assert_allclose(red.get_facecolors()[:, :3], [[k / 8, 0, 0] for k in (1, 3, 5, 7)])
    np.testing.assert_allclose(blue.get_facecolors()[:, 2], [k / 8 for k in (1, 3, 5, 7)])


def test_it_suits_runs_with_the_feature(run_on, photos):
    config = ColorHistogramsConfig(examples=2)
    assert (
        config.unsuited(run_on(RawConfig(), photos))
        == "needs features=color_histogram, alone, in concat or first in chain"
    )
    run = run_on(ColorHistogramConfig(), photos)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))
