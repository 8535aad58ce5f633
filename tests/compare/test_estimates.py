"""Student's t and η² against scipy."""

import numpy as np
import pytest
from scipy import stats

from deeprob.compare.estimates import Estimate, estimate, eta_squared, student_t, two_sided


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 1000, 4001])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_students_t_is_scipys(degrees, level):
    assert student_t(degrees, level) == pytest.approx(stats.t.ppf(0.5 + level / 2, degrees), rel=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 99, 1000])
@pytest.mark.parametrize("t", [0.0, 0.1, 1.0, -2.5, 7.0, np.inf])
def test_the_probability_outside_is_scipys(t, degrees):
    assert two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-9, abs=1e-13)


def test_an_interval_is_scipys():
    values = [0.91, 0.87, 0.95, 0.9]
    found = estimate(values)
    ends = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.ends == pytest.approx(ends, rel=1e-9)
    assert found.number == 4


def test_a_single_value_has_no_interval():
    assert estimate([0.5]) == Estimate(0.5, None, 1)
    assert estimate([0.5]).ends == (0.5, 0.5)
    assert estimate([]) is None


def test_two_values_by_hand():
    # s = √2, s/√2 = 1, and t of one degree of freedom is tan(0.95·π/2)
    assert estimate([1.0, 3.0]) == pytest.approx((2.0, np.tan(0.95 * np.pi / 2), 2))


def test_the_share_explained_by_hand():
    # means 1 and 5 about 3: 2·4 + 2·4 = 16 of 16 + 4
    assert eta_squared([[0.0, 2.0], [4.0, 6.0]]) == pytest.approx(16 / 20)


def test_the_share_explained_is_that_of_scipys_analysis_of_variance():
    rng = np.random.default_rng(0)
    groups = [rng.normal(mean, 1.0, size).tolist() for mean, size in ((0.0, 5), (0.5, 8), (2.0, 3))]
    f = stats.f_oneway(*groups).statistic
    between, within = 2, 16 - 3
    assert eta_squared(groups) == pytest.approx(f * between / (f * between + within), rel=1e-9)


def test_nothing_to_explain():
    assert eta_squared([]) == 0.0
    assert eta_squared([[], []]) == 0.0
    assert eta_squared([[1.0, 1.0], [1.0]]) == 0.0
    assert eta_squared([[1.0], [2.0]]) == 1.0
