import torch

from deeprob.features import BagOfWordsConfig
from deeprob.features.patch_features import PatchFeatures, PatchSettings
from deeprob.features.patches import Levels


class Means(PatchFeatures):
    """The mean of each picture's patches, less the mean of those that were learned from."""

    doing = "taking means"

    def learn(self, patches, rng):
        self.learned = patches

    def describe_patches(self, patches):
        return patches.mean(1)


def means(*, mirror: bool = False, samples: int = 40) -> Means:
    return Means(PatchSettings(Levels((1, 2, 4), 2, 1, None), "none", (), mirror, samples, seed=0), 4)


PICTURES = torch.tensor([[[[0, 1, 2, 3], [4, 5, 6, 7]]], [[[9, 9, 9, 6], [8, 8, 8, 8]]]], dtype=torch.uint8)


def test_by_hand():
    assert means().fit(PICTURES).tolist() == [[1.0, 2.0, 5.0, 6.0], [9.0, 8.0, 8.0, 8.0]]


def test_the_mirror_image_counts_too():
    found = means(mirror=True).fit(PICTURES)[0]  # mirrored: 3 2 1 0 over 7 6 5 4, so means 2, 1, 6, 5
    assert found.tolist() == [1.5, 1.5, 5.5, 5.5]


def test_what_is_learned_from_are_patches_of_all_pictures():
    feature = means()
    feature.fit(PICTURES)
    patches = {tuple(patch) for picture in feature.patches(PICTURES.float()).tolist() for patch in picture}
    assert len(feature.learned) == 40
    assert {tuple(patch) for patch in feature.learned.tolist()} == patches


def test_the_seed_names_the_patches():
    one, two = means(), means()
    one.fit(PICTURES)
    two.fit(PICTURES)
    assert torch.equal(one.learned, two.learned)
    two.seed = 1
    two.fit(PICTURES)
    assert not torch.equal(one.learned, two.learned)


def test_more_pictures_than_samples_are_needed():
    feature = means(samples=1)
    feature.fit(PICTURES)
    assert len(feature.learned) == 2  # one of each picture


def test_steps_come_before_patches():
    config = BagOfWordsConfig(words=2, patch=2, grid=1, samples=20, before=["grayscale"])
    bag = config.build((3, 4, 4))
    assert bag.whitening.mean.shape == (4,)
    assert bag.fit(torch.arange(96, dtype=torch.uint8).view(2, 3, 4, 4)).shape == (2, 2)
