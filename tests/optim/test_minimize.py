"""The minimum of a smooth loss."""

import pytest
import torch
from torch import nn

from deeprob.optim.minimize import minimize


def test_a_quadratic_has_its_minimum_where_its_gradient_is_0():
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    wanted = torch.tensor([1.0, 2.0], dtype=torch.float64)
    point = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    minimize(lambda: point @ matrix @ point / 2 - wanted @ point, [point], 50)
    assert point.tolist() == pytest.approx([1 / 11, 7 / 11])  # A⁻¹b


def test_gradients_are_computed_where_they_are_switched_off():
    with torch.no_grad():
        point = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))
        minimize(lambda: (point - 1).square() + 5, [point], 50)
    assert point.item() == pytest.approx(1.0)


def test_iterations_are_a_limit():
    def distance(iterations: int) -> float:
        point = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        minimize(lambda: (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2, [point], iterations)
        return (point.detach() - 1).norm().item()

    assert distance(200) < 1e-5 < 0.1 < distance(3)
