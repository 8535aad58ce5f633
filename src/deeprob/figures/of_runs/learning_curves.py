"""Learning curves: the metrics in ``metrics.csv`` over the epochs, for one run or for groups of runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from deeprob.assembly.finished import Run
from deeprob.config import choice, number, register, some_words
from deeprob.errors import UserError, did_you_mean
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig, best_first, group_by_seed, ranking, title_words
from deeprob.figures.of_runs.recorded_metrics import (
    WRITTEN,
    Floats,
    Table,
    metric_curve,
    passes,
    quantity,
    read_metrics,
)
from deeprob.figures.style import INK, PALETTE, drawn, legend_columns, palette_color, shortened
from deeprob.tracking.metric_names import is_share
from deeprob.tracking.run_dir import COLUMNS

BAND = 0.16
USUAL = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
LABELS = {
    "loss": "loss",
    "accuracy": "accuracy (%)",
    "balanced_accuracy": "balanced accuracy (%)",
    "f1": "F1, mean over classes",
    "auroc": "area under the ROC curve",
    "top5": "top-5 accuracy (%)",
    "ece": "expected calibration error",
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "lr": "learning rate",
    "grad_norm": "norm of the gradient",
    "norm": "norm of the parameters",
    "zeros": "weights that are 0 (%)",
    "evaluations": "evaluations of L(W)",
    "seconds": "seconds",
    "examples_per_second": "examples per second",
}
"""The label of the y axis for each quantity."""

AXES: Mapping[str, tuple[str, Callable[[Table], Floats]]] = {
    "epoch": ("epoch", itemgetter("epoch")),
    "step": ("step", itemgetter("step")),
    "seconds": ("seconds of training", itemgetter("time/seconds")),
    "evaluations": ("gradient evaluations, in passes over the data", passes),
}
"""The label of each x axis, and the function that returns its values from a table."""

TRAIN = ("train", "solid")
LINES: dict[str, tuple[str, Any]] = {
    **{name: ("val", (0, (4, 1.5))) for name in COLUMNS if name.startswith("val/")},
    "train/data_loss": ("train, without λR(W)", (0, (1, 1))),
    "train/regularization": ("train, λR(W) alone", (0, (6, 1.5, 1, 1.5))),
}
"""The name and the dashes of each metric's line. Metrics that are not listed have the dashes of `TRAIN`."""


