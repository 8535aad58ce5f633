import numpy as np
import pytest

from deeprob.analysis.landscape.kinds import KINDS, above_a_chord, minima, shape_of

X = np.linspace(-1, 1, 201)


def test_a_bowl_is_convex_ish():
    shape = shape_of(X**2)
    assert (shape.above, shape.minima, shape.kind) == (pytest.approx(0, abs=1e-12), 1, "convex-ish")
    assert shape.travel == pytest.approx(2)


def test_a_hill_is_non_convex():
    shape = shape_of(-(X**2))
    assert (shape.above, shape.minima, shape.kind) == (pytest.approx(1), 0, "non-convex")


def test_two_wells_are_local_minima():
    shape = shape_of((X**2 - 0.25) ** 2)  # 0 at ±½, 1/16 between, 9/16 at the ends
    assert (shape.minima, shape.kind) == (2, "local minima")
    assert shape.above == pytest.approx(1 / 9, abs=1e-3)  # of the range 9/16
    assert shape.travel == pytest.approx(2 + 2 / 9, abs=1e-3)


def test_a_wave_is_wild():
    shape = shape_of(-np.cos(5 * np.pi * X))
    assert (shape.minima, shape.kind) == (5, "wild")
    assert shape.travel == pytest.approx(10, rel=1e-3)
    assert shape.above == pytest.approx(1, abs=1e-2)


def test_four_minima_that_are_shallow_are_not_wild():
    values = X**2 - 0.03 * np.cos(8 * np.pi * X)
    assert shape_of(values).travel < 4
    assert shape_of(values).kind in ("local minima", "convex-ish", "")


def test_minima_that_are_no_deeper_than_the_barrier_do_not_count():
    assert minima(np.array([1, 0, 0.04, 0, 1])) == 1
    assert minima(np.array([1, 0, 0.05, 0, 1])) == 2
    assert minima(np.array([0, 1, 0.0])) == 0  # ends are none
    assert minima(np.array([1, 0.5, 0.0])) == 0


def test_the_height_above_a_chord_is_the_largest_over_all_triples():
    values = np.random.default_rng(0).normal(size=12)
    best = max(
        values[b] - (values[a] * (c - b) + values[c] * (b - a)) / (c - a)
        for a in range(12)
        for c in range(a + 2, 12)
        for b in range(a + 1, c)
    )
    assert above_a_chord(values) == pytest.approx(best)
    assert above_a_chord(np.array([0.0, 1.0, 0.0])) == 1
    assert above_a_chord(np.array([0.0, 1.0, 2.0])) == 0


def test_a_line_is_convex_ish_and_what_is_flat_or_infinite_has_no_shape():
    assert shape_of(3 * X).kind == "convex-ish"
    assert shape_of(np.ones(9)) is None
    assert shape_of(np.array([0.0, np.inf, 1.0])) is None
    assert shape_of(np.array([0.0, np.nan, 1.0])) is None


def test_every_kind_has_its_definition():
    assert list(KINDS) == ["convex-ish", "non-convex", "local minima", "wild"]
