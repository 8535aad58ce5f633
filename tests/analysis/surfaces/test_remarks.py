import numpy as np
import pytest
import torch

from deeprob.analysis.surfaces import BowlConfig, Descent, racers_of, remarks
from deeprob.analysis.surfaces.remarks import crossed, exponent, first, remarks_on, uneven, until_thousandth


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", remarks.REMARKS)
def test_the_remarks_hold(name):
    found = list(remarks_on([name]))
    assert found
    assert [remark.text for remark in found if not remark.holds] == []
    assert all(remark.numbers for remark in found)


def test_there_are_none_on_other_surfaces():
    assert list(remarks_on(["beale", "rosenbrock", "ravine"])) == []


def test_a_remark_can_fail(monkeypatch):
    monkeypatch.setattr(remarks.LocalMinimaConfig, "start", (1.0, 0.5))  # on the other side of the barrier
    assert [remark.holds for remark in remarks.local_minimum()] == [False]
    monkeypatch.setattr(remarks.SaddleConfig, "start", (-1.5, 0.4))  # far from the ridge
    assert [remark.holds for remark in remarks.saddle()] == [False]


def test_sgd_at_its_best_rate_takes_as_long_as_theory_says():
    numbers = list(remarks.zigzag())[1].numbers
    # (1 − 2/(1 + κ))^(2t) < 1/1000 once t > ln(1000)/(2 ln((κ + 1)/(κ − 1))): 17.2 and 172.7
    assert numbers.split(": ")[1].startswith("sgd 1, 18, 173; momentum 1, ")


def path(points, losses=None):
    points = np.array(points, dtype=float)
    (racer,) = racers_of(["sgd"])
    count = np.arange(len(points))
    return Descent(racer, points, np.array(losses if losses else count[::-1] + 1.0), count, count / 1.0, False)


def test_what_is_measured_by_hand():
    bowl = BowlConfig(condition=10)
    assert first(np.array([False, False, True, False, True])) == 2
    assert first(np.array([False, False])) is None
    way = path([[4, 1], [3, -1], [2, -0.5], [1, 0.5], [0, -0.1]], [5000, 400, 30, 4, 1])
    assert until_thousandth(way) == 3
    assert until_thousandth(path([[1, 1], [1, 1]], [3, 2])) == 1
    assert crossed(way, bowl) == pytest.approx(2 / 3)
    # x: moves of 4 for slopes of 4 + 3 + 2 + 1; y: moves of 2 + 0.5 + 1 + 0.6 for 10(1 + 1 + 0.5 + 0.5)
    assert uneven(way, bowl) == pytest.approx((4 / 10) / (4.1 / 30))


def test_a_power_law_is_found():
    lengths = np.arange(1, 200) ** -0.5
    assert exponent(path(np.stack([np.cumsum([0, *lengths]), np.zeros(200)], 1)), 20) == pytest.approx(-0.5)
