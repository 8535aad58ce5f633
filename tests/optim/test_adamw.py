import math

import pytest
import torch
from torch import nn

from deeprob.optim import AdamWConfig


def walk(start: float, gradients: list[float], **fields: object) -> list[float]:
    """Where a single weight goes under given gradients."""
    weight = nn.Parameter(torch.tensor([[start]], dtype=torch.float64))
    optimizer = AdamWConfig(**fields).build([weight])
    places = []
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        places.append(weight.item())
    return places


@pytest.mark.parametrize("gradient", [1e-3, 0.5, -70.0])
def test_the_first_step_has_the_length_of_the_rate(gradient):
    # m̂ = g and v̂ = g², so m̂/√v̂ is the sign of g
    (place,) = walk(1.0, [gradient], lr=0.1, weight_decay=0.0, eps=0.0)
    assert place == pytest.approx(1 - math.copysign(0.1, gradient))


def test_two_steps_by_hand():
    # step 1, g = 0.5:  m = 0.05, v = 0.00025, m̂ = 0.5, v̂ = 0.25;  w = 0.99·1 − 0.1·0.5/0.5 = 0.89
    # step 2, g = −1:   m = 0.9·0.05 − 0.1 = −0.055, v = 0.999·0.00025 + 0.001 = 0.00124975
    m_hat = -0.055 / (1 - 0.9**2)
    v_hat = 0.00124975 / (1 - 0.999**2)
    expected = [0.89, 0.99 * 0.89 - 0.1 * m_hat / math.sqrt(v_hat)]
    assert walk(1.0, [0.5, -1.0], lr=0.1, weight_decay=0.1, eps=0.0) == pytest.approx(expected)


def test_eps_is_added_to_the_root():
    assert walk(0.0, [1.0], lr=0.1, weight_decay=0.0, eps=3.0) == pytest.approx([-0.1 / (1 + 3)])


def test_the_betas_are_memories_of_the_gradient_and_of_its_square():
    # β₁ = 0: m̂ = g. β₂ = ½: v = ½, then ½·½ + ½·9 = 4.75, divided by 1 − ¼
    expected = [-0.1, -0.1 - 0.1 * 3 / math.sqrt(4.75 / 0.75)]
    places = walk(0.0, [1.0, 3.0], lr=0.1, beta1=0.0, beta2=0.5, eps=0.0, weight_decay=0.0)
    assert places == pytest.approx(expected)


def test_decay_is_decoupled_from_the_gradients_scale():
    small, large = (walk(1.0, [g], lr=0.1, weight_decay=0.5, eps=0.0)[0] for g in (1e-3, 1e3))
    assert small == pytest.approx(0.95 - 0.1)
    assert large == pytest.approx(0.95 - 0.1)


@pytest.mark.parametrize(("amsgrad", "v"), [(False, 1.0), (True, 2.0)])
def test_amsgrad_keeps_the_largest_square(amsgrad, v):
    # β₁ = 0 and β₂ = ½: v = ½·4 = 2, then ½·2 = 1, then ½·1 + ½·1 = 1; the largest is 2
    fields = {"amsgrad": amsgrad, "eps": 0.0, "weight_decay": 0.0}
    places = walk(0.0, [2.0, 0.0, 1.0], lr=0.1, beta1=0.0, beta2=0.5, **fields)
    assert places[2] - places[1] == pytest.approx(-0.1 * 1 / math.sqrt(v / (1 - 0.5**3)))
