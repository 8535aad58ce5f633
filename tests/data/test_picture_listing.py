"""What lies in a folder of pictures: which folders are splits, and what is of no use."""

from pathlib import Path

import pytest

from deeprob.data.picture_listing import scan, split_folders
from deeprob.errors import UserError


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def make(root: Path, *names: str) -> None:
    """Make files, none of which is ever opened, and the folders that they lie in."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def both(*splits: str) -> list[str]:
    """A picture of each of two classes in each split."""
    return [f"{split}/{name}/0.png" for split in splits for name in ("cats", "dogs")]


def complaint(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        scan(root)
    return str(caught.value)


def test_files_are_in_the_order_of_splits_classes_and_names(root):
    make(root, *both("val", "test", "train"), "train/cats/1.JPG", "test/dogs/00.png")
    listing = scan(root)
    assert listing.files.paths == [
        "train/cats/0.png", "train/cats/1.JPG", "train/dogs/0.png", "val/cats/0.png", "val/dogs/0.png",
        "test/cats/0.png", "test/dogs/0.png", "test/dogs/00.png",
    ]  # fmt: skip
    assert listing.targets.tolist() == [0, 0, 1, 0, 1, 0, 1, 1]
    assert listing.classes == ("cats", "dogs")
    assert listing.splits == {"train": slice(0, 3), "val": slice(3, 5), "test": slice(5, 8)}


def test_class_folders_alone_are_no_splits(root):
    make(root, *both("."))
    listing = scan(root)
    assert listing.files.paths == ["cats/0.png", "dogs/0.png"]
    assert listing.splits == {}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_names_of_the_validation_split(root, name):
    make(root, *both("train", "test", name))
    assert split_folders(root) == {"train": "train", "val": name, "test": "test"}


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("TRAIN", "train"), ("training", "train"), ("Test", "test"), ("Testing", "test"),
     ("Val", "val"), ("Validation", "val")],
)  # fmt: skip
@pytest.mark.parametrize("others", [(), ("train", "test")])
def test_a_split_under_another_name_is_to_be_renamed(root, name, split, others):
    make(root, *both(name, *others))
    assert complaint(root) == (
        f"dataset.root={root}: {name}/ is named like a split; rename it to {split}/, or move it elsewhere"
    )


@pytest.mark.parametrize("name", ["Train", "training", "val", "Validation"])
def test_a_class_may_be_named_like_a_split(root, name):
    make(root, "cats/0.png", f"{name}/0.png")
    assert set(scan(root).classes) == {"cats", name}


def test_two_validation_splits_are_one_too_many(root):
    make(root, *both("train", "test", "val", "valid"))
    assert complaint(root) == f"dataset.root={root} has val/ and valid/; keep one as the validation split"


@pytest.mark.parametrize(
    ("there", "line"),
    [
        (("train",), "has train/ but no test/; it needs train/ and test/, or only class folders"),
        (("test", "val"), "has test/ and val/ but no train/; it needs train/ and test/, or only class folders"),
        (("val",), "has val/ but no train/ and no test/; it needs train/ and test/, or only class folders"),
    ],
)
def test_a_missing_split_is_named(root, there, line):
    make(root, *both(*there))
    assert complaint(root) == f"dataset.root={root} {line}"


@pytest.mark.parametrize("odd", ["train", "val", "test"])
def test_classes_are_the_same_in_all_splits(root, odd):
    make(root, *both("train", "val", "test"), f"{odd}/birds/0.png")
    other = {"train": "val", "val": "val", "test": "test"}[odd]
    assert complaint(root) == f"dataset.root={root}: the class folder birds/ is in only one of train/ and {other}/"


def test_what_is_of_no_use_is_named(root, capsys):
    make(root, *both("train", "test"), "extra/cats/0.png", "README.md", "train/stray.png", "train/notes.txt")
    assert len(scan(root).files.paths) == 4
    line = f"note: dataset.root={root}: not in a split or class, and so not used: extra/, train/stray.png"
    assert capsys.readouterr() == ("", f"{line}\n")
    make(root, "a.png", "b.jpg")
    scan(root)
    assert capsys.readouterr().err == f"{line.removesuffix('train/stray.png')}a.png, b.jpg and 1 more\n"


def test_a_picture_beside_class_folders_is_named(root, capsys):
    make(root, "a/0.png", "b/0.png", "c.png", ".hidden.png", "labels.csv")
    scan(root)
    assert capsys.readouterr().err == f"note: dataset.root={root}: not in a split or class, and so not used: c.png\n"


def test_a_folder_in_use_has_nothing_to_be_said_of(root, capsys):
    make(root, *both("train", "val", "test"), ".deeprob-cache/whole.tensors")
    scan(root)
    assert capsys.readouterr() == ("", "")
