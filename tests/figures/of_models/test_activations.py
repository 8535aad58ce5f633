import math

import numpy as np
import pytest
import torch

from deeprob.figures.of_models.activations import PIECES, ActivationsConfig, derivative, largest_piece
from deeprob.figures.style import FAINT, png
from deeprob.models.activations import ACTIVATIONS

SIGMOID = 1 / (1 + math.exp(-1))
PHI = (1 + math.erf(1 / math.sqrt(2))) / 2
DENSITY = math.exp(-0.5) / math.sqrt(2 * math.pi)
BY_HAND = {  # f(1), f′(1), f(−1), f′(−1)
    "relu": (1, 1, 0, 0),
    "leaky_relu": (1, 1, -0.1, 0.1),
    "elu": (1, 1, math.exp(-1) - 1, math.exp(-1)),
    "gelu": (PHI, PHI + DENSITY, PHI - 1, 1 - PHI - DENSITY),
    "silu": (SIGMOID, SIGMOID + SIGMOID * (1 - SIGMOID), SIGMOID - 1, 1 - SIGMOID - SIGMOID * (1 - SIGMOID)),
    "tanh": (math.tanh(1), 1 - math.tanh(1) ** 2, -math.tanh(1), 1 - math.tanh(1) ** 2),
    "sigmoid": (SIGMOID, SIGMOID * (1 - SIGMOID), 1 - SIGMOID, SIGMOID * (1 - SIGMOID)),
    "identity": (1, 1, -1, 1),
    "maxout": (1.2, 0.3, 0.6, -0.3),  # the pieces −0.9x − 0.3 and 0.3x + 0.9 tie at −1
}


@pytest.fixture(scope="module")
def panels():
    """Name → its axes and the two curves drawn: function and derivative."""
    found = {}
    for axes in ActivationsConfig().draw(None).axes:
        if not axes.axison:  # the sheet's last row may have places to spare
            continue
        curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
        found[axes.get_title(loc="left").strip()] = (axes, *curves)
    return found


def test_every_activation_has_a_panel_and_a_formula(panels):
    assert list(panels) == [*ACTIVATIONS, "maxout"]
    assert all(axes.get_title(loc="right") for axes, *_ in panels.values())
    assert panels["relu"][0].get_title(loc="right") == "max(0, x)"
    assert len({axes.get_xlim() for axes, *_ in panels.values()}) == 1
    assert len({axes.get_ylim() for axes, *_ in panels.values()}) == 1


@pytest.mark.parametrize("name", BY_HAND)
def test_curves_go_through_values_by_hand(panels, name):
    _, function, slope = panels[name]
    assert (function.get_linestyle(), slope.get_linestyle()) == ("-", "--")
    right, right_slope, left, left_slope = BY_HAND[name]
    assert np.interp(1, *function.get_xydata().T) == pytest.approx(right, abs=1e-4)
    assert np.interp(-1, *function.get_xydata().T) == pytest.approx(left, abs=1e-2 if name == "maxout" else 1e-4)
    assert np.interp(1, *slope.get_xydata().T) == pytest.approx(right_slope, abs=1e-4)
    if name != "maxout":  # its derivative jumps at −1
        assert np.interp(-1, *slope.get_xydata().T) == pytest.approx(left_slope, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in BY_HAND if name != "maxout"])
def test_derivatives_are_those_of_the_real_functions(name):
    x = torch.tensor([1.0, -1.0], dtype=torch.float64)
    function = ACTIVATIONS[name].function
    assert function(x).tolist() == pytest.approx(BY_HAND[name][::2])
    assert derivative(function, x).tolist() == pytest.approx(BY_HAND[name][1::2])


def test_a_jump_of_the_derivative_is_a_gap(panels):
    for name, jumps in (("relu", 1), ("leaky_relu", 1), ("maxout", 2), ("elu", 0), ("gelu", 0), ("identity", 0)):
        assert np.isnan(panels[name][2].get_ydata()).sum() == jumps, name


def test_maxout_is_the_largest_of_its_pieces(panels):
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    expected = np.max([weight * x.numpy() + bias for weight, bias in PIECES], axis=0)
    np.testing.assert_allclose(largest_piece(x), expected)
    axes, function, _ = panels["maxout"]
    thin = [line for line in axes.lines if line.get_color() == FAINT]
    assert len(thin) == len(PIECES)
    assert all(line.get_linewidth() < function.get_linewidth() for line in thin)


def test_curves_bear_their_names_apart_from_each_other(panels):
    for axes, *_ in panels.values():
        first, second = axes.texts
        assert {first.get_text(), second.get_text()} == {"f", "f′"}
        assert abs(first.xy[1] - second.xy[1]) > 0.1


def test_it_needs_no_run_and_is_the_same_twice():
    assert not ActivationsConfig.of_run
    assert png(ActivationsConfig().draw(None)) == png(ActivationsConfig().draw(None))
