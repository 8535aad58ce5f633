import io
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob.data import picture_files as pictures
from deeprob.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "deeprob"


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def draw(path: Path, height: int = 4, width: int = 6) -> np.ndarray:
    """Write a random picture without loss and return its pixels (3, H, W)."""
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels.transpose(2, 0, 1)


@pytest.fixture
def three(root) -> np.ndarray:
    """The pixels of a.png, b.png and c.png."""
    return np.stack([draw(root / f"{name}.png") for name in "abc"])


PATHS = ("a.png", "b.png", "c.png")


def decode(root: Path, paths: Sequence[str] = PATHS, fingerprint: str = "f", size: int | None = None):
    return pictures.decoded(root, paths, fingerprint, size).numpy()


@pytest.fixture
def no_decoding(monkeypatch):
    """Make opening a picture fail; call it when the cache is filled."""

    def switch_off() -> None:
        def opened(path: Path, **options: object) -> None:
            raise AssertionError(f"{path} was decoded again")

        monkeypatch.setattr(Image, "open", opened)

    return switch_off


def complaint(root: Path, paths: list[str], size: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        decode(root, paths, size=size)
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---------------------------------------------------------------- decoding


def test_pixels_come_as_they_are_in_the_order_of_the_paths(root, three):
    got = decode(root, ["c.png", "a.png", "b.png"])
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, three[[2, 0, 1]])


def test_many_pictures_keep_their_order(root):
    pixels = [draw(root / f"{number}.png", 1, 1) for number in range(600)]
    np.testing.assert_array_equal(decode(root, [f"{number}.png" for number in range(600)]), pixels)


def saved(root: Path, image: Image.Image, **options: object) -> np.ndarray:
    image.save(root / "x.png", **options)
    return decode(root, ["x.png"])[0]


def test_a_grey_picture_has_three_equal_channels(root):
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(saved(root, Image.fromarray(grey)), [grey, grey, grey])


def test_an_alpha_channel_is_dropped(root):
    pixels = np.array([[[1, 2, 3, 0], [4, 5, 6, 255]]], dtype=np.uint8)
    np.testing.assert_array_equal(saved(root, Image.fromarray(pixels)), [[[1, 4]], [[2, 5]], [[3, 6]]])


@pytest.mark.parametrize("options", [{}, {"transparency": b"\x00\x80"}], ids=["opaque", "transparent"])
def test_a_palette_is_looked_up(root, options):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    np.testing.assert_array_equal(saved(root, image, **options), [[[40, 10]], [[50, 20]], [[60, 30]]])


def test_size_crops_the_middle_to_a_square(root):
    pixels = draw(root / "x.png", height=2, width=6)
    np.testing.assert_array_equal(decode(root, ["x.png"], size=2)[0], pixels[:, :, 2:4])


def test_size_scales_pictures_of_any_shape(root):
    for name, shape, color in (("a", (30, 10), (9, 8, 7)), ("b", (3, 4), (50, 60, 70))):
        Image.new("RGB", shape, color).save(root / f"{name}.png")
    got = decode(root, ["a.png", "b.png"], size=5)
    assert got.shape == (2, 3, 5, 5)
    assert (got[0] == np.reshape([9, 8, 7], (3, 1, 1))).all()
    assert (got[1] == np.reshape([50, 60, 70], (3, 1, 1))).all()


# ---------------------------------------------------------------- files at fault


def test_pictures_of_different_sizes_name_the_file_and_the_remedy(root):
    draw(root / "a.png", height=4, width=6)
    draw(root / "b.png", height=5, width=7)
    line = complaint(root, ["a.png", "b.png"])
    assert line.startswith(f"{root}/b.png: 7×5 pixels, but a.png has 6×4;")
    assert "dataset.image_size=4" in line


def test_text_under_a_pictures_name_is_named(root, three):
    (root / "b.jpg").write_text("not a picture")
    assert complaint(root, ["a.png", "b.jpg"]) == (
        f"{root}/b.jpg: cannot be read as a picture (no known picture format); replace or remove it"
    )


