import numpy as np
import pytest

from deeprob.analysis.landscape.convexity import TOLERANCE, triples, worst_violation

X = np.linspace(-2, 2, 21)


def test_none_in_the_parabola():
    assert worst_violation(X, (X**2)[None]) is None
    assert worst_violation(X, np.stack([np.abs(X), 1e6 * np.exp(X), 3 * X - 1, np.zeros(21)])) is None


def test_the_worst_of_cos_is_between_two_minima():
    x = np.linspace(-np.pi, np.pi, 41)
    found = worst_violation(x, np.cos(x)[None])
    assert (found.line, found.t) == (0, 0.5)
    assert (found.left, found.middle, found.right) == pytest.approx((-np.pi, 0, np.pi))
    assert (found.value, found.chord, found.excess) == pytest.approx((1, -1, 2))
    assert found.ends == pytest.approx((-1, -1))


def test_the_numbers_of_a_violation_are_the_inequality():
    values = np.random.default_rng(1).normal(size=(3, 21))
    found = worst_violation(X, values)
    left, right = (list(X).index(place) for place in (found.left, found.right))
    assert found.t * found.right + (1 - found.t) * found.left == pytest.approx(found.middle)
    assert found.ends == (values[found.line, left], values[found.line, right])
    assert found.chord == pytest.approx(found.t * found.ends[1] + (1 - found.t) * found.ends[0])
    assert found.excess == pytest.approx((found.value - found.chord) / np.abs(values[found.line]).max())
    best = max(
        (line[b] - (line[a] * (c - b) + line[c] * (b - a)) / (c - a)) / np.abs(line).max()
        for line in values
        for a in range(21)
        for c in range(a + 2, 21)
        for b in range(a + 1, c)
    )
    assert found.excess == pytest.approx(best)


@pytest.mark.parametrize(("bump", "seen"), [(0.5 * TOLERANCE, False), (2 * TOLERANCE, True)])
def test_what_rounding_could_do_is_no_violation(bump, seen):
    values = np.ones((1, 3))
    values[0, 1] += bump
    assert (worst_violation(np.arange(3.0), values) is not None) == seen


def test_a_line_with_a_number_that_is_not_finite_is_left_out():
    values = np.array([[0.0, np.inf, 0.0], [0.0, 1.0, 0.0], [np.nan, 5.0, 0.0]])
    assert worst_violation(np.arange(3.0), values).line == 1
    assert worst_violation(np.arange(3.0), values[::2]) is None


def test_how_many_inequalities_there_are():
    assert triples(range(5), 2) == 20
