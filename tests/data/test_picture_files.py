import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeprob.data import picture_files
from deeprob.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.png"


def draw(path: Path, height: int, width: int) -> np.ndarray:
    """Write a random picture without loss and return its pixels (3, H, W)."""
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels.transpose(2, 0, 1)


def decode(path: Path, size: int | None = None) -> np.ndarray:
    _, picture = picture_files.decode(path, size)
    return picture


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        decode(path)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_pixels_come_as_they_are(path):
    pixels = draw(path, 4, 6)
    got = decode(path)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, pixels)


def test_a_file_is_known_by_its_bytes(path):
    draw(path, 2, 2)
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    assert picture_files.decode(path, None)[0] == digest
    assert picture_files.decode(path, None, digest) == (digest, None)
    path.write_bytes(path.read_bytes() + b"x")
    assert picture_files.decode(path, None, digest)[1] is not None


# ---------------------------------------------------------------- decoding


def saved(path: Path, image: Image.Image, **options: object) -> np.ndarray:
    image.save(path, **options)
    return decode(path)


def test_a_grey_picture_has_three_equal_channels(path):
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(saved(path, Image.fromarray(grey)), [grey, grey, grey])


def test_an_alpha_channel_is_dropped(path):
    pixels = np.array([[[1, 2, 3, 0], [4, 5, 6, 255]]], dtype=np.uint8)
    np.testing.assert_array_equal(saved(path, Image.fromarray(pixels)), [[[1, 4]], [[2, 5]], [[3, 6]]])


@pytest.mark.parametrize("options", [{}, {"transparency": b"\x00\x80"}], ids=["opaque", "transparent"])
def test_a_palette_is_looked_up(path, options):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    np.testing.assert_array_equal(saved(path, image, **options), [[[40, 10]], [[50, 20]], [[60, 30]]])


def test_size_crops_the_middle_to_a_square(path):
    pixels = draw(path, height=2, width=6)
    np.testing.assert_array_equal(decode(path, size=2), pixels[:, :, 2:4])


@pytest.mark.parametrize("shape", [(30, 10), (3, 4)])
def test_size_scales_pictures_of_any_shape(path, shape):
    Image.new("RGB", shape, (9, 8, 7)).save(path)
    np.testing.assert_array_equal(decode(path, size=5), np.full((3, 5, 5), np.reshape([9, 8, 7], (3, 1, 1))))


# ---------------------------------------------------------------- files at fault


def test_text_under_a_pictures_name_is_named(path):
    path.write_text("not a picture")
    assert complaint(path) == (f"{path}: cannot be read as a picture (no known picture format); replace or remove it")


def test_a_truncated_jpeg_is_named(path):
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, format="JPEG")
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    assert complaint(path).startswith(f"{path}: cannot be read as a picture (image file is truncated")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM" + bytes(60)])
def test_a_picture_that_is_only_a_beginning_is_named(path, content):
    path.write_bytes(content)
    assert complaint(path).startswith(f"{path}: cannot be read as a picture (")


def test_formats_that_start_programs_are_none(path):
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert "(no known picture format)" in complaint(path)


def test_a_file_that_vanished_is_named(path):
    assert complaint(path).startswith(f"{path}: cannot be read as a picture (")
