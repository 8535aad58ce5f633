import pytest
import torch
from torch import nn

from deeprob.optim.line import Line


def test_value_and_slope_along_a_direction_by_hand():
    # L = x² + 3y at (1, 2), gradient (2, 3); along d = (1, −1): φ(t) = (1 + t)² + 3(2 − t), φ' = 2(1 + t) − 3
    x, y, unused = nn.Parameter(torch.tensor([[1.0]])), nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.ones(2))

    def closure() -> torch.Tensor:
        x.grad = y.grad = None
        loss = (x.square() + 3 * y).sum()
        loss.backward()
        return loss

    line = Line([x, y, unused], closure)
    start, loss = line.evaluate()
    assert (start.value, loss.item(), start.largest, start.gradient.tolist()) == (7, 7, 3, [2, 3, 0, 0])
    norms = line.aim(torch.tensor([1.0, -1.0, 0.0, 0.0]), start.gradient)
    assert (norms, line.slope) == ((2, pytest.approx(2**0.5)), -1)
    there = line(2.0)
    assert (there.step, there.value, there.slope, line.evaluations) == (2, 9, 3, 2)
    assert (x.item(), y.item(), line.moved().tolist()) == (3, 0, [2, -2, 0, 0])
    line.move(0.0)
    assert (x.item(), y.item(), unused.tolist()) == (1, 2, [1, 1])
