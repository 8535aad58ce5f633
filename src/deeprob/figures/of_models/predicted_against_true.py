"""Predicted numbers against true numbers: one point per example."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob import randomness
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import in_words, some_of
from deeprob.figures.style import FAINT, PALETTE, shortened

TARGETS = 4
"""The largest number of targets that are shown. Each target has its own axes."""

_LOWER = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@register("figure", "predicted_against_true")
@dataclass(kw_only=True, slots=True)
class PredictedAgainstTrueConfig(FigureConfig):
    """Predicted numbers against true numbers, in the units of the dataset. Right predictions lie on the dashed line.

    The title has r², the share of the variance of the target that the predictions explain, and the rmse, the root of
    the mean squared error. Both are over all examples of the split.

    Attributes
    ----------
    split
        The split whose examples are shown.
    points
        The largest number of examples that are drawn. They are drawn at random.
    """

    usual: ClassVar[bool] = True

    split: str = choice("test", among=SPLITS)
    points: int = number(2000, minimum=1, maximum=100_000)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_numbers(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 3.6 * min(run.predictor.outputs, TARGETS), 3.8

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        true, predicted = true_and_predicted(run, self.split)
        some = some_examples(len(true), self.points)
        names = target_names(run)[:TARGETS]
        panels = canvas.subplots(1, len(names), squeeze=False)[0]
        for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
            points_and_identity(axes, true[some, place], predicted[some, place])
            axes.set_title(f"{name}: {fit_text(true[:, place], predicted[:, place])}")
            axes.set_xlabel(f"true ({self.split})")
        panels[0].set_ylabel("predicted")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row. If a run has many targets, the number is smaller."""
        return max(1, 4 // max(run.predictor.outputs for run in runs.values()))

    def cut(self, run: Run) -> str:
        """Return a text that says which targets and examples are shown, or an empty text if all are shown."""
        return cut_of_numbers(run, self.split, self.points)


def needs_numbers(run: Run) -> str:
    """Return the reason why a figure of predicted numbers cannot show `run`, or an empty text if it can."""
    return "needs numbers as targets, and the run predicts classes" if run.classes else ""


def true_and_predicted(run: Run, split: str) -> tuple[Tensor, Tensor]:
    """Return the true and the predicted numbers (N, K) of a split, in the units of the dataset, as float64."""
    return run.examples(split).targets.double().cpu(), run.scores(split).double().cpu()


def target_names(run: Run) -> list[str]:
    """Return the shortened names of the targets. Targets without names are y₁, y₂ and so on."""
    names = run.data().target_columns or [f"y{subscript(place)}" for place in range(1, run.predictor.outputs + 1)]
    return [shortened(name, 20) for name in names]


def subscript(number: int) -> str:
    """Return a number as subscript, such as ₁₂."""
    return str(number).translate(_LOWER)


def some_examples(count: int, most: int) -> Tensor:
    """Return the positions of at most `most` random examples of `count` examples."""
    return randomness.permutation(randomness.key(0, "figure/examples"), count)[:most]


def cut_of_numbers(run: Run, split: str, points: int) -> str:
    """Return a text that says which targets and examples are shown, or an empty text if all are shown."""
    count, outputs = len(run.examples(split)), run.predictor.outputs
    return in_words(
        some_of(min(outputs, TARGETS), outputs, "targets", "the first"),
        some_of(min(points, count), count, "examples", "at random"),
    )


def fit_text(true: Tensor, predicted: Tensor) -> str:
    """Return a text with r² and rmse of predicted numbers (N,), such as ``r² 0.912, rmse 1.3``.

    r² is 1 − Σ(y − ŷ)²/Σ(y − ȳ)². If all true numbers are equal, r² is not defined, and is left out.
    """
    squares = (true - predicted).square().sum()
    total = (true - true.mean()).square().sum()
    rmse = f"rmse {rounded(math.sqrt(squares.item() / len(true)))}"
    return f"r² {1 - (squares / total).item():.3f}, {rmse}" if total > 0 else rmse


def rounded(value: float) -> str:
    """Return a number ≥ 0 with about three digits, such as ``0.0123`` or ``12,300``."""
    return f"{float(f'{value:.3g}'):,.0f}" if 1000 <= value < 1e7 else f"{value:.3g}"


def points_and_identity(axes: Axes, true: Tensor, predicted: Tensor) -> None:
    """Draw one point per example, and the line on which a prediction is right. Both axes have the same range."""
    both = torch.cat([true, predicted])
    low, high = both.min().item(), both.max().item()
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    limits = low - margin, high + margin
    axes.plot(limits, limits, color=FAINT, lw=1, ls="--", zorder=1)
    draw_points(axes, true, predicted)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.locator_params(nbins=5)
    axes.grid(True)


def draw_points(axes: Axes, x: Tensor, y: Tensor) -> None:
    """Draw points. If there are many, they are small and translucent."""
    few = len(x) <= 300
    axes.scatter(x.numpy(), y.numpy(), s=14 if few else 6, alpha=0.7 if few else 0.35, lw=0, color=PALETTE[0], zorder=2)
