"""Confusion matrices, which show the classes that a model confuses, and the accuracy of each class."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage
from torch import Tensor

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, register
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import some_of
from deeprob.figures.style import INK, LETTER, SEQUENTIAL, breadth, palette_color, shortened

NUMBERED, NAMED = 20, 40
"""Cells have numbers if there are at most `NUMBERED` classes. Rows have names if there are at most `NAMED` classes."""

LONGEST = 24
"""The largest number of letters of a class name that are shown."""

SHADE = PowerNorm(0.6, vmin=0, vmax=100)
"""A map from a share in % to a position in the color map. It makes shares of a few % clearly visible."""


@register("figure", "confusion")
@dataclass(kw_only=True, slots=True)
class ConfusionConfig(FigureConfig):
    """The confusion matrix, with one row per true class, one column per predicted class, and the accuracy per class.

    Each cell is a share of the examples of its row, in %.

    Attributes
    ----------
    split
        The split whose examples are counted.
    """

    usual: ClassVar[bool] = True

    split: str = choice("test", among=SPLITS)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        classes = sorted(run.classes, key=breadth)[-shown_count(run) :]
        names, side = shown_names(classes), matrix_side(len(classes))
        longest = max(map(breadth, names), default=0) * LETTER
        below = longest * 0.75 if is_slanted(names) else 0.1
        beside = 2.6 if numbered(classes) else 3.2
        return longest + side + beside, side + below + 0.9

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        targets, predicted = run.examples(self.split).targets.cpu(), run.scores(self.split).argmax(1).cpu()
        places = most_confused(predicted, targets, len(run.classes), shown_count(run))
        classes = [run.classes[place] for place in places.tolist()]
        counts = confusion_matrix(predicted, targets, places)
        totals = torch.bincount(targets, minlength=len(run.classes))[places]
        axes = canvas.subplots()
        axes.set_anchor("W")
        cells = matrix(axes, counts, classes, totals)
        accuracy_bars(axes, counts, totals)
        if not numbered(classes):
            side = matrix_side(len(classes))
            scale = axes.inset_axes((1 + 1.5 / side, 0, 0.12 / side, 1))
            canvas.colorbar(cells, cax=scale, ticks=[0, 5, 20, 50, 100], label="share of the true class (%)")
        right = (targets == predicted).sum().item() / len(targets)
        axes.set_title(f"{100 * right:.1f} % right ({self.split})")

    def cut(self, run: Run) -> str:
        """Return a text that says how many classes are shown, or an empty text if all are shown."""
        return some_of(shown_count(run), len(run.classes), "classes", "those most often taken for each other")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 2, since panels are wide."""
        return 2


def needs_classes(run: Run) -> str:
    """Return the reason why a figure of classes cannot show `run`, or an empty text if it can."""
    return "" if run.classes else "needs classes, and the run predicts numbers"


def shown_count(run: Run) -> int:
    """Return the number of classes that are shown: all classes, or `NUMBERED` if all do not fit."""
    return len(run.classes) if len(run.classes) <= caps.CLASSES else min(NUMBERED, caps.CLASSES)


