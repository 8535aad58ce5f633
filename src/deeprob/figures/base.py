"""The base class of all figure configs. A figure shows one run, or several runs side by side."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import imread

from deeprob.assembly.finished import Run
from deeprob.config import name_of, option, option_names, options
from deeprob.config.one_option import chosen
from deeprob.errors import UserError, did_you_mean
from deeprob.figures import caps
from deeprob.figures.caps import in_words, rows_within, some_of
from deeprob.figures.style import drawn, png, save_figure, shortened
from deeprob.tracking.console import note
from deeprob.tracking.metric_names import more_is_better


@dataclass(kw_only=True, slots=True)
class FigureConfig:
    """The base class of all figure configs. Subclasses add options.

    `deeprob.parts.protocols` says what a figure has to keep.

    A panel is the part of a figure that shows one run.

    Attributes
    ----------
    of_run
        Whether the figure shows a run. The sheet of activation functions, for example, shows no run.
    live
        Whether the figure is drawn by default while a run trains and when the run ends.
    usual
        Whether the figure is drawn by default when a run ends, but not while the run trains.
    on_request
        Whether the figure is drawn only if its name is given. Such a figure takes long or shows several runs.
    """

    of_run: ClassVar[bool] = True
    live: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    on_request: ClassVar[bool] = False

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can.

        Messages write ``figure=NAME`` before the reason.
        """
        return ""

    def watched(self, run: Run) -> bool:
        """Return whether the figure is drawn by default while this run trains."""
        return self.live

    def quick(self) -> Self:
        """Return a version of the figure that is faster to draw. It is used during training."""
        return self

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches.

        If a figure does not define this method, it is the size of `draw`.
        """
        width, height = self.draw(run).get_size_inches()
        return float(width), float(height)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run on `canvas`, which is a figure or a subfigure.

        If a figure does not define this method, it defines `draw`. The panel is then a picture of the result of `draw`.
        """
        axes = canvas.subplots()
        axes.imshow(imread(io.BytesIO(png(self.draw(run)))))
        axes.set_axis_off()

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row in a figure of several runs."""
        return 4

    def cut(self, run: Run) -> str:
        """Return a text that says which part of a run is shown, or an empty text if all is shown.

        Example: ``24 of 1,000 classes``.
        """
        return ""

    def cut_of_runs(self, runs: Mapping[str, Run]) -> str:
        """Return a text that says which part of the runs is shown, or an empty text if all is shown."""
        groups, shown = group_by_seed(list(runs)), self.shown(runs)
        some = some_of(len(shown), len(groups), "runs", f"the best by {ranking(runs)}")
        seeds = max(len(same) for same in groups.values())
        first = f"the first of {seeds} seeds" if seeds > 1 else ""
        return in_words(some, first, *map(self.cut, shown.values()))

    def draw(self, run: Run | None) -> Figure:
        """Return the figure of one run. `run` is None only for figures that show no run."""
        own = type(self)
        if FigureConfig.panel is own.panel or FigureConfig.size is own.size:
            raise AssertionError("a figure defines draw(), or size() and panel()")
        assert run is not None
        return drawn(self.size(run), lambda figure: self.panel(figure, run), self.cut(run))

    def shown(self, runs: Mapping[str, Run]) -> dict[str, Run]:
        """Return the runs that get a panel, in the order of `runs`.

        If runs differ only in their seeds, all but the first are left out. If too many runs are left for one figure,
        only the best runs are returned.
        """
        firsts = {title: runs[same[0]] for title, same in group_by_seed(list(runs)).items()}
        best = best_first(firsts)[: caps.RUNS]
        height = max(self.size(firsts[title])[1] for title in best)
        kept = best[: self.columns(runs) * rows_within(height + 0.3)]
        return {title: run for title, run in firsts.items() if title in kept}

    def compare(self, runs: Mapping[str, Run]) -> Figure:
        """Return the figure of several runs. Each run has one panel, with the title of the run above it.

        If runs differ only in their seeds, only the first of these runs is shown. All panels have the same width. The
        panels of a row have the same height.
        """
        shown = self.shown(runs)
        sizes = [self.size(run) for run in shown.values()]
        width = max(width for width, _ in sizes)
        columns = min(self.columns(runs), len(shown))
        heights = [
            max(height for _, height in sizes[first : first + columns]) + 0.3 for first in range(0, len(shown), columns)
        ]

        def panels(figure: FigureBase) -> None:
            parts = figure.subfigures(len(heights), columns, squeeze=False, height_ratios=heights).flat
            for part, (title, run) in zip(parts, shown.items(), strict=False):
                part.suptitle(shortened(title, 90))
                self.panel(part, run)

        return drawn((width * columns, sum(heights)), panels, self.cut_of_runs(runs))

    def film(self, run: Run) -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
        """Yield the frames (H, W, 3) of a film and their durations in seconds. Most figures have no film."""
        return iter(())

    def save(self, run: Run | None, folder: Path) -> Path:
        """Save the figure of one run in a folder, and return the path of its file."""
        return self._write(self.draw(run), folder)

    def save_comparison(self, runs: Mapping[str, Run], folder: Path) -> Path:
        """Save the figure of several runs in a folder, and return the path of its file."""
        return self._write(self.compare(runs), folder)

    def _write(self, figure: Figure, folder: Path) -> Path:
        path = folder / f"{name_of(self)}.png"
        save_figure(figure, path)
        return path


def needs_linear_layers(run: Run) -> str:
    """Return why a figure of layers Wx + b cannot show a run, or an empty text if the run's model names its layers."""
    return "" if run.model.linear_layers else f"shows layers Wx + b, and model={name_of(run.config.model)} names none"


