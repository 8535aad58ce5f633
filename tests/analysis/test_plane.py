import math

import pytest
import torch

from deeprob.analysis.plane import boundary_fields, boundary_length, grid, limits_of, margins, zero_lines


def test_limits_hold_the_points_and_a_margin():
    points = torch.tensor([[0.0, -1.0], [2.0, 3.0]])
    assert limits_of(points, margin=0.25) == pytest.approx((-0.5, 2.5, -2.0, 4.0))


def test_points_in_a_line_have_room_beside_it():
    constant = torch.tensor([[3.0, 0.0], [3.0, 10.0]])
    assert limits_of(constant) == pytest.approx((2.0, 4.0, -1.0, 11.0))
    left, right, bottom, top = limits_of(torch.tensor([[1e30, -5e20]]))
    assert left < right
    assert bottom < top


def test_a_grid_goes_row_by_row_from_the_bottom():
    assert grid((0, 1, 10, 12), 2).tolist() == [[0, 10], [1, 10], [0, 12], [1, 12]]
    assert grid((0, 1, 10, 12), 5).shape == (25, 2)


def test_margins_are_positive_for_the_winner_alone():
    scores = torch.tensor([[1.0, 4.0, 3.0], [2.0, 2.0, 0.0]])
    assert margins(scores).tolist() == [[-3, 1, -1], [0, 0, -2]]
    assert margins(torch.tensor([[0.5, 2.0]])).tolist() == [[-1.5, 1.5]]


def test_two_classes_share_a_boundary_and_more_have_one_each():
    assert boundary_fields(torch.randn(9, 2)).shape == (1, 3, 3)
    scores = torch.randn(9, 4)
    assert torch.equal(boundary_fields(scores)[2], margins(scores)[:, 2].view(3, 3))


def test_zero_lines_by_hand():
    field = torch.tensor([[-1.0, 1.0, 3.0], [-1.0, 1.0, 3.0]]).T[:2, :2]  # −1 and −1 below, 1 and 1 above
    (line,) = zero_lines(field, (0, 4, 10, 20))
    assert sorted(line.tolist()) == [[0, 15], [4, 15]]


def test_the_length_of_a_straight_boundary():
    def diagonal(points):  # x₁ > x₂ against the rest, across the unit square
        return torch.stack([points[:, 0] - points[:, 1], torch.zeros(len(points))], dim=1)

    assert boundary_length(diagonal, (0, 1, 0, 1)) == pytest.approx(math.sqrt(2), rel=1e-4)


def test_the_length_of_a_circle():
    def inside(points):
        return torch.stack([1 - points.square().sum(1), torch.zeros(len(points))], dim=1)

    assert boundary_length(inside, (-2, 2, -2, 2)) == pytest.approx(2 * math.pi, rel=1e-3)


def test_boundaries_between_three_classes_are_counted_once():
    angles = torch.tensor([0.5, 0.5 + 2 * math.pi / 3, 0.5 + 4 * math.pi / 3])
    ways = torch.stack([angles.cos(), angles.sin()]).double()  # three sectors that meet at the origin

    length = boundary_length(lambda points: points @ ways, (-1, 1, -1, 1), 400)
    edges = [
        1 / max(abs(math.cos(a + math.pi)), abs(math.sin(a + math.pi))) for a in angles.tolist()
    ]  # rays to the frame
    assert length == pytest.approx(sum(edges), rel=0.01)


def test_no_boundary_has_no_length():
    assert boundary_length(lambda points: torch.tensor([1.0, 0.0]).repeat(len(points), 1), (0, 1, 0, 1)) == 0


def test_a_plane_far_from_zero_has_as_many_points():
    points = grid((1e9, 1e9 + 1e-3, -1, 1), 11)
    assert points.unique(dim=0).shape == (121, 2)
    assert (points[:11, 0] - 1e9).tolist() == pytest.approx([1e-4 * step for step in range(11)], abs=2e-7)
