"""Slopes told right, at a kink, or wrong, on lines whose slopes are known by hand."""

import math
from itertools import repeat

import pytest
import torch
import torch.nn.functional as F

from deeprob.analysis.gradients.slopes import EPSILON, STEP, Ray, examine, relative
from deeprob.models.activations import maxout
from deeprob.objective.losses import Hinge, OneVsAllHinge


def scalar(function):
    """A line made of a function of 0-d tensors."""
    return lambda t: function(torch.tensor(t, dtype=torch.float64)).item()


def verdict(along, slope, around=()):
    return examine(Ray(along, along(0.0), slope), around, STEP, 1e-6)[2]


def hinge(t):
    """The right score leads by exactly the margin at t = 0: slopes 0 and 1."""
    return Hinge(1.0, 1)(torch.stack([t, torch.ones_like(t)])[None], torch.tensor([1])).sum()


def one_vs_all(t):
    """A wrong class at its margin: slopes 0 and 1."""
    return OneVsAllHinge()(torch.stack([t - 1, torch.ones_like(t)])[None], torch.tensor([1])).sum()


KINKS = {  # a line with a kink at 0, and its slopes to the left and to the right
    "relu": (torch.relu, 0, 1),
    "leaky relu": (lambda t: F.leaky_relu(t, 0.1), 0.1, 1),
    "l1": (torch.abs, -1, 1),
    "hinge at the margin": (hinge, 0, 1),
    "one-vs-all hinge at the margin": (one_vs_all, 0, 1),
    "maxout tie": (lambda t: maxout(torch.stack([3 * t, -2 * t])[None], 2).sum(), -2, 3),
}


@pytest.fixture(params=KINKS)
def kink(request):
    function, left, right = KINKS[request.param]

    def line(t):
        return 1.5 + 0.25 * math.sin(t) + scalar(function)(t)  # a smooth part, and a loss that is not 0 there

    return line, 0.25 + left, 0.25 + right


def around(line, left, right):
    """Lines through points on both sides of the kink, with the right slopes."""
    for point in (1e-3, -2e-3, 3e-3, -4e-3, 5e-3):
        slope = (right if point > 0 else left) - 0.25 + 0.25 * math.cos(point)
        yield Ray(lambda t, point=point: line(point + t), line(point), slope)


def wrong_around(line, left, right):
    return (ray._replace(slope=1.01 * ray.slope) for ray in around(line, left, right))


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 1])
def test_a_subgradient_at_a_kink_is_no_error(kink, share):
    line, left, right = kink
    assert verdict(line, left + share * (right - left), around(*kink)) == "kink"


def test_what_lies_beyond_the_slopes_around_a_kink_is_wrong(kink):
    line, left, right = kink
    assert verdict(line, right + 3 * (right - left), around(*kink)) == "wrong"
    assert verdict(line, left - 3 * (right - left), around(*kink)) == "wrong"


def test_a_gradient_that_is_wrong_around_a_kink_too_is_wrong_there(kink):
    line, left, right = kink
    assert verdict(line, left + 0.3 * (right - left), wrong_around(*kink)) == "wrong"


@pytest.mark.parametrize("distance", [STEP / 2, STEP / 10, STEP / 300, -STEP / 7])
def test_a_kink_within_reach_of_the_step_is_told_from_an_error(kink, distance):
    line, left, right = kink
    slope = (right if distance > 0 else left) - 0.25 + 0.25 * math.cos(distance)
    assert verdict(lambda t: line(distance + t), slope) == "kink"
    assert verdict(lambda t: line(distance + t), 1.01 * slope, wrong_around(*kink)) == "wrong"


def test_a_kink_out_of_reach_is_not_seen(kink):
    line, _, right = kink
    assert verdict(lambda t: line(1e-3 + t), right - 0.25 + 0.25 * math.cos(1e-3)) == "ok"


SMOOTH = {  # a line, and its slope at 0
    "exp": (math.exp, 1.0),
    "steep": (lambda t: math.sin(2000 * t) / 2000 + 1, 1.0),  # φ‴ makes the first difference wrong by 2e-5
    "bent": (lambda t: 1 + t + 300 * t * t, 1.0),
    "a jump of φ″": (lambda t: 1 + t + (100 * t * t if t > 0 else 0), 1.0),
    "flat": (lambda t: 7.0, 0.0),
    "small": (lambda t: 1 + 1e-7 * math.sin(t), 1e-7),
    "large": (lambda t: 1e12 * math.exp(t), 1e12),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_slope_of_a_smooth_line_is_right(name):
    assert verdict(*SMOOTH[name]) == "ok"


@pytest.mark.parametrize("factor", [1.01, 0.99, -1, 0.5, 2, 0, 1 + 1e-4])
@pytest.mark.parametrize("name", ["exp", "steep", "bent", "a jump of φ″", "large"])
def test_a_wrong_slope_of_a_smooth_line_is_wrong(name, factor):
    line, slope = SMOOTH[name]
    alike = repeat(Ray(line, line(0.0), factor * slope), 64)
    assert verdict(line, factor * slope, alike) == "wrong"


@pytest.mark.parametrize("slope", [math.nan, math.inf])
def test_what_is_no_number_is_wrong(slope):
    assert verdict(math.exp, slope, repeat(Ray(math.exp, 1.0, slope), 64)) == "wrong"


def test_errors_are_those_of_the_textbook():
    seen = Ray(math.exp, 1.0, 1.0).slopes(1e-3)
    assert seen.right - 1 == pytest.approx(1e-3 / 2, rel=1e-3)
    assert seen.central - 1 == pytest.approx(1e-6 / 6, rel=1e-3)
    assert seen.gap == pytest.approx(1e-3, rel=1e-3)
    assert seen.noise == pytest.approx(2 * EPSILON / 1e-3)


def test_relative_errors_have_a_floor():
    assert relative(1.0, 1.01) == pytest.approx(0.01 / 1.01)
    assert relative(0.0, 1e-9, 1e-4) == pytest.approx(1e-5)
    assert relative(0.0, 0.0) == 0
