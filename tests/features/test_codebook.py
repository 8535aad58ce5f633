import pytest
import torch

from deeprob.features.codebook import codebook


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def distance(points: torch.Tensor, centres: torch.Tensor) -> float:
    return torch.cdist(points.double(), centres.double()).amin(1).square().mean().item()


def test_two_clumps_by_hand():
    points = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    assert sorted(codebook(points, 2, rng(), 10).flatten().tolist()) == [0.5, 10.5]


def test_words_come_nearer_with_each_move():
    points = torch.randn(3000, 4, generator=rng())
    far = [distance(points, codebook(points, 50, rng(), moves)) for moves in range(8)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.85 * far[0]


def test_no_move_leaves_points_of_the_data():
    points = torch.randn(100, 3, generator=rng())
    centres = codebook(points, 10, rng(), 0)
    assert (centres[:, None] == points).all(2).any(1).all()
    assert len({tuple(centre) for centre in centres.tolist()}) == 10


def test_one_move_against_means_one_by_one():
    points = torch.randn(20_000, 3, generator=rng())
    start = codebook(points, 20, rng(), 0)
    owners = torch.cdist(points.double(), start.double()).argmin(1)
    expected = torch.stack([points[owners == k].double().mean(0) for k in range(20)]).float()
    torch.testing.assert_close(codebook(points, 20, rng(), 1), expected)


@pytest.mark.parametrize("count", [4, 7])
def test_points_that_are_all_alike(count):
    points = torch.ones(10, 2)
    assert torch.equal(codebook(points, count, rng(), 3), torch.ones(count, 2))
