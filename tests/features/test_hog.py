import math

import numpy as np
import pytest
import torch
from skimage import feature

from deeprob.errors import UserError
from deeprob.features import HogConfig
from deeprob.features.hog import gradients, normalized_blocks

RNG = np.random.default_rng(0)


def photos(count: int = 5, channels: int = 3, size: tuple[int, int] = (24, 35)) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, channels, *size), dtype=np.uint8))


def slow_hog(picture: np.ndarray, cell: int, directions: int, turn: float, block: int, norm: str) -> np.ndarray:
    """Hard votes for one picture (C, H, W), pixel by pixel, as the paper has it."""
    levels = picture.astype(float)
    _, height, width = levels.shape
    rows, columns = height // cell, width // cell
    cells = np.zeros((rows, columns, directions))
    for y in range(rows * cell):
        for x in range(columns * cell):
            down = levels[:, y + 1, x] - levels[:, y - 1, x] if 0 < y < height - 1 else np.zeros(len(levels))
            right = levels[:, y, x + 1] - levels[:, y, x - 1] if 0 < x < width - 1 else np.zeros(len(levels))
            best = np.argmax(down**2 + right**2)
            angle = math.atan2(down[best], right[best]) % turn
            bin_ = min(int(angle / turn * directions), directions - 1)
            cells[y // cell, x // cell, bin_] += math.hypot(down[best], right[best]) / cell**2
    if norm == "none":
        return cells.ravel()
    blocks = []
    for r in range(rows - block + 1):
        for c in range(columns - block + 1):
            v = cells[r : r + block, c : c + block].ravel()
            v = v / math.sqrt((v**2).sum() + 1e-10)
            if norm == "l2_hys":
                v = np.minimum(v, 0.2)
                v = v / math.sqrt((v**2).sum() + 1e-10)
            blocks.append(v)
    return np.concatenate(blocks)


@pytest.mark.parametrize("norm", ["none", "l2", "l2_hys"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("cell", "block"), [(4, 2), (8, 1), (5, 3)])
def test_hard_votes_pixel_by_pixel(cell, block, signed, norm):
    pictures = photos(2)
    hog = HogConfig(cell=cell, block=block, signed=signed, norm=norm, soft=False, directions=7).build((3, 24, 35))
    turn = 2 * math.pi if signed else math.pi
    expected = [slow_hog(picture.numpy(), cell, 7, turn, block, norm) for picture in pictures]
    extracted = hog.extract(pictures)
    assert extracted.shape == (2, hog.output_count)
    np.testing.assert_allclose(extracted.numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("norm", "theirs"), [("l2", "L2"), ("l2_hys", "L2-Hys")])
@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_parity_with_scikit_image(channels, cell, norm, theirs):
    pictures = photos(channels=channels)
    hog = HogConfig(cell=cell, norm=norm, soft=False).build((channels, 24, 35))
    expected = [
        feature.hog(
            picture.permute(1, 2, 0).numpy(),
            orientations=9,
            pixels_per_cell=(cell, cell),
            cells_per_block=(2, 2),
            block_norm=theirs,
            channel_axis=-1,
        )
        for picture in pictures
    ]
    np.testing.assert_allclose(hog.extract(pictures).numpy(), expected, atol=1e-4)


def test_the_lectures_count():
    hog = HogConfig(cell=8, norm="none").build((3, 240, 320))
    assert hog.output_count == 30 * 40 * 9 == 10_800
    assert hog.extract(torch.zeros(1, 3, 240, 320, dtype=torch.uint8)).shape == (1, 10_800)


@pytest.mark.parametrize(
    ("words", "count"),
    [({}, 7 * 7 * 4 * 9), ({"cell": 8}, 3 * 3 * 4 * 9), ({"norm": "none"}, 8 * 8 * 9), ({"block": 1}, 8 * 8 * 9)],
)
def test_counts(words, count):
    hog = HogConfig(**words).build((3, 32, 32))
    assert hog.output_count == hog.extract(photos(1, size=(32, 32))).shape[1] == count


def test_a_ramp_has_one_direction():
    # 10 levels a pixel to the right: neighbours differ by 20, but at the two borders by 0
    ramp = torch.arange(8).mul(10).to(torch.uint8).expand(1, 1, 8, 8)
    hog = HogConfig(cell=8, norm="none", directions=4, soft=False).build((1, 8, 8))
    assert hog.extract(ramp).tolist() == [[20 * 6 / 8, 0, 0, 0]]
    # downwards is a quarter of a turn, the third of four bins over half a turn
    assert hog.extract(ramp.transpose(2, 3)).tolist() == [[0, 0, 20 * 6 / 8, 0]]


def test_signed_tells_light_to_dark_from_dark_to_light():
    ramp = torch.arange(8).mul(10).to(torch.uint8).expand(1, 1, 8, 8)
    both = torch.cat([ramp, ramp.flip(3)])
    words = {"cell": 8, "norm": "none", "directions": 4, "soft": False}
    unsigned = HogConfig(**words).build((1, 8, 8)).extract(both)
    assert torch.equal(unsigned[0], unsigned[1])
    signed = HogConfig(**words, signed=True).build((1, 8, 8)).extract(both)
    assert signed.tolist() == [[15, 0, 0, 0], [0, 0, 15, 0]]


def test_soft_votes_are_shared_between_directions():
    # 45° is the lower edge of the second of four bins over half a turn, so halfway between two centres
    slope = (torch.arange(9)[:, None] + torch.arange(9)).mul(8).to(torch.uint8).expand(1, 1, 9, 9)
    hog = HogConfig(cell=3, norm="none", directions=4).build((1, 9, 9))
    middle = hog.extract(slope).view(3, 3, 4)[1, 1]
    assert middle[0] == pytest.approx(middle[1].item())
    assert middle[2:].tolist() == [0, 0]
    assert middle.sum() > 0


def test_a_small_turn_is_a_small_change_with_soft_votes_alone():
    angles = torch.tensor([0.33, 0.36])  # on both sides of 20°, the edge between two of nine bins
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    slopes = [0.5 + (torch.cos(a) * (x - 8) + torch.sin(a) * (y - 8)) / 40 for a in angles]
    change = {}
    for soft in (False, True):
        one, two = HogConfig(cell=8, block=1, soft=soft).build((1, 16, 16)).extract(torch.stack(slopes)[:, None])
        change[soft] = (one - two).norm().item()
    assert change[True] < 0.4
    assert change[False] > 2  # each of four cells changes from one bin to the next, by √2


def test_the_channel_that_changes_most_counts():
    pictures = torch.zeros(1, 3, 3, 3)
    pictures[0, 1, :, 2] = 5  # right, in green
    pictures[0, 2, 2, :] = 7  # down, in blue
    down, right = gradients(pictures)
    assert (down[0, 1, 1].item(), right[0, 1, 1].item()) == (7, 0)
    assert (down[0, 0, 1].item(), right[0, 0, 1].item()) == (0, 5)  # at the border nothing changes downwards


@pytest.mark.parametrize("norm", ["none", "l2", "l2_hys"])
@pytest.mark.parametrize("level", [0, 255])
def test_constant_pictures_have_no_edges(level, norm):
    pictures = torch.full((2, 3, 16, 16), level, dtype=torch.uint8)
    assert HogConfig(norm=norm).build((3, 16, 16)).extract(pictures).abs().max() == 0


def test_norms_by_hand():
    histograms = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(normalized_blocks(histograms, 1, "l2"), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(
        normalized_blocks(histograms, 1, "l2_hys"), torch.full((1, 2), 0.5**0.5)
    )  # both cut to 0.2
    assert normalized_blocks(histograms, 1, "none").tolist() == [[3, 4]]


def test_contrast_does_not_matter_with_a_norm():
    dim = photos(size=(16, 16)) // 4
    hog = HogConfig().build((3, 16, 16))
    torch.testing.assert_close(hog.extract(dim), hog.extract(dim * 4))


@pytest.mark.parametrize(
    ("words", "shape", "message"),
    [
        (
            {"cell": 8, "norm": "none"},
            (3, 6, 40),
            r"cell=8 needs pictures of 8×8 pixels or more, not 40×6: lower cell$",
        ),
        ({}, (3, 7, 32), r"cell=4 block=2 needs pictures of 8×8 pixels or more, not 32×7: lower cell or block$"),
        ({}, (2,), r"features=hog needs pictures, not inputs of shape \[2\]"),
    ],
)
def test_too_small(words, shape, message):
    with pytest.raises(UserError, match=message):
        HogConfig(**words).build(shape)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2)])
def test_tiny_pictures(size):
    extracted = HogConfig(cell=1, norm="none").build((3, *size)).extract(photos(size=size))
    assert extracted.isfinite().all()
