"""A race of runs: the metrics of the runs against epochs, seconds and evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure, FigureBase

from deeprob.assembly.finished import Run
from deeprob.config import register
from deeprob.figures.base import FigureConfig
from deeprob.figures.of_runs.learning_curves import (
    LearningCurvesConfig,
    cut_of_curves,
    draw_curves,
    frame,
    group_labels,
    groups_shown,
    legends,
    size_of,
)
from deeprob.figures.of_runs.recorded_metrics import quantity, read_metrics
from deeprob.figures.style import PALETTE, drawn, palette_color

COURSES = ("epoch", "seconds", "evaluations")


@register("figure", "optimizer_race")
@dataclass(kw_only=True, slots=True)
class OptimizerRaceConfig(FigureConfig):
    """Training loss and validation accuracy against epochs, seconds and evaluations, side by side.

    The order of the runs can differ between the three x axes. For example, one epoch of L-BFGS is one update, but the
    update needs many evaluations of the full batch. If the network is small, the training loop itself takes most of the
    time. Runs that differ only in seeds share one curve with a band of one standard deviation.
    """

    on_request: ClassVar[bool] = True

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        if reason := LearningCurvesConfig().unsuited(run):
            return reason
        missing = {"time/seconds", "optim/evaluations"} - measured_columns(run)
        return f"needs {' and '.join(sorted(missing))} in metrics.csv" if missing else ""

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return 10.5, 2.9 * len(rows_of([run])) + 0.3

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the curves of one run."""
        self.race(canvas, {"": [run]})

    def cut_of_runs(self, runs: Mapping[str, Run]) -> str:
        """Return a text that says how many curves are shown, or an empty text if all are shown."""
        return cut_of_curves(runs, len(PALETTE))

    def compare(self, runs: Mapping[str, Run]) -> Figure:
        """Return the figure of several runs. Runs that differ only in seeds share a color."""
        groups = groups_shown(runs, len(PALETTE))
        width, height = self.size(next(iter(runs.values())))
        (_, alone), (_, with_legend) = (
            size_of(len(COURSES), labels, len(COURSES)) for labels in ([""], group_labels(groups))
        )
        return drawn(
            (width, height + with_legend - alone), lambda canvas: self.race(canvas, groups), self.cut_of_runs(runs)
        )

    def race(self, canvas: FigureBase, groups: Mapping[str, Sequence[Run]]) -> None:
        """Draw the curves of groups of runs. There is one row of panels per metric, and one column per x axis."""
        rows = rows_of([run for runs in groups.values() for run in runs])
        grid = canvas.subplots(len(rows), len(COURSES), squeeze=False, sharex="col", sharey="row")
        for line, name in zip(grid, rows, strict=True):
            for axes, x in zip(line, COURSES, strict=True):
                for place, runs in enumerate(groups.values()):
                    draw_curves(axes, runs, [name], x, palette_color(place))
                frame(axes, quantity(name), x, None)
                if x != "epoch":
                    axes.set(xscale="log")
                axes.label_outer()
                axes.set_title(name if axes is line[0] else "")
        legends(canvas, groups, {x: [] for x in COURSES}, len(COURSES))


def rows_of(runs: Sequence[Run]) -> list[str]:
    """Return the metrics that are drawn. There is one row of panels per metric.

    The first metric is the training loss. The second metric is validation accuracy, or validation loss, or training
    accuracy: the first of these that all runs measured. If there is none, only the training loss is drawn.
    """
    common = set.intersection(*map(measured_columns, runs))
    unseen = [name for name in ("val/accuracy", "val/loss", "train/accuracy") if name in common]
    return ["train/loss", *unseen[:1]]


def measured_columns(run: Run) -> set[str]:
    """Return the columns of a run's ``metrics.csv`` that have values."""
    table = read_metrics(run.directory / "metrics.csv")
    return {name for name, values in table.items() if np.isfinite(values).any()}