@pytest.mark.parametrize("position", [0, 1])
def test_a_truncated_jpeg_is_named(root, three, position):
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, format="JPEG")
    (root / "x.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    paths = ["a.png"]
    paths.insert(position, "x.jpg")
    line = complaint(root, paths)
    assert line.startswith(f"{root}/x.jpg: cannot be read as a picture (image file is truncated")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM" + bytes(60)])
def test_a_picture_that_is_only_a_beginning_is_named(root, content):
    (root / "x.png").write_bytes(content)
    assert complaint(root, ["x.png"]).startswith(f"{root}/x.png: cannot be read as a picture (")


def test_a_picture_of_more_pixels_than_pillow_allows_is_named(root, monkeypatch):
    draw(root / "x.png", 10, 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # it would warn up to twice as many
    assert complaint(root, ["x.png"]).startswith(f"{root}/x.png: cannot be read as a picture (Image size (100 pixels)")


def test_remarks_on_a_files_metadata_are_not_shown(root, recwarn):
    whole = io.BytesIO()
    Image.new("RGB", (2, 2)).save(whole, "TIFF", dpi=(72, 72))
    resolution = b"\x1a\1\5\0\1\0\0\0"
    assert resolution in whole.getvalue()
    (root / "x.tif").write_bytes(whole.getvalue().replace(resolution, resolution[:-1] + b"\1"))  # far past the end
    decode(root, ["x.tif"])
    assert not recwarn.list


def test_formats_that_start_programs_are_none(root):
    (root / "x.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert "(no known picture format)" in complaint(root, ["x.png"])


def test_a_file_that_vanished_is_named(root, three):
    line = complaint(root, ["a.png", "gone.png"])
    assert line.startswith(f"{root}/gone.png: cannot be read as a picture (")


def test_nothing_is_cached_when_a_file_is_at_fault(root, three, user_cache):
    complaint(root, ["a.png", "gone.png"])
    assert not (root / ".deeprob-cache").exists()
    assert not user_cache.exists()


# ---------------------------------------------------------------- the cache


def cache_file(root: Path) -> Path:
    return root / ".deeprob-cache" / "f.npy"


def test_the_second_time_comes_from_the_cache(root, three, no_decoding):
    decode(root)
    no_decoding()
    np.testing.assert_array_equal(decode(root), three)


def test_another_fingerprint_is_another_cache(root, three):
    decode(root)
    changed = draw(root / "b.png")
    np.testing.assert_array_equal(decode(root, fingerprint="g")[1], changed)


def test_a_cache_is_a_plain_array_that_everyone_may_read(root, three):
    decode(root)
    np.testing.assert_array_equal(np.load(cache_file(root)), three)
    assert stat.S_IMODE(cache_file(root).stat().st_mode) == 0o644


def test_writing_to_the_tensor_does_not_change_the_cache(root, three, no_decoding):
    decode(root)
    no_decoding()
    pictures.decoded(root, PATHS, "f", None).zero_()
    np.testing.assert_array_equal(decode(root), three)


def npy(array: np.ndarray) -> bytes:
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


DAMAGE = {
    "empty": lambda whole: b"",
    "only a magic number": lambda whole: whole[:6],
    "half": lambda whole: whole[: len(whole) // 2],
    "a byte short": lambda whole: whole[:-1],
    "text": lambda whole: b"not an array",
    "zip": lambda whole: b"PK\x03\x04" + whole[4:],
    "unclosed header": lambda whole: whole.replace(b"{", b" ", 1),
    "type that is none": lambda whole: whole.replace(b"|u1", b"|01", 1),
    "negative shape": lambda whole: whole.replace(b"(3, 3, 4, 6)", b"(3, 3,-4, 6)", 1),
    "too few pictures": lambda whole: npy(np.zeros((2, 3, 4, 6), np.uint8)),
    "other numbers": lambda whole: npy(np.zeros((3, 3, 4, 6), np.float32)),
    "four channels": lambda whole: npy(np.zeros((3, 4, 4, 6), np.uint8)),
    "other dimensions": lambda whole: npy(np.zeros((3, 72), np.uint8)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_made_anew(root, three, damage):
    decode(root)
    whole = cache_file(root).read_bytes()
    broken = damage(whole)
    assert broken != whole
    cache_file(root).write_bytes(broken)
    np.testing.assert_array_equal(decode(root), three)
    assert cache_file(root).read_bytes() == whole


def test_a_root_that_cannot_be_written_is_cached_in_the_users_folder(root, three, user_cache, no_decoding):
    (root / ".deeprob-cache").write_text("in the way, even of an administrator")
    decode(root)
    assert len(list(user_cache.rglob("f.npy"))) == 1
    no_decoding()
    np.testing.assert_array_equal(decode(root), three)


def test_two_roots_do_not_share_a_place_in_the_users_folder(tmp_path, user_cache):
    expected = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".deeprob-cache").touch()
        expected[name] = draw(tmp_path / name / "a.png")
    for name in ("one", "two", "one"):
        np.testing.assert_array_equal(decode(tmp_path / name, ["a.png"])[0], expected[name])


def test_without_xdg_the_users_folder_is_in_home(root, three, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (root / ".deeprob-cache").touch()
    decode(root)
    assert len(list((tmp_path / "home" / ".cache" / "deeprob").rglob("f.npy"))) == 1


def test_with_no_place_for_a_cache_it_says_so_and_works(root, three, tmp_path, capsys):
    (root / ".deeprob-cache").touch()
    (tmp_path / "xdg").touch()
    for _ in range(2):
        np.testing.assert_array_equal(decode(root), three)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("note: the decoded pictures cannot be kept in ")
        assert str(root / ".deeprob-cache") in err
        assert str(tmp_path / "xdg") in err
        assert err.count("\n") == 1


def test_a_disk_that_fills_up_leaves_no_part_of_a_cache(root, three, user_cache, monkeypatch, capsys):
    def half(file: io.BufferedIOBase, array: np.ndarray) -> None:
        file.write(array.tobytes()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", half)
    np.testing.assert_array_equal(decode(root), three)
    assert capsys.readouterr().err.startswith("note: the decoded pictures cannot be kept")
    for place in (root / ".deeprob-cache", user_cache):
        assert not [path for path in place.rglob("*") if path.is_file()]


def test_the_result_is_a_tensor_of_bytes(root, three):
    for _ in range(2):
        assert pictures.decoded(root, PATHS, "f", None).dtype == torch.uint8
