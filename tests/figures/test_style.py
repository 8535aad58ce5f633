import io
import itertools
import struct

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from deeprob.figures.style import (
    DIVERGING,
    PALETTE,
    SEQUENTIAL,
    breadth,
    drawn,
    label_axes,
    legend_columns,
    palette_color,
    plane_axes,
    png,
    shortened,
)


def seen(hexadecimal: str, matrix: np.ndarray) -> np.ndarray:
    """A color as an eye without one kind of cones sees it, in the L*a*b* space, where distance is difference."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(hexadecimal)])
    x, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ (
        matrix @ linear
    ).clip(0, 1)
    f = [np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x / 0.9505, y, z / 1.089)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Viénot, Brettel & Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats", 1999
EYES = {
    "all cones": np.eye(3),
    "no red cones": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "no green cones": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


def test_the_first_classes_are_told_apart_by_all_eyes():
    for matrix in EYES.values():
        for one, other in itertools.combinations(PALETTE[:6], 2):
            assert np.linalg.norm(seen(one, matrix) - seen(other, matrix)) > 11, (one, other)


def test_ten_classes_have_ten_colors_and_more_begin_again():
    assert len(set(PALETTE)) == 10
    assert palette_color(0) == palette_color(10) == PALETTE[0]


def test_zero_is_white():
    np.testing.assert_allclose(DIVERGING(0.5)[:3], 1, atol=0.01)
    np.testing.assert_allclose(SEQUENTIAL(0.0)[:3], 1, atol=0.01)


def test_png_has_the_size_asked_for():
    figure = drawn((3, 2), lambda canvas: canvas.subplots().plot([0, 1]))
    assert struct.unpack(">II", png(figure, dpi=100)[16:24]) == (300, 200)
    assert png(figure) == png(figure)


@pytest.mark.parametrize(
    ("name", "most", "shown"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 7, "abc…hij"),
        ("abcdefghij", 4, "a…ij"),
        ("abcdefghij", 1, "…"),
        ("猫狗鸟鱼马", 10, "猫狗鸟鱼马"),
        ("猫狗鸟鱼马", 8, "猫…鱼马"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("two\nlines\tand a\xa0space", 24, "two lines and a space"),
        ("\x1b[31mred\x07 \udcff", 20, "�[31mred� �"),
        ("_$x$ {a}", 20, "_$x$ {a}"),
    ],
)
def test_names_are_shortened_to_the_room_that_they_take(name, most, shown):
    assert shortened(name, most) == shown


def test_chinese_letters_take_the_room_of_two():
    assert [breadth(text) for text in ("cat", "猫", "e\u0301", "")] == [3, 2, 1, 0]
    assert legend_columns(["cats" * 5] * 4, 4.0) == 2
    assert legend_columns(["猫狗" * 5] * 4, 4.0) == 2


def test_no_text_is_a_formula_that_does_not_say_so():
    def draw(canvas):
        axes = canvas.subplots()
        label_axes(axes, "$x_1$", "feature 1")
        axes.set_title("$$")
        axes.set_xticks([0], ["$0 to $10"])
        axes.legend(handles=axes.plot([0, 1], label="_x $"))
        canvas.suptitle(r"\alpha $")

    with rc_context({"text.usetex": True, "axes.formatter.use_mathtext": True}):  # as someone may have set them
        figure = drawn((3, 2), draw)
        png(figure)  # $$ is no formula, and would fail as one
    (axes,) = figure.axes
    (name,) = axes.get_legend().get_texts()
    assert name.get_text() == "_x $"
    assert axes.xaxis.label.get_parse_math()
    for text in (axes.title, name, *axes.get_xticklabels(), *figure.texts):
        assert not text.get_parse_math()
        assert not text.get_usetex()


@pytest.mark.parametrize(
    ("limits", "aspect", "box"),
    [((0, 1, 0, 1), 1, None), ((0, 1, 0, 2.9), 1, None), ((0, 3.1, 0, 1), "auto", 1), ((0, 60, 0, 1e5), "auto", 1)],
)
def test_a_plane_is_no_sliver(limits, aspect, box):
    axes = Figure().subplots()
    plane_axes(axes, limits, ("age", "income"))
    assert (axes.get_aspect(), axes.get_box_aspect()) == (aspect, box)
    assert (axes.get_xlim(), axes.get_ylim()) == (limits[:2], limits[2:])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("age", "income")


def test_a_notebook_shows_a_figure():
    figure = drawn((2.0, 1.0), lambda canvas: canvas.subplots().plot([0, 1]))
    with Image.open(io.BytesIO(figure._repr_png_())) as picture:
        assert picture.size == (200, 100)
