import numpy as np
import pytest
import torch

from deeprob.features.votes import cells, pooled, regions, votes

RNG = np.random.default_rng(0)


def row(*places: float) -> torch.Tensor:
    return torch.tensor(places)[None, None]


def test_hard_votes_by_hand():
    # a bin holds its lower edge; the upper edge of the last belongs to the last
    counted = votes(row(0, 0.9, 1, 2.5, 3), 3, circular=False, soft=False)[0, :, 0]
    assert counted.tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1]]


def test_soft_votes_by_hand():
    # centres ½, 1½, 2½: 0.75 is a quarter of the way from the first to the second; 0 and 3 are beyond the outermost
    counted = votes(row(0, 0.5, 0.75, 1, 3), 3, circular=False, soft=True)[0, :, 0]
    assert counted.tolist() == [[1, 1, 0.75, 0.5, 0], [0, 0, 0.25, 0.5, 0], [0, 0, 0, 0, 1]]


def test_circular_votes_by_hand():
    # 0 and 3 are the same angle, halfway between the last centre and the first
    counted = votes(row(0, 3, 0.25, 2.75, 1.5), 3, circular=True, soft=True)[0, :, 0]
    assert counted.tolist() == [[0.5, 0.5, 0.75, 0.25, 0], [0, 0, 0, 0, 1], [0.5, 0.5, 0.25, 0.75, 0]]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("bins", [2, 3, 9])
def test_votes_sum_to_the_weights(bins, circular, soft):
    places = torch.from_numpy(RNG.random((4, 5, 6)) * bins)
    weights = torch.from_numpy(RNG.random((4, 5, 6)))
    counted = votes(places, bins, circular=circular, soft=soft, weights=weights)
    assert counted.shape == (4, bins, 5, 6)
    torch.testing.assert_close(counted.sum(1), weights)


def test_hard_votes_are_numpys_histogram():
    values = RNG.random(1000)
    counted = votes(torch.from_numpy(values * 7)[None, None], 7, circular=False, soft=False).sum((0, 2, 3))
    np.testing.assert_array_equal(counted.numpy(), np.histogram(values, 7, (0, 1))[0])


def test_places_and_weights_are_left_alone():
    places, weights = torch.rand(2, 3, 3) * 4, torch.rand(2, 3, 3)
    before = places.clone(), weights.clone()
    for soft in (False, True):
        votes(places, 4, circular=False, soft=soft, weights=weights)
    assert torch.equal(places, before[0])
    assert torch.equal(weights, before[1])


def test_regions_are_as_even_as_they_can_be():
    assert regions(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    torch.testing.assert_close(regions(5, 2), torch.tensor([[1 / 2, 1 / 2, 0, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]]))
    torch.testing.assert_close(regions(7, 3).sum(1), torch.ones(3))


def test_hard_cells_leave_out_the_rest():
    assert cells(5, 2, soft=False).tolist() == [[0.5, 0.5, 0, 0, 0], [0, 0, 0.5, 0.5, 0]]


def test_soft_cells_by_hand():
    # centres ½ and 2½: pixel 1 counts ¾ for the first cell and ¼ for the second, each divided by 2
    expected = torch.tensor([[0.75, 0.75, 0.25, 0], [0, 0.25, 0.75, 0.75]]) / 2
    assert torch.equal(cells(4, 2, soft=True), expected)


def test_pooled_by_hand():
    planes = torch.arange(16.0).view(1, 1, 4, 4)
    # the mean of 0, 1, 4, 5 is 2½
    assert pooled(planes, regions(4, 2), regions(4, 2)).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