def columns_of_table(run: Run) -> tuple[str, ...]:
    """Return the names of the model's inputs if the inputs are columns of a table with a header.

    If the data have no column names, or if the features change the inputs, the result is empty.
    """
    return run.data().columns if run.config.features.unchanged and len(run.predictor.input_shape) == 1 else ()


def plane_names(run: Run) -> tuple[str, str]:
    """Return the labels of the two axes of the input plane: the column names of the data, else x₁ and x₂."""
    names = [shortened(name, 30).replace("$", r"\$") for name in run.data().columns]  # a $ in a name starts no formula
    return (names[0], names[1]) if names else ("$x_1$", "$x_2$")


def tell_cut(figure: FigureConfig, runs: Mapping[str, Run], key: str) -> None:
    """Print a note if a figure shows only a part of its runs. The note begins with the config key `key`."""
    if cut := figure.cut_of_runs(runs):
        note(f"{key}={name_of(figure)} shows {cut}")


def best_first(runs: Mapping[str, Run]) -> list[str]:
    """Return the titles of the runs, from the best to the worst by the metric of `ranking`. Diverged runs come last."""
    metric = ranking(runs)

    def badness(title: str) -> float:
        value = float(runs[title].metrics.get(metric, math.nan))
        return math.inf if math.isnan(value) else -value if more_is_better(metric) else value

    return sorted(runs, key=badness)


def ranking(runs: Mapping[str, Run]) -> str:
    """Return the metric that sorts runs: the metric ``trainer.monitor`` if all runs have it, else ``train/loss``."""
    monitor = next(iter(runs.values())).config.trainer.monitor
    return monitor if all(monitor in run.metrics for run in runs.values()) else "train/loss"


def group_by_seed(titles: Sequence[str]) -> dict[str, list[str]]:
    """Group titles that differ only in their seeds and folds.

    Parameters
    ----------
    titles
        Titles such as ``model.width=8 seed=0``. Spaces and commas separate the words of a title, except in brackets.

    Returns
    -------
    dict
        Each key is a title without its seeds. The value lists all titles that give this key. Example:
        ``{"model.width=8": ["model.width=8 seed=0", "model.width=8 seed=1"]}``.
    """
    groups: dict[str, list[str]] = {}
    for title in titles:
        others = [word for word in title_words(title) if not re.match(r"([^=]*\bseed|dataset\.fold)=", word)]
        groups.setdefault(" ".join(others), []).append(title)
    return groups


def title_words(title: str) -> list[str]:
    """Return the words of a title. Example: ``width=8, units=[1,2]`` has the words ``width=8`` and ``units=[1,2]``."""
    return re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|[^\s,])+", title)


def figures_of_runs() -> dict[str, FigureConfig]:
    """Return all figures that show a run, by name. Their options have default values."""
    return {name: figure for name, cls in sorted(options("figure").items()) if (figure := cls()).of_run}


def figure_of_runs(text: str, key: str) -> FigureConfig:
    """Return the figure with the name and the options in `text`, such as ``learning_curves x=seconds``.

    The figure must show runs. The options may be missing.

    Raises
    ------
    UserError
        When there is no such figure. The message begins with the config key `key`.
    """
    name = text.partition(" ")[0]
    cls = option("figure", name)
    if cls is None or not cls().of_run:
        known = [*figures_of_runs(), *(set(option_names("figure")) - set(options("figure")))]
        raise UserError(f"{key}: no figure is called {name}; {did_you_mean(name, known)}")
    figure: FigureConfig = chosen("figure", text, key)
    return figure
