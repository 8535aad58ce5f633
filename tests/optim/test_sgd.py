import pytest
import torch
from torch import nn

from deeprob.optim import SGDConfig


def walk(start: float, gradients: list[float], **fields: object) -> list[float]:
    """Where a single weight goes under given gradients."""
    weight = nn.Parameter(torch.tensor([[start]], dtype=torch.float64))
    optimizer = SGDConfig(**fields).build([weight])
    places = []
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        places.append(weight.item())
    return places


def test_plain_steps():
    assert walk(1.0, [0.5, -2.0], lr=0.1) == pytest.approx([1 - 0.1 * 0.5, 0.95 + 0.1 * 2])


def test_momentum():
    # v = 1, then 0.9·1 + 1 = 1.9, then 0.9·1.9 − 2 = −0.29
    expected = [1 - 0.1, 0.9 - 0.19, 0.71 + 0.029]
    assert walk(1.0, [1, 1, -2], lr=0.1, momentum=0.9) == pytest.approx(expected)


def test_nesterov():
    # steps along g + 0.9·v: 1 + 0.9·1 = 1.9, then 1 + 0.9·1.9 = 2.71
    expected = [1 - 0.19, 0.81 - 0.271]
    assert walk(1.0, [1, 1], lr=0.1, momentum=0.9, nesterov=True) == pytest.approx(expected)


def test_dampening_acts_from_the_second_step_on():
    # v = 1 (torch starts with the gradient itself), then 0.9·1 + (1 − 0.5)·1 = 1.4
    expected = [1 - 0.1, 0.9 - 0.14]
    assert walk(1.0, [1, 1], lr=0.1, momentum=0.9, dampening=0.5) == pytest.approx(expected)


def test_weight_decay_is_a_gradient_of_decay_times_w():
    # 1 − 0.1·(1 + 0.5·1) = 0.85, then 0.85 − 0.1·(1 + 0.5·0.85) = 0.7075
    assert walk(1.0, [1, 1], lr=0.1, weight_decay=0.5) == pytest.approx([0.85, 0.7075])


def test_weight_decay_goes_through_momentum():
    # v = 1.5, w = 0.85; v = 0.9·1.5 + 1 + 0.5·0.85 = 2.775, w = 0.85 − 0.2775
    assert walk(1.0, [1, 1], lr=0.1, weight_decay=0.5, momentum=0.9) == pytest.approx([0.85, 0.5725])


@pytest.mark.parametrize("fields", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_without_momentum_or_with_dampening_is_reported(fields):
    (problem,) = SGDConfig(nesterov=True, **fields).problems()
    assert problem.startswith("nesterov=true: ")


@pytest.mark.parametrize("fields", [{}, {"momentum": 0.9, "nesterov": True}, {"dampening": 0.1}])
def test_what_goes_together_is_no_problem(fields):
    assert list(SGDConfig(**fields).problems()) == []
