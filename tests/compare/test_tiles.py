"""Colors of heat maps, and the texts on them."""

import re

import pytest

from deeprob.compare.effects import HeatMap, Level
from deeprob.compare.tiles import EVEN, SCALE, heat_maps, luminance, painted, scale_color


def heat(rows="a", columns="b", **cells) -> HeatMap:
    """Return a heat map of means, such as ``xy=0.5`` for the row x and the column y."""
    found = {(name[0], name[1]): Level("", mean, 2, 0 if mean is not None else 2) for name, mean in cells.items()}
    return HeatMap(rows, columns, ["x", "z"], ["y", "w"], found)


def tiles(text: str) -> list[str]:
    return re.findall(r"<td ?(.*?)>(.*?)</td>", text)[1:]  # the first is the corner


@pytest.mark.parametrize(("metric", "worst", "best"), [("test/accuracy", 0, 1), ("test/loss", 1, 0)])
def test_the_best_is_darkest_and_framed(metric, worst, best):
    found = tiles(heat_maps([heat(xy=0.25, xw=0.75)], metric))
    assert found[worst][0] == f'style="{painted(0)}"'
    assert found[best][0] == f'class="top" style="{painted(1)}"'


def test_what_is_missing_and_what_was_lost():
    found = tiles(heat_maps([heat(xy=0.25, xw=0.75, zy=None)], "test/accuracy"))
    assert found[2] == ('class="none lost"', "2 lost")
    assert found[3] == ('class="none"', "–")


def test_equal_means_have_one_color_and_no_best():
    assert [style for style, _ in tiles(heat_maps([heat(xy=0.5, xw=0.5)], "test/accuracy"))[:2]] == [
        f'style="{painted(0.5)}"'
    ] * 2


def test_of_several_maps_the_first_is_seen():
    text = heat_maps([heat(xy=0.5, xw=0.6), heat("c", "<d>", xy=0.5, xw=0.6)], "test/accuracy")
    assert re.findall(r'<div class="map"( hidden)?>', text) == ["", " hidden"]
    assert re.findall(r"<option.*?>(.*?)</option>", text) == ["a and b", "c and &lt;d&gt;"]
    assert "<select" not in heat_maps([heat(xy=0.5)], "test/accuracy")


def test_colors_of_the_scale():
    assert [scale_color(part) for part in (-1, 0, 1 / 3, 1, 2)] == [SCALE[0], SCALE[0], SCALE[1], SCALE[3], SCALE[3]]
    assert scale_color(0.5) == (80, 156, 200)  # half way between the second and the third


def test_texts_are_legible_on_every_color():
    assert [luminance(ground) for ground in ((0, 0, 0), (255, 255, 255))] == pytest.approx([0, 1])
    black, white = (EVEN + 0.05) / 0.05, 1.05 / (EVEN + 0.05)
    assert black == pytest.approx(white, rel=1e-2)
    for place in range(101):
        ground = luminance(scale_color(place / 100))
        ink = 0.0 if painted(place / 100).endswith("#000") else 1.0
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) > 4.5, place
