"""Confusion matrices: which classes a model takes for which, and how many of each it gets right."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from torch import Tensor

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.style import INK, LETTER, SEQUENTIAL, breadth, palette_color, shortened

NUMBERED, NAMED = 20, 40
"""Up to so many classes there is room for numbers in the cells, and for the classes' names."""

LONGEST = 24
"""Letters of a class's name that are shown at most."""

SHADE = PowerNorm(0.6, vmin=0, vmax=100)
"""From a share in % to a place in the color map: a mistake made often enough to matter is not pale."""


@register("figure", "confusion")
@dataclass(kw_only=True, slots=True)
class ConfusionConfig(FigureConfig):
    """A row a true class, a column a predicted one, shares of the row in %; beside it each class's accuracy.

    Attributes
    ----------
    split
        The examples counted.
    """

    usual: ClassVar[bool] = True

    split: str = choice("test", among=SPLITS)

    def unsuited(self, run: Run) -> str:
        """Return why it cannot be drawn."""
        return needs_classes(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return width and height in inches."""
        names, side = shown_names(run.classes), matrix_side(len(run.classes))
        longest = max(map(breadth, names), default=0) * LETTER
        below = longest * 0.75 if is_slanted(names) else 0.1
        beside = 2.6 if numbered(run.classes) else 3.2
        return longest + side + beside, side + below + 0.9

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw a run."""
        targets = run.examples(self.split).targets.cpu()
        counts = confusion_matrix(run.scores(self.split).cpu(), targets, len(run.classes))
        axes = canvas.subplots()
        axes.set_anchor("W")
        cells = matrix(axes, counts, run.classes)
        accuracy_bars(axes, counts)
        if not numbered(run.classes):
            side = matrix_side(len(run.classes))
            scale = axes.inset_axes((1 + 1.5 / side, 0, 0.12 / side, 1))
            canvas.colorbar(cells, cax=scale, ticks=[0, 5, 20, 50, 100], label="share of the true class (%)")
        right = counts.diagonal().sum().item() / counts.sum().item()
        axes.set_title(f"{100 * right:.1f} % right ({self.split})")

    def compare(self, runs: Mapping[str, Run], columns: int = 2) -> Figure:
        """Return the figure of several runs; they are too wide for more than two in a row."""
        return FigureConfig.compare(self, runs, columns)


def needs_classes(run: Run) -> str:
    """Return why a figure of classes cannot be drawn of a run."""
    return "" if run.classes else "needs classes, and the run predicts numbers"


def confusion_matrix(scores: Tensor, targets: Tensor, classes_count: int) -> Tensor:
    """Count how often each class is taken for each.

    Parameters
    ----------
    scores
        (N, C), the highest of which is the prediction.
    targets
        True classes (N,).
    classes_count
        C.

    Returns
    -------
    Tensor
        (C, C) int64 counts: in row i and column j, examples of class i that are predicted to be of class j.
    """
    pairs = targets * classes_count + scores.argmax(1)
    return torch.bincount(pairs, minlength=classes_count**2).view(classes_count, classes_count)


def shares(counts: Tensor) -> Tensor:
    """Return counts (C, C) in % of their row, float64; 0 in the row of a class without examples."""
    return 100 * counts.double() / counts.sum(1, keepdim=True).clamp(min=1)


def matrix(axes: Axes, counts: Tensor, classes: Sequence[str]) -> AxesImage:
    """Draw counts (C, C) as shaded cells, with numbers and names as long as there is room for them."""
    values, names = shares(counts), shown_names(classes)
    totals = [int(total) for total in counts.sum(1)]
    image = axes.imshow(values.numpy(), cmap=SEQUENTIAL, norm=SHADE)
    if names:
        rows = [f"{name} ({total})" for name, total in zip(names, totals, strict=True)]
        slant: Any = {"rotation": 45.0, "ha": "right", "rotation_mode": "anchor"} if is_slanted(names) else {}
        size = 8.0 if numbered(classes) else 6.5
        axes.set_yticks(range(len(names)), rows, fontsize=size)
        axes.set_xticks(range(len(names)), names, fontsize=size, **slant)
        axes.tick_params(length=0)
        axes.set(xlabel="predicted class", ylabel="true class (examples)")
    else:
        each = f"{min(totals)}" if min(totals) == max(totals) else f"{min(totals)} to {max(totals)}"
        axes.set(xlabel="number of the predicted class", ylabel=f"number of the true class ({each} examples each)")
    if numbered(classes):
        axes.set_xlabel("predicted class\n(cells: % of the true class)")
        for row, column in itertools.product(range(len(classes)), repeat=2):
            share = values[row, column].item()
            ink = "white" if SHADE(share) > 0.56 else INK
            text = cell_text(share, len(classes))
            axes.text(column, row, text, color=ink, fontsize=7.5, ha="center", va="center_baseline")
    return image


def accuracy_bars(axes: Axes, counts: Tensor) -> None:
    """Draw each class's accuracy as a bar to the right of its row of the matrix (C, C) on `axes`."""
    classes = len(counts)
    side = matrix_side(classes)
    accuracies = shares(counts).diagonal().tolist()
    bars = axes.inset_axes((1 + 0.12 / side, 0, 1.3 / side, 1))
    bars.barh(range(classes), accuracies, height=0.7, color=[palette_color(place) for place in range(classes)])
    bars.set(ylim=axes.get_ylim(), yticks=[], xticks=[0, 50, 100], xlim=(0, 132))
    bars.set_xlabel("accuracy (%)", x=50 / 132)
    bars.spines["left"].set_visible(False)
    bars.spines["bottom"].set_bounds(0, 100)
    for place, (accuracy, total) in enumerate(zip(accuracies, counts.sum(1).tolist(), strict=True)):
        if total and classes <= NUMBERED:
            bars.text(accuracy + 3, place, cell_text(accuracy, classes) or "0", fontsize=7.5, va="center_baseline")


def cell_text(share: float, classes: int) -> str:
    """Return a share in % for a cell: with a decimal of few classes; nothing for 0, and never 0 or 100 for almost."""
    if share in (0, 100):
        return "100" if share else ""
    least = 0.1 if classes <= 5 else 1
    if not least <= share <= 100 - least:
        return f"<{least}" if share < 50 else f">{100 - least}"
    return f"{share:.{1 if classes <= 5 else 0}f}"


def numbered(classes: Sequence[str]) -> bool:
    """Tell whether there is room for numbers in the cells."""
    return len(classes) <= NUMBERED


def shown_names(classes: Sequence[str]) -> list[str]:
    """Return the classes' names as they are shown: not too long, and none where there are too many."""
    return [shortened(name, LONGEST) for name in classes] if len(classes) <= NAMED else []


def is_slanted(names: Sequence[str]) -> bool:
    """Tell whether names are too long to stand side by side under their columns."""
    return max(map(breadth, names), default=0) * LETTER > 0.9 * matrix_side(len(names)) / max(1, len(names))


def matrix_side(classes: int) -> float:
    """Return the matrix's side in inches."""
    return min(max(2.2, 0.46 * classes), 5.2)