@register("figure", "learning_curves")
@dataclass(kw_only=True, slots=True)
class LearningCurvesConfig(FigureConfig):
    """Loss and accuracy on the training and the validation split over the epochs, with a mark at the best epoch.

    Runs that differ only in seeds share one curve, which shows their mean. Around the curve lies a band of one standard
    deviation (of the sample). The band ends where fewer than two of the runs go on. If there are many curves, only the
    best are shown.

    Attributes
    ----------
    x
        The x axis of the curves. null means epochs. For L-BFGS, null means evaluations of the gradient.
    log
        Whether the loss axis is logarithmic. null makes it logarithmic if the largest loss is at least 100 times the
        smallest.
    metrics
        The columns of metrics.csv that are drawn. null means loss and accuracy. train/loss is L(W), which includes
        λR(W). val/loss does not include λR(W). Example:
        ``figure=learning_curves figure.metrics=[train/loss,val/loss]``.
    curves
        The largest number of groups of runs that are drawn. Each group has its own color.
    """

    usual: ClassVar[bool] = True

    x: str | None = choice(None, among=tuple(AXES), optional=True)
    log: bool | None = choice(None, among=(True, False), optional=True)
    metrics: list[str] | None = some_words()
    curves: int = number(caps.CURVES, minimum=1, maximum=len(PALETTE))

    def problems(self) -> Iterator[str]:
        """Yield an error for each metric that does not exist."""
        for name in self.metrics or ():
            if name not in COLUMNS[2:]:
                yield f"metrics={name}: no such column of metrics.csv; {did_you_mean(name, COLUMNS[2:])}"

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        path = run.directory / "metrics.csv"
        return "" if path.exists() else f"needs {path}: {WRITTEN}"

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and height of the figure in inches."""
        return size_of(len(self.panels([run])), [""], columns=2)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the learning curves of a run."""
        self.draw_groups(canvas, {"": [run]}, columns=2)

    def cut_of_runs(self, runs: Mapping[str, Run]) -> str:
        """Return a text that says how many curves are shown, or an empty text if all are shown."""
        return cut_of_curves(runs, self.curves)

    def compare(self, runs: Mapping[str, Run]) -> Figure:
        """Return the figure of several runs, with two panels per row. Runs that differ only in seeds share a color."""
        groups = groups_shown(runs, self.curves)
        size = size_of(len(self.panels([run for some in groups.values() for run in some])), group_labels(groups), 2)
        return drawn(size, lambda figure: self.draw_groups(figure, groups, 2), self.cut_of_runs(runs))

    def panels(self, runs: Sequence[Run]) -> dict[str, list[str]]:
        """Return the metrics to draw for each quantity. Metrics that no run measured are left out.

        Raises UserError if no metric is left.
        """
        paths = [run.directory / "metrics.csv" for run in runs]
        tables = [read_metrics(path) for path in paths]
        measured = [name for name in COLUMNS[2:] if any(np.isfinite(table.get(name, np.nan)).any() for table in tables)]
        panels: dict[str, list[str]] = {}
        for name in dict.fromkeys(self.metrics or USUAL):
            if name in measured:
                panels.setdefault(quantity(name), []).append(name)
        if not panels:
            wanted = ", ".join(self.metrics or USUAL)
            raise UserError(f"{paths[0]}: no values of {wanted}; choose from {', '.join(measured) or 'nothing'}")
        return panels

    def draw_groups(self, canvas: FigureBase, groups: Mapping[str, Sequence[Run]], columns: int) -> None:
        """Draw the curves of groups of runs and the legends. There is one panel per quantity."""
        everything = [run for runs in groups.values() for run in runs]
        panels, x = self.panels(everything), self.x or usual_x(everything)
        columns = min(columns, len(panels))
        grid = canvas.subplots(-(-len(panels) // columns), columns, squeeze=False).flat
        for axes, (name, metrics) in zip(grid, panels.items(), strict=False):
            for place, runs in enumerate(groups.values()):
                draw_curves(axes, runs, metrics, x, palette_color(place))
            frame(axes, name, x, self.log)
        for axes in grid[len(panels) :]:
            axes.remove()
        legends(canvas, groups, panels, columns)


def usual_x(runs: Sequence[Run]) -> str:
    """Return the default x axis: ``epoch`` or ``evaluations``.

    If an epoch of some run is not one pass over the data, as with L-BFGS, it is ``evaluations``.
    """
    tables = [read_metrics(run.directory / "metrics.csv") for run in runs]
    known = all(np.isfinite(passes(table)).all() for table in tables)
    return "evaluations" if known and any((passes(table) != table["epoch"]).any() for table in tables) else "epoch"


def groups_shown(runs: Mapping[str, Run], most: int) -> dict[str, list[Run]]:
    """Return the runs of each curve, in the order of `runs`. Runs that differ only in seeds share a curve.

    If there are more than `most` curves, only the best are kept: `best_first` ranks all runs, and the curves whose runs
    have the lowest mean ranks are the best.
    """
    groups, ranks = group_by_seed(list(runs)), {title: rank for rank, title in enumerate(best_first(runs))}
    kept = sorted(groups, key=lambda name: fmean(ranks[title] for title in groups[name]))[:most]
    return {name: [runs[title] for title in groups[name]] for name in groups if name in kept}


def cut_of_curves(runs: Mapping[str, Run], most: int) -> str:
    """Return a text that says how many curves are shown, or an empty text if all are shown.

    Example: ``the best 6 of 12 by val/loss, all with model.width=8``.
    """
    count = len(group_by_seed(list(runs)))
    if count <= most:
        return ""
    common = " ".join(common_words(list(groups_shown(runs, most))))
    return f"the best {most} of {count:,} by {ranking(runs)}" + (f", all with {common}" if common else "")


def size_of(panels: int, labels: Sequence[str], columns: int) -> tuple[float, float]:
    """Return the width and height in inches of a figure with `panels` panels. `labels` are written below."""
    columns = min(columns, panels)
    width = 4.15 * columns if columns > 1 else 5.0
    rows = -(-len(labels) // legend_columns(labels, width)) if any(labels) else 0
    return width, 3.0 * -(-panels // columns) + 0.3 + 0.21 * rows


def draw_curves(axes: Axes, runs: Sequence[Run], metrics: Sequence[str], x: str, ink: Any) -> None:
    """Draw the mean and the band of each metric over the runs. If there is only one run, mark its best epoch."""
    tables = [read_metrics(run.directory / "metrics.csv") for run in runs]
    tables = [{**table, x: AXES[x][1](table)} for table in tables]
    for name in metrics:
        share = 100 if is_share(name) else 1
        places, mean, deviation = metric_curve(tables, name, x)
        mean, deviation = share * mean, share * deviation
        axes.plot(places, mean, color=ink, ls=LINES.get(name, TRAIN)[1], marker="o" if len(places) == 1 else "", ms=3)
        axes.fill_between(places, mean - deviation, mean + deviation, color=ink, alpha=BAND, lw=0)
        best = runs[0].metrics.get("best_epoch") if len(runs) == 1 and name.startswith("val/") else None
        at = max((table["epoch"] for table in tables), key=len) == best
        axes.plot(places[at], mean[at], "o", color=ink, ms=6, mec="white", mew=1.0, zorder=3)


def frame(axes: Axes, name: str, x: str, log: bool | None) -> None:
    """Label the axes of the quantity `name`. If it is a loss, choose a linear or a logarithmic y axis."""
    axes.set(xlabel=AXES[x][0], ylabel=LABELS[name])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=x != "seconds", steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    if name == "loss":
        values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
        values = values[values > 0]
        spans = len(values) > 0 and values.max() >= 100 * values.min()
        axes.set_yscale("log" if (spans if log is None else log) else "linear")
        if axes.get_yscale() == "log":
            axes.set_ylim(bottom=values.min() / 2)  # a logarithmic axis cannot show a band that reaches 0
    if name == "accuracy":
        axes.set_ylim(top=min(axes.get_ylim()[1], 101))


def legends(
    canvas: FigureBase, groups: Mapping[str, Sequence[Run]], panels: Mapping[str, Sequence[str]], columns: int
) -> None:
    """Draw the legend of lines, bands and dots above the panels, and the legend of groups below the panels."""
    labels, ink = group_labels(groups), palette_color(0) if len(groups) == 1 else INK
    split = [name for metrics in panels.values() for name in metrics if name.startswith(("train/", "val/"))]
    lines = dict(LINES.get(name, TRAIN) for name in split)
    handles: list[Artist] = [Line2D([], [], color=ink, ls=dash, label=name) for name, dash in lines.items()]
    if any(len(runs) > 1 for runs in groups.values()):
        handles.append(Patch(color=ink, alpha=BAND, lw=0, label="± standard deviation"))
    best = [runs[0].metrics.get("best_epoch") for runs in groups.values() if len(runs) == 1]
    if any(best) and "val" in lines:
        label = f"best epoch: {best[0]}" if len(labels) == 1 else "best epoch"
        handles.append(Line2D([], [], color=ink, ls="", marker="o", ms=6, mec="white", label=label))
    if handles:
        canvas.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    if any(labels):
        below = [Line2D([], [], color=palette_color(place), lw=3, label=label) for place, label in enumerate(labels)]
        width, _ = size_of(len(panels), labels, columns)
        canvas.legend(handles=below, loc="outside lower center", ncols=legend_columns(labels, width))


def group_labels(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return a label for each group of runs: the words that differ between groups, and the number of seeds."""
    counts = [f"({len(runs)} seeds)" if len(runs) > 1 else "" for runs in groups.values()]
    common = common_words(list(groups))
    names = [" ".join(word for word in title_words(name) if word not in common) or name for name in groups]
    return [f"{shortened(name, 90)} {count}".strip() for name, count in zip(names, counts, strict=True)]


def common_words(names: Sequence[str]) -> list[str]:
    """Return the words that occur in all names. If there is only one name, return no words."""
    first, *others = map(title_words, names)
    return [word for word in first if others and all(word in words for words in others)]
