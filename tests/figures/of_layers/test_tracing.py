import pytest
import torch

from deeprob.analysis.plane import margins
from deeprob.figures.of_layers.tracing import trace


def circle(points):
    """Class 0 within radius ½."""
    return torch.stack([0.25 - points.square().sum(1), torch.zeros(len(points))], dim=1)


def wedge(points):
    """Class 0 above x₂ = |x₁|, which bends at a place that no grid of an even number of points has."""
    return torch.stack([points[:, 1] - points[:, 0].abs(), torch.zeros(len(points))], dim=1)


def three(points):
    """Three classes, in the directions 0°, 120° and 240°."""
    angles = torch.arange(3) * 2 * torch.pi / 3
    return points @ torch.stack([angles.cos(), angles.sin()]).double()


def test_a_closed_boundary_is_one_line_on_the_circle_though_the_grid_is_coarse():
    (line,) = trace(circle, (-1, 1, -1, 1), 20)
    torch.testing.assert_close(line[0], line[-1], atol=1e-3, rtol=0)
    assert (line.norm(dim=1) - 0.5).abs().max() < 2e-4
    assert len(line) > 30


def test_a_boundary_far_from_zero_is_as_sharp():
    near, far = 2.0**30 - 1, 2.0**30 + 1  # in float32 they are the same
    (line,) = trace(lambda points: circle(points - 2.0**30), (near, far, near, far), 20)
    assert ((line - 2.0**30).norm(dim=1) - 0.5).abs().max() < 2e-4


def test_points_lie_on_the_lines_of_the_grid():
    (line,) = trace(circle, (-1, 1, -1, 1), 20)
    steps = (line + 1) / (2 / 19)
    assert (steps - steps.round()).abs().amin(1).max() < 1e-4


def test_a_bent_boundary_is_hit_where_linear_interpolation_would_miss():
    (line,) = trace(wedge, (-1, 1, -0.6, 1), 20)
    torch.testing.assert_close(line[:, 1], line[:, 0].abs(), atol=1e-4, rtol=0)


def test_each_boundary_of_several_classes_is_that_of_either():
    lines = trace(three, (-1, 1, -1, 1), 30)
    angles = torch.cat([torch.atan2(line[:, 1], line[:, 0]).rad2deg() for line in lines])
    away = torch.cat(lines).norm(dim=1) > 0.1
    assert set((angles[away].round() % 360).tolist()) == {60, 180, 300}
    assert margins(three(torch.cat(lines)))[away].abs().amin(1).max() < 1e-3
    assert len(lines) == 3


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_there_is_none_where_one_class_wins(sign):
    assert trace(lambda points: torch.tensor([[sign, 0.0]]).repeat(len(points), 1), (-1, 1, -1, 1), 10) == []
