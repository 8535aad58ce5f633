import numpy as np
import pytest
import torch

from deeprob.features.patches import Edges, Levels, choose, pick

RNG = np.random.default_rng(0)


def photos(count: int = 2, channels: int = 3, size: tuple[int, int] = (9, 11)) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, channels, *size)).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "stride", "grid"), [(3, 1, (7, 9)), (4, 2, (3, 4)), (9, 1, (1, 3)), (1, 5, (2, 3))])
def test_patches_one_by_one(size, stride, grid, channels):
    pictures = photos(channels=channels)
    patches = Levels((channels, 9, 11), size, stride, None)
    assert patches.grid == grid
    assert patches.count == channels * size**2
    expected = [
        [
            picture[:, r * stride : r * stride + size, c * stride : c * stride + size].flatten().tolist()
            for r in range(grid[0])
            for c in range(grid[1])
        ]
        for picture in pictures
    ]
    assert patches(pictures).tolist() == expected


def test_brightness_and_contrast_are_taken_away():
    pictures = torch.tensor([[[[0.0, 2.0], [0.0, 2.0]]]])
    described = Levels((1, 2, 2), 2, 1, 2 / 3)(pictures)  # variance 4/3, and √(4/3 + 2/3) = √2
    torch.testing.assert_close(described, torch.tensor([[[-1.0, 1.0, -1.0, 1.0]]]) / 2**0.5)
    assert Levels((1, 2, 2), 1, 1, 2.0)(pictures).abs().max() == 0  # one pixel has no contrast


def test_contrast_against_numpy():
    pictures = photos()
    rows = Levels((3, 9, 11), 4, 1, None)(pictures).double().numpy()
    expected = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, ddof=1, keepdims=True) + 10)
    np.testing.assert_allclose(Levels((3, 9, 11), 4, 1, 10.0)(pictures).numpy(), expected, atol=1e-5)


def test_patches_of_one_level_are_zero():
    flat = torch.full((1, 3, 8, 8), 77.0)
    assert Levels((3, 8, 8), 4, 1, 10.0)(flat).abs().max() == 0
    assert Edges((3, 8, 8), 8, 1)(flat).abs().max() == 0


def test_edges_run_one_way():
    """A ramp to the right is the same edge everywhere: direction 0 falls between the last bin and the first."""
    ramp = torch.arange(0.0, 48, 3).expand(1, 1, 16, 16).contiguous()
    edges = Edges((1, 16, 16), 8, 1)
    described = edges(ramp)
    assert edges.grid == (9, 9)
    assert described.shape == (1, 81, 128)
    inner = described[0, 4 * 9 + 4].view(8, 16)  # no pixel of it is on the picture's border
    torch.testing.assert_close(inner[[0, 7]], torch.full((2, 16), (1 / 32**0.5) ** 0.5))
    assert inner[1:7].abs().max() == 0


def test_edges_against_hog_cells():
    """A patch's cells are means over its pixels of what HoG's votes are."""
    from deeprob.features.hog import gradients
    from deeprob.features.votes import votes

    pictures = photos(1, 3, (12, 13))
    down, right = gradients(pictures)
    places = torch.atan2(down, right).mul(8 / (2 * torch.pi)).remainder(8)
    planes = votes(places, 8, circular=True, soft=True, weights=torch.hypot(down, right))
    cells = planes[0, :, 2:10, 3:11].unflatten(1, (4, 2)).unflatten(3, (4, 2)).mean((2, 4)).flatten()
    expected = (cells / (cells.square().sum() + 1e-10).sqrt()).sqrt()
    described = Edges((3, 12, 13), 8, 1)(pictures)[0, 2 * 6 + 3]
    torch.testing.assert_close(described, expected, atol=1e-5, rtol=1e-4)


def test_choose_is_in_order_and_without_repeats():
    rng = torch.Generator().manual_seed(0)
    chosen = choose(100, 30, rng).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 30
    assert choose(5, 30, rng).tolist() == [0, 1, 2, 3, 4]


def test_pick_takes_patches_of_each_picture():
    described = torch.arange(24.0).view(2, 6, 2)
    picked = pick(described, 50, torch.Generator().manual_seed(0))
    assert picked.shape == (100, 2)
    assert {tuple(row) for row in picked[:50].tolist()} == {tuple(row) for row in described[0].tolist()}
    assert {tuple(row) for row in picked[50:].tolist()} == {tuple(row) for row in described[1].tolist()}
