import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from deeprob.models.activations import ACTIVATIONS

POINTS = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("relu", [0, 0, 0, 0.5, 3]), ("tanh", [(math.exp(2 * x) - 1) / (math.exp(2 * x) + 1) for x in POINTS])],
)
def test_values(name, expected):
    np.testing.assert_allclose(ACTIVATIONS[name].function(torch.from_numpy(POINTS)), expected, atol=1e-12)


def test_the_gain_of_relu_keeps_the_second_moment():
    def moment(z: float) -> float:
        return float(ACTIVATIONS["relu"].function(torch.tensor(z))) ** 2 * stats.norm.pdf(z)

    kept, _ = integrate.quad(moment, 0, 10)
    lost, _ = integrate.quad(moment, -10, 0)
    assert ACTIVATIONS["relu"].gain ** 2 * (kept + lost) == pytest.approx(1, rel=1e-5)


def test_the_gain_of_tanh_keeps_small_signals():
    small = 1e-3
    assert ACTIVATIONS["tanh"].gain * math.tanh(small) == pytest.approx(small, rel=1e-5)


def test_every_activation_was_looked_at_here():
    assert set(ACTIVATIONS) == {"relu", "tanh"}