def most_confused(predicted: Tensor, targets: Tensor, classes_count: int, most: int) -> Tensor:
    """Return the numbers (K,) of the classes that are confused most often, in ascending order.

    First, the two classes with the most mistakes between them are chosen, then the next two classes, and so on.
    Example: there are the classes 0, 1 and 2, and the only mistake is a 2 that is predicted as 1. If `most` is 2, the
    result is 1 and 2.

    Parameters
    ----------
    predicted, targets
        Predicted and true classes (N,).
    classes_count, most
        The number of all classes, and the largest number K of returned classes.
    """
    if most >= classes_count:
        return torch.arange(classes_count)
    wrong = predicted != targets
    low, high = torch.minimum(predicted, targets)[wrong], torch.maximum(predicted, targets)[wrong]
    pairs, counts = torch.unique(low * classes_count + high, return_counts=True)
    pairs = pairs[counts.argsort(descending=True, stable=True)]
    both = torch.stack([pairs // classes_count, pairs % classes_count], 1).flatten().tolist()
    ranked = dict.fromkeys(itertools.chain(both, range(classes_count)))
    return torch.tensor(sorted(itertools.islice(ranked, most)))


def confusion_matrix(predicted: Tensor, targets: Tensor, places: Tensor) -> Tensor:
    """Return the confusion matrix of some of the classes, as counts.

    Parameters
    ----------
    predicted, targets
        Predicted and true classes (N,).
    places
        The numbers (K,) of the classes to count.

    Returns
    -------
    Tensor
        (K, K) int64 counts. Row i, column j counts the examples of class ``places[i]`` predicted as ``places[j]``.
    """
    largest = int(torch.cat([predicted, targets, places]).max()) + 1
    row = torch.full((largest,), -1)
    row[places] = torch.arange(len(places))
    inside = (row[predicted] >= 0) & (row[targets] >= 0)
    pairs = row[targets[inside]] * len(places) + row[predicted[inside]]
    return torch.bincount(pairs, minlength=len(places) ** 2).view(len(places), len(places))


def shares(counts: Tensor, totals: Tensor) -> Tensor:
    """Divide row i of `counts` (K, K) by ``totals[i]``, and return the shares in % as float64.

    `totals` (K,) holds the number of examples per class. If a class has no examples, all shares of its row are 0.
    """
    return 100 * counts.double() / totals[:, None].clamp(min=1)


def matrix(axes: Axes, counts: Tensor, classes: Sequence[str], examples: Tensor) -> AxesImage:
    """Draw counts (K, K) as shaded cells, with numbers and names if there is room for them.

    `examples` (K,) holds the number of examples per class. A cell is a share of all examples of its true class. Some of
    these examples may be predicted as a class that is not shown.
    """
    values, names = shares(counts, examples), shown_names(classes)
    totals = examples.tolist()
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


def accuracy_bars(axes: Axes, counts: Tensor, examples: Tensor) -> None:
    """Draw the accuracy of each class as a bar to the right of its row. The parameters are as in `matrix`."""
    classes = len(counts)
    side = matrix_side(classes)
    accuracies = shares(counts, examples).diagonal().tolist()
    bars = axes.inset_axes((1 + 0.12 / side, 0, 1.3 / side, 1))
    bars.barh(range(classes), accuracies, height=0.7, color=[palette_color(place) for place in range(classes)])
    bars.set(ylim=axes.get_ylim(), yticks=[], xticks=[0, 50, 100], xlim=(0, 132))
    bars.set_xlabel("accuracy (%)", x=50 / 132)
    bars.spines["left"].set_visible(False)
    bars.spines["bottom"].set_bounds(0, 100)
    for place, (accuracy, total) in enumerate(zip(accuracies, examples.tolist(), strict=True)):
        if total and classes <= NUMBERED:
            bars.text(accuracy + 3, place, cell_text(accuracy, classes) or "0", fontsize=7.5, va="center_baseline")


def cell_text(share: float, classes: int) -> str:
    """Return the text of a cell with a share in %.

    If the share is 0, the text is empty. A share near 0 or 100 becomes a text such as ``<1`` or ``>99``. If there are
    at most 5 classes, the text has one decimal.
    """
    if share in (0, 100):
        return "100" if share else ""
    least = 0.1 if classes <= 5 else 1
    if not least <= share <= 100 - least:
        return f"<{least}" if share < 50 else f">{100 - least}"
    return f"{share:.{1 if classes <= 5 else 0}f}"


def numbered(classes: Sequence[str]) -> bool:
    """Return whether there is room for numbers in the cells."""
    return len(classes) <= NUMBERED


def shown_names(classes: Sequence[str]) -> list[str]:
    """Return the shortened names of the classes. If there are more than `NAMED` classes, return no names."""
    return [shortened(name, LONGEST) for name in classes] if len(classes) <= NAMED else []


def is_slanted(names: Sequence[str]) -> bool:
    """Return whether names are slanted. They are if they are wider than the columns."""
    return max(map(breadth, names), default=0) * LETTER > 0.9 * matrix_side(len(names)) / max(1, len(names))


def matrix_side(classes: int) -> float:
    """Return the side of the matrix in inches."""
    return min(max(2.2, 0.46 * classes), 5.2)
