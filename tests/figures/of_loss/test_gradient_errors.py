import math

import pytest

from deeprob.analysis.gradients.differences import EntryCheck, SlopeCheck
from deeprob.analysis.gradients.slopes import STEP, Ray
from deeprob.figures.of_loss.gradient_errors import ErrorCurve, error_curve, gradient_errors
from deeprob.figures.style import png

STEPS = [10.0**-k for k in range(12, 0, -1)]


def comparison(slope=1.0, verdict="ok", place=(0,), formula=None):
    checks = []
    for claimed in (slope,) if formula is None else (slope, formula):
        ray = Ray(lambda t: 1 + slope * math.expm1(t), 1.0, claimed)
        checks.append(SlopeCheck(ray, ray.slopes(STEP), ray.slopes(STEP), 1e-6, verdict))
    return EntryCheck("w", place, 1.0, *checks)


def test_errors_of_an_exponential_are_those_of_the_textbook():
    curve = error_curve([comparison()], STEPS)
    assert curve.entries == 1
    assert curve.one_sided[-1] == pytest.approx(0.1 / 2, rel=0.05)
    assert curve.central[-1] == pytest.approx(0.01 / 6, rel=0.05)
    assert 1e-9 < STEPS[curve.one_sided.index(min(curve.one_sided))] < 1e-6
    assert 1e-7 < STEPS[curve.central.index(min(curve.central))] < 1e-3


def test_what_is_no_clear_slope_of_an_entry_is_left_out():
    others = [comparison(verdict="kink"), comparison(verdict="wrong"), comparison(place=None), comparison(1e-12)]
    assert error_curve(others, STEPS) is None
    assert error_curve([*others, comparison()], STEPS).entries == 1
    assert error_curve([comparison()] * 100, STEPS[:2], most=24).entries <= 24


def test_both_curves_and_their_best_steps_are_drawn():
    curve = ErrorCurve([1e-8, 1e-5, 1e-2], [1e-6, 0.0, 1e-4], [1e-7, 1e-5, 1e-2], 7)
    figure = gradient_errors(curve, 6e-6, 1e-6)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    one_sided, central = axes.get_lines()[:2]
    assert list(one_sided.get_ydata()) == curve.one_sided
    assert central.get_ydata()[1] == pytest.approx(
        2.2e-16, rel=0.01
    )  # an error of 0 has no place on a logarithmic axis
    assert (one_sided.get_markevery(), central.get_markevery()) == ([0], [1])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "one-sided  (f(x + h) − f(x)) / h, at best 1e-07 with h = 1e-08",
        "central  (f(x + h) − f(x − h)) / 2h, at best 2e-16 with h = 1e-05",
    ]
    assert "7 entries" in axes.get_title(loc="left")
    assert png(figure) == png(gradient_errors(curve, 6e-6, 1e-6))


def test_the_formulas_have_an_error_without_a_step():
    assert error_curve([comparison()], STEPS).formula is None
    curve = error_curve([comparison(formula=1 + error) for error in (0.0, 1e-12, 1e-3)], STEPS)
    assert curve.formula == pytest.approx(1e-12, rel=1e-3)  # the median
    (axes,) = gradient_errors(curve, 6e-6, 1e-6).axes
    line = axes.get_lines()[2]
    assert list(line.get_ydata()) == [curve.formula] * 2
    assert line.get_label() == "formula  (no h), 1e-12"
