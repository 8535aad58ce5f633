"""Decoded pictures kept beside their files: never those of other bytes, and nothing decoded twice."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from deeprob.data import picture_cache, picture_files
from deeprob.data.picture_cache import Files, Pictures, decoded, stamp
from deeprob.errors import UserError
from deeprob.tracking.cache import Cache

RNG = np.random.default_rng(0)
PATHS = ("a.png", "b.png", "c.png")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "deeprob" / "pictures"


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def no_doubt(monkeypatch):
    """Trust the times of files that are as new as those of a test."""
    monkeypatch.setattr(picture_cache, "FRESH", 0)


@pytest.fixture
def worked(monkeypatch) -> list[str]:
    """The names of the files that were decoded."""
    names, decode = [], picture_files.decode

    def counted(path: Path, size: int | None, known: bytes = b""):
        digest, picture = decode(path, size, known)
        names.extend([path.name] * (picture is not None))
        return digest, picture

    monkeypatch.setattr(picture_cache, "decode", counted)
    return names


def draw(path: Path, height: int = 4, width: int = 6) -> np.ndarray:
    """Write a random picture without loss and return its pixels (3, H, W)."""
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")  # all of a shape have as many bytes
    return pixels.transpose(2, 0, 1)


@pytest.fixture
def three(root) -> np.ndarray:
    """The pixels of a.png, b.png and c.png."""
    return np.stack([draw(root / name) for name in PATHS])


def stamps_of(root: Path, paths: Sequence[str] = PATHS) -> torch.Tensor:
    now = time.time_ns()
    return torch.tensor([stamp((root / path).stat(), now) for path in paths])


def load(
    root: Path,
    paths: Sequence[str] = PATHS,
    wanted: Sequence[int] | None = None,
    size: int | None = None,
    stamps: torch.Tensor | None = None,
) -> np.ndarray:
    """Return the pictures of some of the files, or of all."""
    files = Files(root, paths, stamps_of(root, paths) if stamps is None else stamps)
    places = torch.arange(len(paths)) if wanted is None else torch.tensor(wanted)
    return decoded(files, places, size)[places].numpy()


def again(root: Path, *words: object, worked: list[str], **more: object) -> list[str]:
    """Load once more, and return what was decoded for that (the first twice, as its size is asked for before)."""
    worked.clear()
    load(root, *words, **more)
    return sorted(set(worked))


def complaint(root: Path, paths: list[str], size: int | None = None) -> str:
    stamps = torch.zeros(len(paths), 4, dtype=torch.int64)
    with pytest.raises(UserError) as caught:
        decoded(Files(root, paths, stamps), torch.arange(len(paths)), size)
    line = str(caught.value)
    assert "\n" not in line
    return line


def cache_file(root: Path) -> Path:
    return root / ".deeprob-cache" / "whole.tensors"


# ---------------------------------------------------------------- decoding


def test_pixels_come_as_they_are_in_the_order_of_the_paths(root, three):
    got = load(root, ["c.png", "a.png", "b.png"])
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, three[[2, 0, 1]])


def test_many_pictures_keep_their_order(root):
    pixels = [draw(root / f"{number}.png", 1, 1) for number in range(600)]
    np.testing.assert_array_equal(load(root, [f"{number}.png" for number in range(600)]), pixels)


def test_pictures_of_different_sizes_name_the_file_and_the_remedy(root):
    draw(root / "a.png", height=4, width=6)
    draw(root / "b.png", height=5, width=7)
    line = complaint(root, ["a.png", "b.png"])
    assert line.startswith(f"{root}/b.png: 7×5 pixels, but a.png has 6×4;")
    assert "dataset.image_size=4" in line


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
    load(root, ["x.tif"])
    assert not recwarn.list


def test_nothing_is_cached_when_a_file_is_at_fault(root, three, user_cache):
    complaint(root, ["a.png", "gone.png"])
    assert not (root / ".deeprob-cache").exists()
    assert not user_cache.exists()


# ---------------------------------------------------------------- a change is noticed, and only a change


@pytest.mark.usefixtures("no_doubt")
def test_files_that_have_not_changed_are_not_even_opened(root, three, monkeypatch):
    load(root)
    monkeypatch.setattr(picture_cache, "decode", None)
    np.testing.assert_array_equal(load(root), three)


@pytest.mark.parametrize("doubt", [0, 10**18], ids=["by its times", "by its content"])
@pytest.mark.parametrize("how", ["written over", "replaced"])
def test_a_changed_picture_of_the_same_size_and_time_is_noticed(root, three, monkeypatch, doubt, how):
    monkeypatch.setattr(picture_cache, "FRESH", doubt)
    load(root)
    before = (root / "b.png").stat()
    time.sleep(0.02)  # the clock of files goes in steps of up to 10 ms
    three[1] = draw(root / "other")
    if how == "replaced":
        (root / "other").replace(root / "b.png")
    else:
        (root / "b.png").write_bytes((root / "other").read_bytes())
    os.utime(root / "b.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (root / "b.png").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    np.testing.assert_array_equal(load(root), three)
    np.testing.assert_array_equal(load(root), three)


@pytest.mark.usefixtures("three")
def test_what_changed_right_after_it_was_read_is_noticed_later(root, worked, monkeypatch):
    load(root)  # the files are of this moment
    monkeypatch.setattr(picture_cache, "FRESH", 0)
    stamps = stamps_of(root)
    draw(root / "b.png")  # as if the clock had not gone on
    assert again(root, stamps=stamps, worked=worked) == ["b.png"]


@pytest.mark.usefixtures("no_doubt", "three")
def test_only_what_has_changed_is_decoded_again(root, worked):
    load(root)
    time.sleep(0.02)
    draw(root / "b.png")
    assert again(root, worked=worked) == ["b.png"]
    assert again(root, worked=worked) == []


@pytest.mark.usefixtures("no_doubt")
def test_a_copy_and_other_times_are_no_change_and_leave_one_file(root, three, worked, tmp_path):
    load(root)
    cache_file(root).rename(tmp_path / "kept")
    for name in PATHS:
        (root / name).rename(root / f"old {name}")
        (root / name).write_bytes((root / f"old {name}").read_bytes())
        os.utime(root / name, (1, 1))
    (tmp_path / "kept").rename(cache_file(root))
    written = cache_file(root).stat().st_ino
    assert again(root, worked=worked) == []
    np.testing.assert_array_equal(load(root), three)
    assert cache_file(root).stat().st_ino != written  # which has the new times, so that files are not read again
    assert list(cache_file(root).parent.iterdir()) == [cache_file(root)]


@pytest.mark.usefixtures("three")
def test_files_as_new_as_the_cache_are_not_written_again_and_again(root):
    load(root)
    written = cache_file(root).stat().st_ino
    load(root)
    assert cache_file(root).stat().st_ino == written


def test_other_code_decodes_anew(root, three, monkeypatch, worked):
    load(root)
    monkeypatch.setattr(PIL, "__version__", "0")
    assert again(root, worked=worked) == ["a.png", "b.png", "c.png"]
    assert again(root, worked=worked) == []
    assert list(cache_file(root).parent.iterdir()) == [cache_file(root)]


def test_a_file_of_another_version_is_written_anew(root, three):
    Cache(root / ".deeprob-cache").put("whole", {"pixels": torch.zeros(3, 3, 4, 6, dtype=torch.uint8)})
    np.testing.assert_array_equal(load(root), three)


def test_all_pictures_may_change_their_size(root, three):
    load(root)
    larger = np.stack([draw(root / name, 5, 7) for name in PATHS])
    np.testing.assert_array_equal(load(root), larger)
    one = draw(root / "b.png", 8, 8)
    with pytest.raises(UserError, match=r"b\.png: 8×8 pixels, but a\.png has 7×5;"):
        load(root)
    np.testing.assert_array_equal(load(root, wanted=[1]), [one])
    with pytest.raises(UserError, match=r"b\.png: 8×8 pixels, but a\.png has 7×5;"):
        load(root)


# ---------------------------------------------------------------- some of the pictures


def test_only_what_is_wanted_is_decoded_and_once(root, three, worked):
    np.testing.assert_array_equal(load(root, wanted=[2]), three[[2]])
    assert set(worked) == {"c.png"}
    assert again(root, wanted=[2], worked=worked) == []
    worked.clear()
    np.testing.assert_array_equal(load(root, wanted=[0, 2]), three[[0, 2]])
    assert set(worked) == {"a.png"}
    worked.clear()
    np.testing.assert_array_equal(load(root), three)
    assert set(worked) == {"b.png"}
    for wanted in ([1], [0, 2], [2, 0], [0, 1, 2]):
        worked.clear()
        np.testing.assert_array_equal(load(root, wanted=wanted), three[wanted])
        assert worked == []
    assert list(cache_file(root).parent.iterdir()) == [cache_file(root)]
    assert len(Cache(root / ".deeprob-cache").get("whole")["pixels"]) == 3


def test_what_is_removed_goes_and_what_is_added_comes(root, three, worked):
    load(root)
    (root / "b.png").unlink()
    added = draw(root / "aa.png")
    worked.clear()
    np.testing.assert_array_equal(load(root, ["a.png", "aa.png", "c.png"]), [three[0], added, three[2]])
    assert set(worked) == {"aa.png"}
    assert len(Cache(root / ".deeprob-cache").get("whole")["pixels"]) == 3


def test_pictures_side_by_side_are_not_copied():
    pixels = torch.arange(4 * 3, dtype=torch.uint8).view(4, 3, 1, 1)
    pictures = Pictures(torch.tensor([0, 1, 2, -1, 3]), torch.zeros(4, 4), torch.zeros(4, 16), pixels)
    assert pictures[torch.tensor([1, 2])].data_ptr() == pixels[1].data_ptr()
    assert pictures[torch.tensor([4, 0])].flatten().tolist() == [9, 10, 11, 0, 1, 2]


def test_another_size_has_another_file(root, three, worked):
    load(root)
    assert again(root, size=2, worked=worked) == list(PATHS)
    assert again(root, worked=worked) == again(root, size=2, worked=worked) == []
    assert {path.name for path in (root / ".deeprob-cache").iterdir()} == {"whole.tensors", "square-2.tensors"}


# ---------------------------------------------------------------- the file


def test_writing_to_the_tensor_does_not_change_the_cache(root, three):
    load(root)
    load(root)[:] = 0
    np.testing.assert_array_equal(load(root), three)


def zeros(whole: bytes) -> bytes:
    """The pixels, of which the file has nearly all its bytes, replaced by as many zeros."""
    return whole[:-100] + bytes(100)


DAMAGE = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "text": lambda whole: b"not a cache",
    "zeros of the right shape": zeros,
    "a path": lambda whole: whole.replace(b"b.png", b"x.png"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_named_and_made_anew(root, three, damage, capsys):
    load(root)
    whole = cache_file(root).read_bytes()
    broken = damage(whole)
    assert broken != whole
    cache_file(root).write_bytes(broken)
    np.testing.assert_array_equal(load(root), three)
    assert capsys.readouterr().err == (f"note: {cache_file(root)}: damaged, or not a file of deeprob, and not used\n")
    assert cache_file(root).read_bytes() == whole


def test_pictures_larger_than_a_cache_of_features_are_kept_too(root, three, monkeypatch, capsys):
    monkeypatch.setattr(picture_cache, "LIMIT", 100)
    many = [draw(root / f"{number}.png", 40, 60) for number in range(3)]
    names = [f"{number}.png" for number in range(3)]
    np.testing.assert_array_equal(load(root, names), many)
    assert (cache_file(root).exists(), capsys.readouterr().err) == (True, "")


def test_what_earlier_versions_left_is_removed(root, three):
    (root / ".deeprob-cache").mkdir()
    for name in ("0123456789abcdef-None.npy", "tmpabcdefgh"):
        (root / ".deeprob-cache" / name).touch()
    load(root)
    assert list((root / ".deeprob-cache").iterdir()) == [cache_file(root)]


KILLED = """
import pathlib, sys, threading
from deeprob.data import ImageFolderConfig

