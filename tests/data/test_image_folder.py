import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob.data import ImageFolderConfig
from deeprob.data.base import draw_evenly
from deeprob.errors import UserError


@pytest.fixture(autouse=True)
def _no_cache_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def fill(root: Path, counts: Mapping[str, int], side: int = 2) -> None:
    """Fill folders with pictures whose color (folder, number, 0) tells them apart."""
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True)
        for picture in range(count):
            Image.new("RGB", (side, side), (number, picture, 0)).save(root / folder / f"{picture:03}.png")


def load(root: Path, **fields: object):
    return ImageFolderConfig(root=str(root), **fields).load()


def colors(part) -> list[tuple[int, int]]:
    """The (folder, number) of each picture, which is of one color."""
    inputs = part.inputs
    assert (inputs == inputs[:, :, :1, :1]).all()
    return [(int(red), int(green)) for red, green in inputs[:, :2, 0, 0]]


def complaint(root: Path | str, **fields: object) -> str:
    with pytest.raises(UserError) as caught:
        load(root, **fields)
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---------------------------------------------------------------- the two layouts


def test_train_and_test_folders_are_the_splits(root):
    fill(root, {"train/cats": 2, "train/dogs": 3, "test/cats": 1, "test/dogs": 2})
    splits = load(root)
    assert colors(splits.train) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert splits.train.targets.tolist() == [0, 0, 1, 1, 1]
    assert colors(splits.test) == [(2, 0), (3, 0), (3, 1)]
    assert splits.test.targets.tolist() == [0, 1, 1]
    assert splits.val is None


def test_a_val_folder_is_the_validation_split(root):
    folders = {"train/cats": 2, "train/dogs": 3, "test/cats": 1, "test/dogs": 2, "val/cats": 2, "val/dogs": 1}
    fill(root, folders)
    for limit in (None, 2):
        splits = load(root, limit=limit)
        assert colors(splits.val) == [(4, 0), (4, 1), (5, 0)]
        assert splits.val.targets.tolist() == [0, 0, 1]
        assert colors(splits.test) == [(2, 0), (3, 0), (3, 1)]
        assert len(splits.train) == limit or colors(splits.train) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


def test_a_val_folder_beside_a_fraction_is_an_error(root):
    fill(root, {f"{split}/{name}": 2 for split in ("train", "test", "valid") for name in "ab"})
    assert complaint(root, val_fraction=0.25) == (
        f"dataset.val_fraction=0.25: dataset.root={root} has a validation split already, in a folder of its own; "
        "set dataset.val_fraction=0, or move the folder elsewhere"
    )


def test_it_is_known_whether_there_is_a_validation_split(root):
    assert not ImageFolderConfig(root=str(root / "nowhere")).has_validation
    fill(root, {f"{split}/{name}": 1 for split in ("train", "test") for name in "ab"})
    assert not ImageFolderConfig(root=str(root)).has_validation
    assert ImageFolderConfig(root=str(root), val_fraction=0.1).has_validation
    fill(root, {f"val/{name}": 1 for name in "ab"})
    assert ImageFolderConfig(root=str(root)).has_validation


def test_a_limit_decodes_what_it_draws_and_no_more(root, monkeypatch):
    fill(root, {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 4})
    opened, original = [], Image.open
    monkeypatch.setattr(Image, "open", lambda file, **options: opened.append(0) or original(file, **options))
    few = load(root, limit=10, val_fraction=0.2)
    assert len(opened) == 10 + 7 + 1  # the first is also asked for its size
    whole = load(root)
    assert len(opened) == 18 + 30 + 1
    drawn = whole.train[draw_evenly(whole.train.targets, 10, 0, "limit")]
    assert sorted(colors(few.train) + colors(few.val)) == sorted(colors(drawn))
    assert colors(few.test) == colors(whole.test)
    again = load(root, limit=10, val_fraction=0.2)
    assert (colors(again.train), colors(again.val)) == (colors(few.train), colors(few.val))
    assert len(opened) == 49


def test_a_limit_leaves_what_it_does_not_draw_unread(root):
    fill(root, {"a": 10, "b": 10})
    splits = load(root, limit=4)
    read = {
        ("a", "b")[folder] + f"/{number:03}.png"
        for part in (splits.train, splits.test)
        for folder, number in colors(part)
    }
    for path in root.glob("?/*.png"):
        if str(path.relative_to(root)) not in read:
            path.write_text("no picture")
    assert colors(load(root, limit=4).train) == colors(splits.train)
    assert "cannot be read as a picture" in complaint(root)


