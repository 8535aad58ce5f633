"""Residuals, which are true numbers minus predicted numbers: against the predictions, and how they are distributed."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import FigureBase

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.of_models.predicted_against_true import (
    TARGETS,
    cut_of_numbers,
    draw_points,
    fit_text,
    needs_numbers,
    some_examples,
    target_names,
    true_and_predicted,
)
from deeprob.figures.style import FAINT, PALETTE


@register("figure", "residuals")
@dataclass(kw_only=True, slots=True)
class ResidualsConfig(FigureConfig):
    """Residuals, which are true numbers minus predicted numbers, in the units of the dataset.

    On the left, they are drawn against the predictions. If the points follow a curve or spread more at one end, the
    model misses something. On the right is their histogram. The title is as in ``figure=predicted_against_true``.

    Attributes
    ----------
    split
        The split whose examples are shown.
    points
        The largest number of examples that are drawn on the left. They are drawn at random. The histogram has all.
    bins
        The number of bars of the histogram.
    """

    split: str = choice("test", among=SPLITS)
    points: int = number(2000, minimum=1, maximum=100_000)
    bins: int = number(40, minimum=3, maximum=1001)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_numbers(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 6.4, 2.7 * min(run.predictor.outputs, TARGETS) + 0.2

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        true, predicted = true_and_predicted(run, self.split)
        residuals = true - predicted
        some = some_examples(len(true), self.points)
        names = target_names(run)[:TARGETS]
        panels = canvas.subplots(len(names), 2, squeeze=False, sharey="row", width_ratios=[2, 1])
        for place, ((left, right), name) in enumerate(zip(panels, names, strict=True)):
            draw_points(left, predicted[some, place], residuals[some, place])
            right.hist(residuals[:, place].numpy(), self.bins, orientation="horizontal", color=PALETTE[0])
            left.set_title(f"{name}: {fit_text(true[:, place], predicted[:, place])}")
            left.set_ylabel("true − predicted")
            for axes in (left, right):
                axes.axhline(0, color=FAINT, lw=1, ls="--", zorder=3)
                axes.grid(True)
                axes.locator_params(nbins=5)
        panels[-1][0].set_xlabel(f"predicted ({self.split})")
        panels[-1][1].set_xlabel("examples")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 2, since panels are wide."""
        return 2

    def cut(self, run: Run) -> str:
        """Return a text that says which targets and examples are shown, or an empty text if all are shown."""
        return cut_of_numbers(run, self.split, self.points)
