"""Scales, ticks and paths of the learning curves."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from deeprob.compare.chart import APART, Axis, chart, label, linear_ticks, log_ticks, moved_apart, value_axis
from deeprob.compare.curves import Point


def points(*means, deviation=0.0):
    return [Point(epoch, mean, deviation) for epoch, mean in enumerate(means, 1)]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.5, 1.005, [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (1, 5, [1, 2, 3, 4, 5]),
        (1, 60, [10, 20, 30, 40, 50, 60]),
        (1, 61.5, [10, 20, 30, 40, 50, 60]),
        (1, 70, [20, 40, 60]),
        (-3, 3, [-2, 0, 2]),
        (0.99, 1, [0.99, 0.992, 0.994, 0.996, 0.998, 1]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert linear_ticks(low, high, 6) == pytest.approx(ticks)


def test_ticks_of_decades():
    assert log_ticks(0.5, 2000) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(1e-12, 1) == pytest.approx([1e-12, 1e-9, 1e-6, 1e-3, 1])


def test_places_on_an_axis():
    axis = Axis(0, 10, 100, 0)
    assert [axis.place(value) for value in (0, 5, 10, 20, -1)] == [100, 50, 0, 0, 100]
    log = Axis(1, 100, 0, 50, log=True)
    assert log.place(10) == pytest.approx(25)
    assert log.place(-3) == 0


def test_a_loss_over_decades_has_a_logarithmic_axis_and_an_accuracy_ends_at_one():
    assert value_axis([points(10.0, 0.05)], share=False).log
    assert not value_axis([points(10.0, 0.5)], share=False).log
    assert not value_axis([points(10.0, 0.0)], share=False).log
    assert value_axis([points(0.99, deviation=0.2)], share=True).high == pytest.approx(1.005)
    assert value_axis([points(0.3, 0.4)], share=True).high < 0.5
    flat = value_axis([points(0.0, 0.0)], share=False)
    assert flat.low < flat.high


def test_numbers_at_the_ends_do_not_overlap():
    moved = moved_apart({0: 50.0, 1: 51.0, 2: 50.5, 3: 200.0}, 10, 200)
    places = sorted(moved.values())
    assert min(b - a for a, b in itertools.pairwise(places)) >= APART
    assert moved[0] < moved[2] < moved[1] < moved[3] <= 200
    assert moved_apart({}, 0, 1) == {}
    low = moved_apart({0: 199.0, 1: 200.0}, 10, 200)
    assert low == {0: 188.0, 1: 200.0}


@pytest.mark.parametrize(
    ("value", "share", "text"),
    [(0.55, True, "55 %"), (1.0, True, "100 %"), (0.1 + 0.2, False, "0.3"), (0, False, "0"), (1e-5, False, "1e-5"),
     (20000, False, "2e+04")],
)  # fmt: skip
def test_labels(value, share, text):
    assert label(value, share) == text


def test_a_chart_is_well_formed_and_its_lines_are_where_the_values_are():
    text = chart("val/accuracy", [points(0.5, 0.75, 1.0, deviation=0.1), [], points(0.5)], ["a<b", "none", 'c"d'])
    root = ET.fromstring(text)
    groups = root.findall("g")
    assert [group.get("class") for group in groups] == ["k2", "k0"]  # the best is drawn last, an empty one not at all
    assert [group.find("title").text for group in groups] == ['c"d', "a<b"]
    band, line = groups[1].findall("path")
    assert (band.get("class"), line.get("class")) == ("band", "line")
    xs, ys = zip(*re.findall(r"([\d.]+) ([\d.]+)", line.get("d")), strict=True)
    assert [float(x) for x in xs] == pytest.approx([46, 223, 400])
    assert float(ys[0]) > float(ys[1]) > float(ys[2])
    assert float(ys[0]) - float(ys[1]) == pytest.approx(float(ys[1]) - float(ys[2]), abs=0.11)
    assert [text.text for text in root.findall("text[@class]")] == ["1", "3"]


def test_nothing_to_draw():
    assert chart("val/loss", [[], []], ["a", "b"]) == ""


@pytest.mark.parametrize("values", [(0.0,), (1e-300, 1e300), (-5.0, 5.0), (0.5, 0.5, 0.5), (1e9, 1e9 + 1)])
def test_any_values_can_be_drawn(values):
    root = ET.fromstring(chart("val/loss", [points(*values, deviation=0.5)], ["a"]))
    numbers = [float(n) for path in root.iter("path") for n in re.findall(r"-?[\d.]+", path.get("d"))]
    assert all(-1 <= number <= 420 for number in numbers)
