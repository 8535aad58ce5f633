import math
import pickle

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from deeprob.models.activations import ACTIVATIONS, maxout

POINTS = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])


EXPECTED = {
    "identity": list(POINTS),
    "relu": [0, 0, 0, 0.5, 3],
    "leaky_relu": [-0.3, -0.05, 0, 0.5, 3],  # max(0.1x, x)
    "elu": [math.exp(-3) - 1, math.exp(-0.5) - 1, 0, 0.5, 3],
    "tanh": [(math.exp(2 * x) - 1) / (math.exp(2 * x) + 1) for x in POINTS],
    "sigmoid": [1 / (1 + math.exp(-x)) for x in POINTS],
    "gelu": [x * stats.norm.cdf(x) for x in POINTS],
    "silu": [x / (1 + math.exp(-x)) for x in POINTS],
}

SLOPES = {
    "identity": [1, 1, 1, 1],
    "relu": [0, 0, 1, 1],
    "leaky_relu": [0.1, 0.1, 1, 1],
    "elu": [math.exp(-3), math.exp(-0.5), 1, 1],
    "tanh": [1 - math.tanh(x) ** 2 for x in (-3, -0.5, 0.5, 3)],
    "sigmoid": [math.exp(-x) / (1 + math.exp(-x)) ** 2 for x in (-3, -0.5, 0.5, 3)],
    "gelu": [stats.norm.cdf(x) + x * stats.norm.pdf(x) for x in (-3, -0.5, 0.5, 3)],
    "silu": [(1 + math.exp(-x) + x * math.exp(-x)) / (1 + math.exp(-x)) ** 2 for x in (-3, -0.5, 0.5, 3)],
}


def test_every_activation_was_looked_at_here():
    assert set(ACTIVATIONS) == set(EXPECTED) == set(SLOPES)


@pytest.mark.parametrize("name", EXPECTED)
def test_values(name):
    np.testing.assert_allclose(ACTIVATIONS[name].function(torch.from_numpy(POINTS)), EXPECTED[name], atol=1e-12)


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives(name):
    points = torch.tensor([-3.0, -0.5, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    ACTIVATIONS[name].function(points).sum().backward()
    np.testing.assert_allclose(points.grad, SLOPES[name], atol=1e-12)


def test_maxout_takes_the_largest_of_neighbours():
    values = torch.tensor([[1.0, 2.0, -3.0, -4.0, 0.0, 0.5], [0.0, 0.0, 5.0, 6.0, -1.0, -2.0]])
    assert maxout(values, 2).tolist() == [[2, -3, 0.5], [0, 6, -1]]
    assert maxout(values, 3).tolist() == [[2, 0.5], [5, 6]]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_stack_of_runs_can_call_it(name):
    values = torch.linspace(-3, 3, 24, dtype=torch.float64).view(2, 4, 3)
    function = ACTIVATIONS[name].function
    np.testing.assert_allclose(
        torch.func.vmap(function)(values), torch.stack([function(values[0]), function(values[1])])
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_gain_other_than_1_keeps_the_second_moment(name):
    def moment(z: float) -> float:
        return float(ACTIVATIONS[name].function(torch.tensor(z, dtype=torch.float64))) ** 2 * stats.norm.pdf(z)

    total = sum(integrate.quad(moment, *ends)[0] for ends in ((-12, 0), (0, 12)))
    assert ACTIVATIONS[name].gain == 1 or ACTIVATIONS[name].gain ** 2 * total == pytest.approx(1, rel=1e-4)


def test_rectifiers_have_a_gain_of_their_own():
    assert all(ACTIVATIONS[name].gain > 1.2 for name in ("relu", "leaky_relu", "elu", "gelu", "silu"))


def test_the_gain_of_tanh_keeps_small_signals():
    small = 1e-3
    assert ACTIVATIONS["tanh"].gain * math.tanh(small) == pytest.approx(small, rel=1e-5)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "identity"])
def test_the_gain_of_what_is_nearly_linear_is_1(name):
    assert ACTIVATIONS[name].gain == 1


def test_maxout_of_no_examples():
    assert maxout(torch.empty(0, 6), 3).shape == (0, 2)


def test_activations_are_pickled_by_their_names():
    for activation in ACTIVATIONS.values():
        assert pickle.loads(pickle.dumps(activation)) is activation
