import pytest
import torch

from deeprob.features.codebook_learning import codebook, directions


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


def test_directions_by_hand():
    points = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -5.0]])
    for seed in range(20):
        words = directions(points, 2, torch.Generator().manual_seed(seed), 5).abs()
        if not torch.equal(words[0], words[1]):  # both may start on one line, and then the second has no points
            assert sorted(words.tolist()) == [[0.0, 1.0], [1.0, 0.0]]
    one = directions(
        torch.tensor([[2.0, 1.0], [-1.0, -2.0]]), 1, rng(), 50
    )  # the first axis of Σ z zᵀ = [[5, 4], [4, 5]]
    torch.testing.assert_close(one.abs(), torch.full((1, 2), 0.5**0.5))


def test_directions_come_nearer_with_each_move():
    points = torch.randn(3000, 6, generator=rng())

    def left_over(moves: int) -> float:
        words = directions(points, 30, rng(), moves)
        torch.testing.assert_close(words.square().sum(1), torch.ones(30))
        return (points.square().sum(1) - (points @ words.T).square().amax(1)).mean().item()

    far = [left_over(moves) for moves in range(8)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.9 * far[0]


def test_directions_of_points_that_are_nothing_stay_finite():
    assert torch.isfinite(directions(torch.zeros(10, 3), 4, rng(), 3)).all()
