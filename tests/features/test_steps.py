import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as v2

from deeprob.features.steps import equalize, grayscale, shape_after

RNG = np.random.default_rng(0)


def photos(count: int = 6, low: int = 40, high: int = 120, size: tuple[int, int] = (24, 31)) -> torch.Tensor:
    """Pictures without contrast, some with few levels."""
    pictures = torch.from_numpy(RNG.integers(low, high, (count, 3, *size), dtype=np.uint8))
    pictures[0] = pictures[0] // 32 * 32
    return pictures


def as_image(picture: torch.Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


def test_equalize_is_torchvisions():
    pictures = photos()
    assert torch.equal(equalize(pictures), v2.equalize(pictures))


def test_equalize_is_pillows():
    pictures = photos()
    expected = [np.asarray(ImageOps.equalize(as_image(picture))) for picture in pictures]
    np.testing.assert_array_equal(equalize(pictures).permute(0, 2, 3, 1).numpy(), expected)


def test_equalize_floats_as_torchvision_does():
    pictures = torch.from_numpy(RNG.random((4, 3, 20, 20), dtype=np.float32))
    equalized = equalize(pictures)
    assert equalized.dtype == torch.float32
    torch.testing.assert_close(equalized, v2.equalize(pictures))


def test_equalize_by_hand():
    # 512 pixels: 128 of level 3, 256 of 5, 128 of 9; s = ⌊(512 − 128)/255⌋ = 1, so 3 → 0, 5 → 128, 9 → min(384, 255)
    row = torch.tensor([3] * 128 + [5] * 256 + [9] * 128, dtype=torch.uint8).view(1, 1, 16, 32)
    assert equalize(row).unique().tolist() == [0, 128, 255]


@pytest.mark.parametrize("shape", [(2, 3, 20, 20), (2, 1, 3, 4), (1, 3, 1, 1)])
def test_constant_and_tiny_pictures_stay(shape):
    constant = torch.full(shape, 77, dtype=torch.uint8)
    assert torch.equal(equalize(constant), constant)


def test_a_channel_is_equalized_on_its_own():
    pictures = photos()
    assert torch.equal(equalize(pictures)[:, 1:2], equalize(pictures[:, 1:2]))


def test_grayscale_is_pillows():
    pictures = photos(low=0, high=256)
    expected = [np.asarray(as_image(picture).convert("L")) for picture in pictures]
    np.testing.assert_allclose(grayscale(pictures)[:, 0].numpy().astype(int), expected, atol=1)


def test_grayscale_by_hand():
    colors = torch.tensor([[200, 100, 50], [255, 255, 255], [0, 0, 0]], dtype=torch.uint8)[:, :, None, None]
    assert grayscale(colors).flatten().tolist() == [124, 255, 0]  # 59.8 + 58.7 + 5.7 = 124.2
    torch.testing.assert_close(grayscale(colors / 255).flatten()[:1], torch.tensor([124.2 / 255]))


def test_grayscale_rounds_alike_in_pictures_of_any_size():
    """In float32, a brightness near a half would round up or down by the size of the picture."""
    pictures = torch.randint(0, 256, (100, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    weights = np.array([0.299, 0.587, 0.114], np.float32).astype(float)
    expected = np.rint((pictures.numpy() * weights[:, None, None]).sum(1))
    assert (grayscale(pictures)[:, 0].numpy() == expected).all()


def test_grayscale_of_one_channel_is_itself():
    pictures = photos()[:, :1]
    assert torch.equal(grayscale(pictures), pictures)


def test_shapes():
    assert shape_after([], (3, 4, 5)) == (3, 4, 5)
    assert shape_after(["equalize", "grayscale"], (3, 4, 5)) == (1, 4, 5)
    assert grayscale(torch.zeros(2, 3, 4, 5)).shape == (2, 1, 4, 5)
