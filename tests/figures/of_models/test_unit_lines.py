import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from deeprob.figures.of_models.unit_lines import draw_units
from deeprob.figures.style import INK, palette_color

LIMITS = (-2.0, 2.0, -1.0, 1.0)


def drawn(v, c, strengths=None, colors=None, limits=LIMITS):
    axes = Figure().subplots()
    v, c = torch.tensor(v).double(), torch.tensor(c).double()
    units = len(v)
    draw_units(
        axes,
        v,
        c,
        torch.ones(units) if strengths is None else torch.tensor(strengths),
        colors or [INK] * units,
        limits,
    )
    return axes


def test_a_units_line_is_where_it_is_0_and_its_arrow_is_its_template():
    axes = drawn([[[3.0, 4.0]], [[1.5, -2.0]]], [[1.0], [0.5]])
    assert len(axes.lines) == 2
    for line, v, c in zip(axes.lines, ([3.0, 4.0], [1.5, -2.0]), (1.0, 0.5), strict=True):
        np.testing.assert_allclose(line.get_xydata() @ v + c, 0, atol=1e-12)
        assert np.ptp(line.get_xydata(), axis=0).max() > 4  # through all of the view
    long, short = (np.subtract(arrow.xy, arrow.xyann) for arrow in axes.texts)
    diagonal = (4**2 + 2**2) ** 0.5
    np.testing.assert_allclose(long, np.array([3.0, 4.0]) / 5 * diagonal / 8)
    np.testing.assert_allclose(short, np.array([1.5, -2.0]) / 5 * diagonal / 8)
    for arrow, v, c in zip(axes.texts, ([3.0, 4.0], [1.5, -2.0]), (1.0, 0.5), strict=True):
        assert np.dot(arrow.xyann, v) + c == pytest.approx(0, abs=1e-12)


def test_with_a_scale_for_each_axis_arrows_are_as_in_a_square():
    axes = drawn([[[1.0, 0.00390625]]], [[0.5]], limits=(-2.0, 2.0, -1000.0, 1000.0))
    (line,), (arrow,) = axes.lines, axes.texts
    np.testing.assert_allclose(line.get_xydata() @ [1.0, 0.00390625] + 0.5, 0, atol=1e-12)
    along, across = (np.array(step) / [4, 2000] for step in (np.subtract(arrow.xy, arrow.xyann), [0.00390625, -1.0]))
    assert along @ across == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(along) == pytest.approx(2**0.5 / 8)


def test_a_maxout_unit_has_a_line_for_each_piece():
    axes = drawn([[[1.0, 0.0], [0.0, 1.0]]], [[-0.5, 0.25]])
    vertical, horizontal = (line.get_xydata() for line in axes.lines)
    np.testing.assert_allclose(vertical[:, 0], 0.5)
    np.testing.assert_allclose(horizontal[:, 1], -0.25)


def test_the_stronger_a_unit_the_more_visible_and_the_later_it_is_drawn():
    axes = drawn([[[1.0, 0.0]], [[0.0, 1.0]]], [[0.0], [0.0]], [1.0, 0.2], [palette_color(0), palette_color(1)])
    weak, strong = axes.lines
    assert (to_hex(weak.get_color()), to_hex(strong.get_color())) == (palette_color(1), palette_color(0))
    assert weak.get_alpha() == pytest.approx(0.1 + 0.9 * 0.2)
    assert strong.get_alpha() == 1.0
    assert weak.get_linewidth() < strong.get_linewidth()


def test_a_unit_without_weights_has_no_line_and_one_out_of_sight_no_arrow():
    axes = drawn([[[0.0, 0.0]], [[1.0, 0.0]]], [[1.0], [-50.0]])
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata()[:, 0], 50)
    assert not axes.texts


def test_of_many_units_only_the_strongest_have_arrows():
    angles = torch.linspace(0, 6, 40)
    v = torch.stack([angles.cos(), angles.sin()], 1)[:, None].tolist()
    axes = drawn(v, [[0.0]] * 40, torch.linspace(0, 1, 40).tolist())
    assert len(axes.lines) == 40
    assert len(axes.texts) == 16
