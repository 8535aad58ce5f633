import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob.analysis.surfaces import BowlConfig, Race, SaddleConfig, descend, racers_of
from deeprob.figures.of_optimizers.paths import FAR, RATIO, grid_of, labels, paths, shown_limits, size, stroke
from deeprob.figures.style import PALETTE, png


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def race(surface, *words, start=None, steps=4):
    start = start or surface.start
    return Race(surface, start, [descend(surface, racer, start, steps=steps) for racer in racers_of(words)])


def lines(axes, color):
    return [line for line in axes.get_lines() if line.get_color() == color and line.get_linestyle() == "-"]


def test_each_path_begins_at_the_start_and_ends_where_it_came():
    race_ = race(BowlConfig(), "sgd lr=0.01", "adam lr=0.1", start=(-3.0, 1.0))
    (axes,) = paths([race_]).axes
    for number, descent in enumerate(race_.descents):
        (path,) = lines(axes, PALETTE[number])
        drawn = path.get_xydata()
        assert drawn[0].tolist() == [-3.0, 1.0]
        assert drawn.tolist() == descent.points.tolist()
    marks = {line.get_marker(): line.get_xydata().tolist() for line in axes.get_lines() if line.get_marker() in "*o"}
    assert marks["*"] == [[0, 0]]


def test_several_races_are_panels_with_the_same_colors():
    races = [
        race(BowlConfig(), "sgd lr=0.01"),
        race(SaddleConfig(), "sgd lr=0.2"),
        race(BowlConfig(), "sgd lr=0.02"),
    ] * 2
    figure = paths(races)
    assert [axes.get_title("left") for axes in figure.axes] == ["bowl", "saddle", "bowl"] * 2
    assert all(len(lines(axes, PALETTE[0])) == 1 for axes in figure.axes)
    assert sum(line.get_marker() == "*" for line in figure.axes[1].get_lines()) == 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["sgd", "start", "global minimum", "end"]


def test_a_picture_has_its_size_and_bytes():
    races = [race(BowlConfig(), "sgd lr=0.01")]
    one, two = (png(paths(races), dpi=50) for _ in range(2))
    assert one == two
    with Image.open(io.BytesIO(one)) as picture:
        assert picture.size == tuple(int(50 * inches) for inches in size(races))


def test_names_tell_learning_rates_where_they_are_the_same_and_what_diverged():
    bowl, saddle = race(BowlConfig(), "sgd lr=0.1"), race(SaddleConfig(), "sgd lr=0.2")
    assert labels([bowl]) == ["sgd lr=0.1"]
    assert labels([bowl, saddle]) == ["sgd"]
    assert labels([saddle, saddle]) == ["sgd lr=0.2"]
    gone = bowl._replace(descents=[replace(bowl.descents[0], diverged=True)])
    assert labels([gone, saddle]) == ["sgd (diverged on bowl)"]
    assert labels([bowl]) == ["sgd lr=0.1"]


def test_a_path_that_diverges_is_drawn():
    race_ = race(BowlConfig(), "sgd lr=100", steps=500)
    assert race_.descents[0].diverged
    figure = paths([race_])
    (path,) = lines(figure.axes[0], PALETTE[0])
    assert np.abs(path.get_xydata()).max() == FAR
    assert png(figure, dpi=30).startswith(b"\x89PNG")


def test_the_frame_holds_limits_and_start():
    assert shown_limits((0, 10, 0, 8), (5, 5)) == (0, 10, 0, 8)
    assert shown_limits((0, 10, 0, 2), (5, 1)) == (0, 10, -3, 5)
    left, right, bottom, top = shown_limits((0, 1, 0, 1), (-4, 0.5))
    assert left < -4
    assert right >= 1
    assert (top - bottom) / (right - left) == pytest.approx(RATIO)


def test_heights_lie_where_the_surface_has_them():
    x, y, heights = grid_of(BowlConfig(condition=10), (0, 2, -1, 1), points=5)
    assert (x.tolist(), y.tolist()) == ([0, 0.5, 1, 1.5, 2], [-1, -0.5, 0, 0.5, 1])
    assert heights[1, 4] == pytest.approx((4 + 10 * 0.25) / 2)


def test_no_two_of_twenty_look_alike():
    assert len({str(stroke(number)) for number in range(20)}) == 20