def wait(*words):
    print("writing", flush=True)
    threading.Event().wait()
pathlib.Path.chmod = wait
ImageFolderConfig(root=sys.argv[1], test_fraction=0.5).load()
"""


def test_what_a_killed_process_leaves_goes_with_the_next_start(root):
    for name in ("cats", "dogs"):
        (root / name).mkdir()
        for number in range(2):
            draw(root / name / f"{number}.png")
    process = subprocess.Popen([sys.executable, "-c", KILLED, root], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    (unfinished,) = (root / ".deeprob-cache").iterdir()
    paths = sorted(str(path.relative_to(root)) for path in root.glob("*/*.png"))
    load(root, paths[:2])  # while the other still writes
    assert {path.name for path in (root / ".deeprob-cache").iterdir()} == {unfinished.name, "whole.tensors"}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    load(root, paths)
    assert list((root / ".deeprob-cache").iterdir()) == [cache_file(root)]


# ---------------------------------------------------------------- where it lies


def test_a_root_that_cannot_be_written_is_cached_in_the_users_folder(root, three, user_cache, worked, capsys):
    (root / ".deeprob-cache").write_text("in the way, even of an administrator")
    load(root)
    assert len(list(user_cache.iterdir())) == 1
    worked.clear()
    np.testing.assert_array_equal(load(root), three)
    assert (worked, capsys.readouterr().err) == ([], "")


@pytest.mark.usefixtures("three", "no_doubt")
def test_the_users_folder_adds_to_what_a_root_has(root, user_cache, worked, monkeypatch):
    load(root, wanted=[0])
    put = Cache.put

    def refused(cache: Cache, *words: object) -> None:
        if cache.folder == root / ".deeprob-cache":
            raise PermissionError(13, "Permission denied", str(cache.folder))
        put(cache, *words)

    monkeypatch.setattr(Cache, "put", refused)
    assert again(root, worked=worked) == ["b.png", "c.png"]
    assert again(root, worked=worked) == []
    assert len(list(user_cache.iterdir())) == 1


def test_two_roots_do_not_share_a_place_in_the_users_folder(tmp_path, user_cache):
    expected = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".deeprob-cache").touch()
        expected[name] = draw(tmp_path / name / "a.png")
    for name in ("one", "two", "one"):
        np.testing.assert_array_equal(load(tmp_path / name, ["a.png"])[0], expected[name])


def test_with_no_place_for_a_cache_it_says_so_and_works(root, three, tmp_path, capsys):
    (root / ".deeprob-cache").touch()
    (tmp_path / "xdg").touch()
    for _ in range(2):
        np.testing.assert_array_equal(load(root), three)
        assert capsys.readouterr() == (
            "",
            f"note: the decoded pictures cannot be kept in {root}/.deeprob-cache (File exists) or "
            f"{tmp_path}/xdg/deeprob/pictures (Not a directory); they will be decoded again each time\n",
        )


def test_a_disk_that_fills_up_leaves_no_part_of_a_cache(root, three, user_cache, monkeypatch, capsys):
    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "chmod", full)
    np.testing.assert_array_equal(load(root), three)
    assert capsys.readouterr().err.startswith("note: the decoded pictures cannot be kept in ")
    for place in (root / ".deeprob-cache", user_cache):
        assert list(place.iterdir()) == []