def test_pictures_are_bytes_with_the_channels_first(root):
    for name, pixels in (("a", np.arange(18)), ("b", np.arange(18) + 100)):
        (root / name).mkdir()
        Image.fromarray(pixels.astype(np.uint8).reshape(2, 3, 3)).save(root / name / "x.png")
    splits = load(root, test_fraction=0.5)
    together = torch.cat([splits.train.inputs, splits.test.inputs])
    assert together.dtype == torch.uint8
    assert together.shape == (2, 3, 2, 3)
    first = together[0] if together[0, 0, 0, 0] == 0 else together[1]
    assert first.tolist() == [
        [[0, 3, 6], [9, 12, 15]],
        [[1, 4, 7], [10, 13, 16]],
        [[2, 5, 8], [11, 14, 17]],
    ]


def test_classes_are_in_alphabetical_order(root):
    made = ["zebra", "ant", "Bee", "10", "9"]
    fill(root, dict.fromkeys(made, 5))
    splits = load(root)
    assert splits.classes == ("10", "9", "Bee", "ant", "zebra")
    named = [splits.classes[target] for target in splits.train.targets]
    assert named == [made[folder] for folder, _ in colors(splits.train)]


def test_hidden_files_and_folders_are_no_pictures(root):
    fill(root, {"a": 2, "b": 2, ".git": 1})
    (root / "a" / ".DS_Store").write_text("x")
    splits = load(root)
    assert splits.classes == ("a", "b")
    assert len(splits.train) + len(splits.test) == 4


def test_names_end_as_they_like_in_upper_case(root):
    fill(root, {"a": 2, "b": 2})
    (root / "a" / "000.png").rename(root / "a" / "000.PNG")
    splits = load(root)
    assert len(splits.train) + len(splits.test) == 4


@pytest.mark.parametrize(("fraction", "sizes"), [(0.3, (14, 6)), (0.05, (19, 1)), (0.9, (2, 18))])
def test_test_fraction_parts_class_folders(root, fraction, sizes):
    fill(root, {"a": 10, "b": 10})
    splits = load(root, test_fraction=fraction)
    assert (len(splits.train), len(splits.test)) == sizes
    together = colors(splits.train) + colors(splits.test)
    assert sorted(together) == [(folder, number) for folder in (0, 1) for number in range(10)]


def test_the_test_split_has_the_classes_in_their_proportions(root):
    fill(root, {"a": 15, "b": 5})
    splits = load(root, test_fraction=0.2)
    assert torch.bincount(splits.test.targets).tolist() == [3, 1]
    assert [target for target, _ in colors(splits.test)] == splits.test.targets.tolist()


def test_the_dataset_s_seed_draws_the_test_split(root):
    fill(root, {"a": 10, "b": 10})
    first, again, other = (colors(load(root, seed=seed).test) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 0), (0.99, 8)])
def test_a_test_split_that_takes_nothing_or_all_is_an_error(root, fraction, count):
    fill(root, {"a": 4, "b": 4})
    line = complaint(root, test_fraction=fraction)
    assert line.startswith(f"dataset.test_fraction={fraction}: 8 examples give {count} for the test;")


def test_limit_and_val_fraction_leave_the_test_split_alone(root):
    fill(root, {"train/a": 10, "train/b": 10, "test/a": 3, "test/b": 4})
    splits = load(root, limit=10, val_fraction=0.2)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [8, 2, 7]


