import numpy as np
import pytest
import torch

from deeprob.optim.curvature import Curvature


def inverse_hessian(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return H by BFGS updates of γI, one pair after the other, as the textbook has it."""
    s, y = pairs[-1]
    h = np.eye(len(s)) * (s @ y) / (y @ y)
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = np.eye(len(s)) - rho * np.outer(s, y)
        h = left @ h @ left.T + rho * np.outer(s, s)
    return h


def filled(count: int, size: int, n: int = 7) -> tuple[Curvature, list[tuple[np.ndarray, np.ndarray]]]:
    rng = np.random.default_rng(0)
    curvature = Curvature({})
    curvature.allocate(size, torch.zeros(n, dtype=torch.float64))
    pairs = []
    for _ in range(count):
        s = rng.standard_normal(n)
        y = np.diag(np.arange(1.0, n + 1)) @ s
        assert curvature.add(torch.tensor(s), torch.tensor(y))
        pairs.append((s, y))
    return curvature, pairs[-size:]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 5), (3, 5), (5, 5), (6, 5), (9, 5), (10, 5), (4, 1), (7, 3)])
def test_the_direction_is_that_of_bfgs_with_the_last_pairs(count, size):
    curvature, pairs = filled(count, size)
    gradient = np.random.default_rng(1).standard_normal(7)
    direction = curvature.direction(torch.tensor(gradient))
    np.testing.assert_allclose(direction.numpy(), -inverse_hessian(pairs) @ gradient, rtol=1e-9, atol=1e-12)


def test_an_empty_memory_gives_steepest_descent():
    curvature, _ = filled(3, 5)
    curvature.clear()
    assert len(curvature) == 0
    assert curvature.direction(torch.ones(7, dtype=torch.float64)).tolist() == [-1] * 7


@pytest.mark.parametrize("change", [[-1.0, 0.0], [0.0, 1.0], [1e-17, 1.0], [float("nan"), 1.0]])
def test_a_pair_without_positive_curvature_is_left_out(change):
    curvature = Curvature({})
    curvature.allocate(3, torch.zeros(2, dtype=torch.float64))
    assert not curvature.add(torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor(change, dtype=torch.float64))
    assert len(curvature) == 0


def test_by_hand():
    # s = (1, 0), y = (2, 0): γ = ½, H = ½I; −H·(4, 6) = (−2, −3)
    curvature = Curvature({})
    curvature.allocate(3, torch.zeros(2))
    assert curvature.add(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]))
    assert curvature.direction(torch.tensor([4.0, 6.0])).tolist() == [-2, -3]
