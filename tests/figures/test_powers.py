import re

import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from deeprob.figures.powers import RAISED, PowerFormatter
from deeprob.figures.style import drawn, png


@pytest.mark.parametrize(
    ("number", "label"),
    [(1.0, "10⁰"), (1e-12, "10⁻¹²"), (2e3, "2×10³"), (0.0, "0"), (-1e4, "−10⁴"), (1.25, "1.25×10⁰"), (1 / 1e4, "10⁻⁴")],
)
def test_numbers(number, label):
    formatter = PowerFormatter()
    Figure().subplots().yaxis.set_major_formatter(formatter)
    assert formatter(number) == label


def labels_of(axis):
    ticks = (axis.get_majorticklocs(), axis.get_minorticklocs())
    formatters = axis.get_major_formatter(), axis.get_minor_formatter()
    return [format.format_ticks(places) for places, format in zip(ticks, formatters, strict=True)]


@pytest.mark.parametrize("limits", [(1e-9, 1e5), (0.7, 200), (0.06, 0.3), (1.1, 1.35)])
def test_labels_are_those_of_matplotlib(limits):
    figure = drawn((3, 2), lambda canvas: canvas.subplots().set(yscale="log", ylim=limits))
    png(figure)
    axis = figure.axes[0].yaxis
    labels = labels_of(axis)
    axis.set_major_formatter(LogFormatterSciNotation())
    axis.set_minor_formatter(LogFormatterSciNotation())
    plain = [
        [
            re.sub(r"\^\{(.*?)\}", lambda power: power[1].translate(RAISED), label)
            .removeprefix(r"$\mathdefault{")
            .removesuffix("}$")
            .replace(r"\times", "×")
            for label in level
        ]
        for level in labels_of(axis)
    ]
    assert labels == plain
    assert any(labels[0] + labels[1])


def test_axes_that_share_a_scale_and_insets_have_them_too():
    def draw(canvas):
        axes = canvas.subplots(2, 2, sharex="col", sharey="row", squeeze=False)
        axes[0, 0].set(xscale="log", yscale="log", xlim=(1, 100), ylim=(1, 100))
        axes[1, 1].inset_axes((0, 0, 1, 1)).set(xscale="log", xlim=(1, 100))

    figure = drawn((4, 4), draw)
    inset = figure.axes[3].child_axes[0]
    for axis in (figure.axes[0].yaxis, figure.axes[1].yaxis, figure.axes[2].xaxis, inset.xaxis):
        assert axis.get_major_formatter()(10.0) == "10¹"
