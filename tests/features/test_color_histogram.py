import colorsys

import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import ColorHistogramConfig

RNG = np.random.default_rng(0)


def photos(count: int = 4, size: tuple[int, int] = (9, 14)) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, 3, *size), dtype=np.uint8))


def one_color(*color: int) -> torch.Tensor:
    return torch.tensor(color, dtype=torch.uint8)[None, :, None, None].expand(1, 3, 4, 4)


def counted(colors: np.ndarray, bins: int, joint: bool) -> np.ndarray:
    """NumPy's histograms of colors (P, 3) in [0, 1], as shares."""
    if joint:
        return np.histogramdd(colors, bins, [(0, 1)] * 3)[0].ravel() / len(colors)
    return np.concatenate([np.histogram(channel, bins, (0, 1))[0] for channel in colors.T]) / len(colors)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("space", ["hsv", "rgb"])
def test_against_colorsys_and_numpy(space, joint):
    pictures = photos()
    feature = ColorHistogramConfig(space=space, joint=joint, bins=5, soft=False, grid=1).build((3, 9, 14))
    expected = []
    for picture in pictures:
        colors = picture.flatten(1).T.numpy().astype(np.float32) / np.float32(255)
        if space == "hsv":
            colors = np.array([colorsys.rgb_to_hsv(*map(float, color)) for color in colors])
            # hues at the edge of a bin, and levels that are, may fall on either side
            edges = np.abs(colors * 5 - np.round(colors * 5)) < 1e-5
            edges[:, 1:] &= (colors[:, 1:] > 1e-5) & (colors[:, 1:] < 1 - 1e-5)
        expected.append((counted(colors, 5, joint), edges.sum() if space == "hsv" else 0))
    for histogram, (right, doubtful) in zip(feature.extract(pictures).numpy(), expected, strict=True):
        assert np.abs(histogram - right).sum() * 9 * 14 <= 2 * doubtful + 1e-3


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_a_region_is_a_picture_of_its_own(soft, joint):
    pictures = photos(size=(7, 10))
    words = {"bins": 4, "soft": soft, "joint": joint}
    whole = ColorHistogramConfig(grid=2, **words).build((3, 7, 10)).extract(pictures)
    regions = whole.view(4, -1, 2, 2)
    for row, rows in enumerate((slice(0, 3), slice(3, 7))):
        for column, columns in enumerate((slice(0, 5), slice(5, 10))):
            part = pictures[:, :, rows, columns]
            alone = ColorHistogramConfig(grid=1, **words).build(tuple(part.shape[1:])).extract(part)
            torch.testing.assert_close(regions[:, :, row, column], alone)


@pytest.mark.parametrize(("joint", "count", "total"), [(False, 3 * 6 * 9, 3), (True, 6**3 * 9, 1)])
def test_counts_and_shares(joint, count, total):
    feature = ColorHistogramConfig(bins=6, grid=3, joint=joint).build((3, 9, 14))
    extracted = feature.extract(photos())
    assert extracted.shape == (4, count)
    torch.testing.assert_close(extracted.view(4, -1, 9).sum(1), torch.full((4, 9), float(total)))


def test_hue_is_an_angle():
    words = {"bins": 6, "grid": 1}
    feature = ColorHistogramConfig(**words).build((3, 4, 4))
    reds = torch.cat([one_color(255, 0, 5), one_color(255, 5, 0), one_color(255, 128, 0)])
    before, after, orange = feature.extract(reds)[:, :6]
    assert (before - after).norm() < 0.1  # on both sides of pure red
    assert (before - orange).norm() > 0.5
    # pure red lies halfway between the centres of the last bin and the first
    assert feature.extract(one_color(255, 0, 0))[0, :6].tolist() == [0.5, 0, 0, 0, 0, 0.5]


def test_rgb_ends_are_no_neighbours():
    feature = ColorHistogramConfig(space="rgb", bins=2, grid=1).build((3, 4, 4))
    assert feature.extract(one_color(0, 255, 0)).tolist() == [[1, 0, 0, 1, 1, 0]]


def test_place_does_not_matter_without_a_grid():
    pictures = photos()
    feature = ColorHistogramConfig(grid=1).build((3, 9, 14))
    torch.testing.assert_close(feature.extract(pictures.flip(2).roll(3, 3)), feature.extract(pictures))


def test_a_grid_finer_than_the_pixels():
    with pytest.raises(
        UserError, match="features=color_histogram grid=5: pictures have 14×4 pixels; grid is at most 4"
    ):
        ColorHistogramConfig(grid=5).build((3, 4, 14))
