import numpy as np
import pytest
import torch

from deeprob import randomness
from deeprob.features import kmeans as module
from deeprob.features.kmeans import kmeans, nearest


def clusters(seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Points around 5 places far apart, in random order, and the mean of each place's own."""
    rng = np.random.default_rng(seed)
    places = np.array([[0, 0], [50, 0], [0, 50], [50, 50], [200, 200]])
    parts = [place + rng.normal(size=(40, 2)) for place in places]
    points = torch.from_numpy(rng.permutation(np.concatenate(parts)))
    return points, np.array([part.mean(0) for part in parts])


def in_order(centres: np.ndarray) -> np.ndarray:
    return centres[np.lexsort(centres.T)]


@pytest.mark.parametrize("seed", range(5))
def test_clusters_far_apart_are_found(seed):
    points, means = clusters(seed)
    centres = kmeans(points, 5, randomness.generator(seed, "test"))
    np.testing.assert_allclose(in_order(centres.numpy()), in_order(means), rtol=1e-9)


def test_by_hand():
    centres = kmeans(torch.tensor([[0.0], [1], [10], [11]]), 2, randomness.generator(0, "test"))
    assert sorted(centres.flatten().tolist()) == [0.5, 10.5]


def test_at_the_end_each_centre_is_the_mean_of_its_own():
    points = torch.from_numpy(np.random.default_rng(0).random((500, 3)))
    centres = kmeans(points, 7, randomness.generator(0, "test"))
    owners = nearest(points, centres)
    for k, centre in enumerate(centres):
        torch.testing.assert_close(points[owners == k].mean(0), centre)


def test_as_good_as_scipys():
    from scipy.cluster.vq import kmeans2

    points = np.random.default_rng(0).random((2000, 3))

    def mean_square(centres: np.ndarray) -> float:
        return float(np.square(points[:, None] - centres).sum(2).min(1).mean())

    ours = kmeans(torch.from_numpy(points), 16, randomness.generator(0, "test")).numpy()
    theirs, _ = kmeans2(points, 16, iter=100, minit="++", rng=0)
    assert mean_square(ours) <= 1.05 * mean_square(theirs)


def test_fewer_points_than_centres():
    centres = kmeans(torch.tensor([[1.0, 2], [1, 2], [3, 4]]), 4, randomness.generator(0, "test"))
    assert centres.isfinite().all()
    assert centres.unique(dim=0).tolist() == [[1, 2], [3, 4]]


def test_nearest_agrees_with_numpy_in_chunks_too(monkeypatch):
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(100, 4)), rng.normal(size=(7, 4))
    expected = np.square(points[:, None] - centres).sum(2).argmin(1)
    for chunk in (1, 50, 10**6):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        np.testing.assert_array_equal(nearest(torch.from_numpy(points), torch.from_numpy(centres)), expected)


def test_the_same_generator_draws_the_same_centres():
    points, _ = clusters()
    one, two, other = (kmeans(points, 3, randomness.generator(seed, "test"), 0) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