def test_image_size_makes_pictures_of_all_sizes_fit(root):
    fill(root, {"a": 3}, side=4)
    (root / "b").mkdir()
    Image.new("RGB", (9, 5), (1, 0, 0)).save(root / "b" / "000.png")
    splits = load(root, image_size=3, test_fraction=0.5)
    assert splits.train.inputs.shape == splits.test.inputs.shape == (2, 3, 3, 3)
    assert sorted(colors(splits.train) + colors(splits.test)) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_resolved_makes_the_root_absolute(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    assert ImageFolderConfig(root="root").resolved() == ImageFolderConfig(root=str(root))


def test_a_tilde_is_the_home_folder(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    fill(root, {"a": 2, "b": 2})
    config = ImageFolderConfig(root="~/root", test_fraction=0.5)
    assert config.resolved().root == str(root)
    assert len(config.load().test) == 2


# ---------------------------------------------------------------- the cache notices changes


@pytest.fixture
def cached(root, monkeypatch) -> Path:
    """A folder that was loaded, after which nothing can be decoded."""
    fill(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    load(root)

    def opened(path: Path, **options: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(Image, "open", opened)
    return root


def test_an_unchanged_folder_is_not_decoded_again(cached):
    splits = load(cached)
    assert colors(splits.train) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert colors(splits.test) == [(2, 0), (3, 0)]


def test_other_settings_share_the_cache(cached):
    assert len(load(cached, limit=2, val_fraction=0.5, seed=3).train) == 1


def test_another_size_does_not(cached):
    with pytest.raises(UserError, match="decoded again"):
        load(cached, image_size=1)


def test_a_changed_file_is_noticed(root):
    fill(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    load(root)
    path = root / "train" / "b" / "001.png"
    before = path.stat()
    Image.new("RGB", (2, 2), (77, 88, 0)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert colors(load(root).train)[3] == (77, 88)


def test_a_removed_file_is_noticed(root):
    fill(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    load(root)
    (root / "train" / "a" / "000.png").unlink()
    assert colors(load(root).train) == [(0, 1), (1, 0), (1, 1)]


def test_a_file_moved_to_another_class_is_noticed(root):
    fill(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    load(root)
    (root / "train" / "a" / "001.png").rename(root / "train" / "b" / "002.png")
    train = load(root).train
    assert colors(train) == [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert train.targets.tolist() == [0, 1, 1, 1]


# ---------------------------------------------------------------- folders at fault


def test_a_missing_root_is_named(tmp_path):
    assert complaint(tmp_path / "nowhere") == f"dataset.root={tmp_path}/nowhere: no such folder"


def test_a_root_that_is_a_file_is_named(tmp_path):
    (tmp_path / "pictures.zip").touch()
    assert complaint(tmp_path / "pictures.zip").startswith(f"dataset.root={tmp_path}/pictures.zip is a file;")


def test_the_home_of_somebody_unknown_is_named():
    assert "~nobody-has-this-name/pictures" in complaint("~nobody-has-this-name/pictures")


@pytest.mark.parametrize(
    ("folders", "named", "count"),
    [
        ({}, "root", 0),
        ({"a": 1}, "root", 1),
        ({"train/a": 1, "test/a": 1}, "root/train", 1),
    ],
)
def test_fewer_than_two_classes_are_too_few(root, folders, named, count):
    fill(root, folders)
    line = complaint(root)
    assert line.startswith(f"dataset.root={root.parent / named}: {count} class folder")
    assert "two or more" in line


@pytest.mark.parametrize(("there", "missing"), [("train", "test"), ("test", "train")])
def test_one_of_train_and_test_alone_is_named(root, there, missing):
    fill(root, {f"{there}/a": 1, f"{there}/b": 1})
    assert complaint(root).startswith(f"dataset.root={root} has {there}/ but no {missing}/;")


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_class_of_one_split_alone_is_named(root, only):
    fill(root, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, f"{only}/c": 1})
    assert complaint(root) == f"dataset.root={root}: the class folder c/ is in only one of train/ and test/"


def test_an_empty_class_folder_is_named(root):
    fill(root, {"a": 1, "b": 0})
    assert complaint(root).startswith(f"{root}/b: a class folder with no picture;")


@pytest.mark.parametrize("name", ["notes.txt", "Thumbs.db", "png"])
def test_a_file_that_is_no_picture_by_its_name_is_named(root, name):
    fill(root, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1})
    (root / "train" / "b" / name).write_text("hello")
    assert complaint(root).startswith(f"{root}/train/b/{name}: its name is not that of a picture")


def test_a_folder_inside_a_class_folder_is_named(root):
    fill(root, {"a": 1, "b": 1, "b/more": 1})
    assert complaint(root).startswith(f"{root}/b/more: ")


def test_a_link_that_leads_nowhere_is_named(root):
    fill(root, {"a": 1, "b": 1})
    (root / "b" / "x.png").symlink_to("nowhere.png")
    assert complaint(root) == f"{root}/b/x.png: a broken link; correct or remove it"


def test_a_pipe_is_not_opened(root):
    fill(root, {"a": 1, "b": 1})
    os.mkfifo(root / "b" / "x.png")
    assert complaint(root).startswith(f"{root}/b/x.png: not a file;")


@pytest.mark.parametrize("name", [b"b/a\nb.png", b"b/caf\xe9.png", b"caf\xe9"])
def test_a_name_that_is_no_line_of_text_is_refused(root, name):
    fill(root, {"a": 1, "b": 1})
    (root / os.fsdecode(name)).mkdir()
    assert "a name with a control character, or not in UTF-8; rename it" in complaint(root)


def test_text_under_a_pictures_name_is_named(root):
    fill(root, {"a": 1, "b": 1})
    (root / "b" / "x.jpg").write_text("hello")
    assert complaint(root).startswith(f"{root}/b/x.jpg: cannot be read as a picture")


def test_a_truncated_jpeg_is_named(root):
    fill(root, {"a": 1, "b": 1})
    path = root / "b" / "x.jpg"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:700])
    assert complaint(root).startswith(f"{path}: cannot be read as a picture (image file is truncated")


def test_pictures_of_different_sizes_are_named(root):
    fill(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    Image.new("RGB", (3, 2)).save(root / "test" / "b" / "x.png")
    line = complaint(root)
    assert line.startswith(f"{root}/test/b/x.png: 3×2 pixels, but train/a/000.png has 2×2;")
    assert "dataset.image_size=2" in line
