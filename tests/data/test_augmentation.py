import pytest
import torch
import torch.nn.functional as F

from deeprob import randomness
from deeprob.data import ImageFolderConfig
from deeprob.data.augmentation import Augmentation

PICTURES = torch.arange(1, 2 * 3 * 4 * 5 + 1, dtype=torch.uint8).view(2, 3, 4, 5).repeat(200, 1, 1, 1)
KEY = randomness.key(0, "augmentation")


def versions(picture: torch.Tensor, flip: bool, crop: int) -> list[torch.Tensor]:
    """All that the augmentation may make of a picture, one crop of the framed picture at a time."""
    framed = F.pad(picture, (crop,) * 4)
    shifts = range(2 * crop + 1)
    crops = [framed[:, y : y + 4, x : x + 5] for y in shifts for x in shifts]
    return crops + [crop.flip(2) for crop in crops] * flip


@pytest.mark.parametrize(("flip", "crop", "count"), [(True, 0, 2), (False, 1, 9), (True, 2, 50)])
def test_each_picture_is_a_flipped_crop_of_itself_and_all_versions_occur(flip, crop, count):
    augmented = Augmentation(flip, crop)(PICTURES, KEY)
    assert augmented.dtype == torch.uint8
    for place in (0, 1):
        possible = {tuple(version.flatten().tolist()) for version in versions(PICTURES[place], flip, crop)}
        seen = {tuple(picture.flatten().tolist()) for picture in augmented[place::2]}
        assert len(possible) == count
        assert seen <= possible
        assert len(seen) > 0.9 * count


def test_flips_and_shifts_are_even():
    wide = torch.arange(9.0).view(1, 1, 1, 9).expand(20_000, 1, 9, 9)
    flipped = Augmentation(True, 0)(wide, KEY)[:, 0, 0, 0] == 8
    assert flipped.double().mean().item() == pytest.approx(0.5, abs=0.02)
    middle = Augmentation(False, 2)(wide, KEY)[:, 0, 4, 4]
    assert middle.long().bincount(minlength=9).double().div(20_000).tolist() == pytest.approx(
        [0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0], abs=0.02
    )


def test_the_same_key_draws_the_same_and_pictures_stay():
    before = PICTURES.clone()
    one, two = (Augmentation(True, 1)(PICTURES, KEY) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, Augmentation(True, 1)(PICTURES, randomness.fold(KEY, 1)))
    assert torch.equal(before, PICTURES)


def test_nothing_to_do_is_no_augmentation():
    assert ImageFolderConfig(root=".").augmentation() is None
    assert ImageFolderConfig(root=".", crop=2).augmentation() == Augmentation(False, 2)
    assert ImageFolderConfig(root=".", flip=True).noise_sources() == ["dataset.flip=false"]


def test_a_run_is_augmented_and_the_same_again(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=2")
    losses = {}
    for name, more in {"a": ("dataset.crop=2",), "b": ("dataset.crop=2",), "plain": ()}.items():
        assert deeprob(*words, *more, f"hydra.run.dir={name}").status == 0
        from deeprob import load_run

        losses[name] = load_run(name).metrics["train/loss"]
    assert losses["a"] == losses["b"] != losses["plain"]


def test_lbfgs_names_augmentation_as_noise(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "optimizer=lbfgs")
    status, _, err = deeprob(*words, "dataset.flip=true", "dataset.crop=4", "model.dropout=0.5")
    assert status == 2
    assert err.endswith("set dataset.flip=false dataset.crop=0 model.dropout=0\n")
