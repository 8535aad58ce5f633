import numpy as np
import pytest
import torch

from deeprob.features import codes as module
from deeprob.features.codes import capped, coded, nearest_only, regions_of, thresholded
from deeprob.features.votes import regions

RNG = np.random.default_rng(0)


def slow_codes(patches: np.ndarray, words: np.ndarray, hard: bool) -> np.ndarray:
    """Codes of one picture's patches (P, D), patch by patch."""
    codes = []
    for patch in patches:
        distances = np.sqrt(((words - patch) ** 2).sum(1))
        if hard:
            codes.append(np.arange(len(words)) == distances.argmin())
        else:
            codes.append(np.maximum(0, distances.mean() - distances))
    return np.array(codes, dtype=float)


EACH = torch.eye(2)
"""As regions, each patch's own code."""


def test_distances_above_their_mean_become_it():
    squares, means = torch.tensor([[[1.0, 4.0, 36.0], [0.0, 0.0, 0.0]]]), torch.empty(1, 2, 1)
    assert capped(squares, means).tolist() == [[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]]
    assert means.tolist() == [[[3.0], [0.0]]]


def test_triangle_by_hand():
    words = torch.tensor([[1.0], [2.0], [-6.0]])
    codes = coded(torch.zeros(1, 2, 1), words, torch.tensor([[0.25, 0.25]]), hard=False)
    torch.testing.assert_close(codes, torch.tensor([[[1.0, 0.5, 0.0]]]))


def test_nearest_only_takes_the_first_of_equals():
    squares = torch.tensor([[[3.0, 1.0, 1.0], [2.0, 2.0, 2.0]]])
    assert nearest_only(squares).tolist() == [[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]


def test_regions_are_means_of_parts_of_a_grid():
    by_hand = regions_of(regions(2, 2), regions(3, 2))  # of three columns the first is a part, and the others are one
    assert by_hand.tolist() == [
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.5, 0.5, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
    ]


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("tile", [1, 40, 100, 217, 2**19])
def test_tiles_of_any_size_against_patch_by_patch(tile, hard, monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", tile)
    patches, words = RNG.normal(size=(5, 12, 6)), RNG.normal(size=(7, 6))
    means = regions_of(regions(3, 2), regions(4, 2))
    expected = [means.numpy() @ slow_codes(picture, words, hard) for picture in patches]
    found = coded(torch.from_numpy(patches), torch.from_numpy(words), means.double(), hard=hard)
    assert found.shape == (5, 4, 7)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_single_precision_is_enough():
    """Patches far from the origin, whose squares are much larger than their distances to words."""
    patches, words = RNG.normal(size=(2, 50, 108)) + 3, RNG.normal(size=(40, 108)) + 3
    means = regions_of(regions(5, 1), regions(10, 1))
    expected = [means.numpy() @ slow_codes(picture, words, False) for picture in patches]
    found = coded(torch.from_numpy(patches).float(), torch.from_numpy(words).float(), means, hard=False)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_a_patch_that_is_a_word_gives_no_nan():
    """Rounding would leave squares of distances that are less than 0."""
    words = torch.from_numpy(RNG.normal(size=(900, 108)) * RNG.uniform(0.1, 100, size=(900, 1))).float()
    found = coded(words.expand(2, -1, -1), words, regions_of(regions(30, 1), regions(30, 1)), hard=False)
    assert torch.isfinite(found).all()


def test_thresholded_by_hand():
    """Two words, 1 and 2 patches in two regions; α = ½."""
    patches = torch.tensor([[[3.0, 4.0], [-1.0, 0.0], [0.25, -2.0]]])
    words = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # products 3, 5; −1, −0.6; 0.25, −1.45
    means = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    found = thresholded(patches, words, means, 0.5)
    torch.testing.assert_close(found, torch.tensor([[[2.5, 4.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.525]]]))


@pytest.mark.parametrize("threshold", [0.0, 0.7])
@pytest.mark.parametrize("tile", [1, 40, 100, 217, 2**19])
def test_thresholded_in_tiles_of_any_size_against_numpy(tile, threshold, monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", tile)
    patches, words = RNG.normal(size=(5, 12, 6)), RNG.normal(size=(7, 6))
    means = regions_of(regions(3, 2), regions(4, 2)).double()
    both = patches @ np.concatenate([words, -words]).T
    expected = means.numpy() @ np.maximum(both - threshold, 0)
    found = thresholded(torch.from_numpy(patches), torch.from_numpy(words), means, threshold)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
