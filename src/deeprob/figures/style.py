"""The style of all figures.

Text is dark on white. Color-blind readers can tell the colors apart. Labels are large enough for a README.
"""

import io
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure, FigureBase

from deeprob.figures.letters import make_legible
from deeprob.figures.powers import write_powers
from deeprob.tracking.files import write_whole

PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6a2f", "#882255", "#8a8a8a", "#b8b000",
)  # fmt: skip
"""The colors of classes, in the same order in all figures.

They are from Okabe & Ito, "Color universal design", 2008, with three more colors.
"""

INK, FAINT, PALE = "#222222", "#8c8c8c", "#e4e4e4"
"""The color of text and boundaries, the color of axes and remarks, and the color of grids."""

UPRIGHT, LEVEL = "#bfa8dc", "#9fc7a4"
"""The color of grid lines of constant x₁, and the color of grid lines of constant x₂. No class has these colors."""

DIVERGING = LinearSegmentedColormap.from_list("deeprob", [PALETTE[0], "#ffffff", PALETTE[5]])
"""The color map for signed numbers. Negative numbers are blue, 0 is white, and positive numbers are vermilion."""

SEQUENTIAL = LinearSegmentedColormap.from_list("deeprob-sequential", ["#ffffff", "#9fc6df", PALETTE[0], "#08304f"])
"""The color map for numbers from 0. 0 is white, and the largest number is dark blue."""

LETTER = 0.065
"""The approximate width of a letter in inches."""

STYLE: Any = {  # Any, since the type hints accept only 320 literal names as keys
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 9.0,
    "text.parse_math": False,  # a name may contain a $; formulas set parse_math
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.6,
    "image.interpolation": "nearest",
    "figure.titlesize": 11.0,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.dpi": 100.0,
}


def palette_color(number: int) -> str:
    """Return the color of the class `number`. It is the same in all figures."""
    return PALETTE[number % len(PALETTE)]


def rgb(number: int) -> tuple[float, float, float]:
    """Return the color of the class `number` as red, green and blue in [0, 1]."""
    return to_rgb(palette_color(number))


def breadth(text: str) -> int:
    """Return the width of a text in letters. A Chinese letter counts as 2, and a combining accent counts as 0."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def shortened(name: str, most: int) -> str:
    """Return a name on one line, at most `most` letters wide.

    If the name is wider, … replaces its middle, since names often differ at their ends. � replaces control characters,
    since fonts cannot draw them.
    """
    text = "".join(" " if c.isspace() else "�" if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)
    if breadth(text) <= most:
        return text
    kept = max(1, most * len(text) // breadth(text))
    return f"{text[: kept - kept // 2 - 1]}…{text[len(text) - kept // 2 :]}"


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return the number of legend columns that fit into `width` inches. `labels` holds the texts of the legend."""
    return max(1, min(len(labels), int(width / (LETTER * max(map(breadth, labels)) + 0.55))))


class ShownFigure(Figure):
    """A figure that a notebook shows without pyplot, which would keep the figure and show it again."""

    def _repr_png_(self) -> bytes:
        return png(self, 100)


def drawn(size: tuple[float, float], draw: Callable[[FigureBase], None], cut: str = "") -> Figure:
    """Return a new figure in the style of all figures, and call `draw` to draw its contents.

    The size is in inches. If `cut` is not empty, it is written below the figure.
    """
    with mpl.rc_context(STYLE):
        lines = textwrap.wrap(f"shown: {cut}", max(20, int(size[0] / LETTER))) if cut else []
        figure = ShownFigure(figsize=(size[0], size[1] + 0.18 * len(lines)), layout="constrained")
        if lines:
            parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[size[1], 0.18 * len(lines)])
            above, below = parts.flat
            draw(above)
            below.text(0.5, 0.5, "\n".join(lines), fontsize=8, color=FAINT, ha="center", va="center")
        else:
            draw(figure)
        write_powers(figure)
        make_legible(figure)
        return figure


def png(figure: Figure, dpi: float = 150.0) -> bytes:
    """Return the bytes of a PNG file of a figure. The same figure always gives the same bytes."""
    file = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def picture_axes(axes: Axes, title: str = "") -> None:
    """Prepare axes for a picture: remove ticks and spines, and write a small title."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=8, fontweight="normal", loc="center", pad=3)


def equal_scales(limits: tuple[float, float, float, float]) -> bool:
    """Return whether both axes of a plane can have the same scale.

    They can if the longer side of `limits` (left, right, bottom, top) is at most 3 times the shorter side.
    """
    left, right, bottom, top = limits
    return 1 / 3 <= (top - bottom) / (right - left) <= 3


def plane_axes(
    axes: Axes, limits: tuple[float, float, float, float], names: tuple[str, str] = ("$x_1$", "$x_2$")
) -> None:
    """Make axes show the part `limits` of the plane: left, right, bottom, top.

    If `equal_scales` is true for `limits`, both axes have the same scale.
    """
    left, right, bottom, top = limits
    axes.set(xlim=(left, right), ylim=(bottom, top))
    if equal_scales(limits):
        axes.set_aspect("equal")
    else:
        axes.set(aspect="auto", box_aspect=1)
    label_axes(axes, *names)
    axes.locator_params(nbins=5)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Write the labels x and y at axes. Text between dollar signs is a formula."""
    axes.set_xlabel(x, parse_math=True)
    axes.set_ylabel(y, parse_math=True)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a PNG file. If writing fails, no partial file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, png(figure))
