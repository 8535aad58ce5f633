"""What every figure has: a config with its options, and how it is drawn of one run or of several side by side."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, FigureBase

from deeprob.assembly.finished import Run
from deeprob.config import name_of, options
from deeprob.config.one_option import chosen
from deeprob.errors import UserError, did_you_mean
from deeprob.figures import caps
from deeprob.figures.caps import in_words, rows_within, some_of
from deeprob.figures.style import drawn, save_figure, shortened
from deeprob.tracking.console import note


@dataclass(kw_only=True, slots=True)
class FigureConfig:
    """A figure's options are its own.

    Attributes
    ----------
    of_run
        Whether it is of a run; a sheet of activation functions is not.
    live
        Whether it is worth watching while a run trains, and is drawn when it ends.
    usual
        Whether it is drawn when a run ends, without having been watched.
    on_request
        Whether it is drawn only when it is asked for by name: it takes long, or is of several runs.
    """

    of_run: ClassVar[bool] = True
    live: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    on_request: ClassVar[bool] = False

    def unsuited(self, run: Run) -> str:
        """Return why it cannot be drawn of a run, in words that go on after ``figure=NAME``; empty if it can."""
        return ""

    def watched(self, run: Run) -> bool:
        """Tell whether it is worth watching while this run trains."""
        return self.live

    def quick(self) -> Self:
        """Return a version that takes less time to draw, for pictures of a run that trains."""
        return self

    def size(self, run: Run) -> tuple[float, float]:
        """Return width and height in inches."""
        raise AssertionError("a figure defines size()")

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw a run on a figure, or on a part of one."""
        raise AssertionError("a figure defines panel()")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return how many panels of several runs are in a row."""
        return 4

    def cut(self, run: Run) -> str:
        """Return what part of a run is shown where that is not all, such as ``24 of 1,000 classes``; else nothing."""
        return ""

    def cut_of_runs(self, runs: Mapping[str, Run]) -> str:
        """Return what part of several runs is shown where that is not all."""
        groups, shown = group_by_seed(list(runs)), self.shown(runs)
        some = some_of(len(shown), len(groups), "runs", f"the best by {ranking(runs)}")
        return in_words(some, *map(self.cut, shown.values()))

    def draw(self, run: Run | None) -> Figure:
        """Return the figure of one run, None where there is none to be of."""
        assert run is not None
        return drawn(self.size(run), lambda figure: self.panel(figure, run), self.cut(run))

    def shown(self, runs: Mapping[str, Run]) -> dict[str, Run]:
        """Return the runs that have a panel each: of those that differ in nothing but a seed the first, and the best.

        There are so many as limits allow, in the order of `runs`.
        """
        firsts = {title: runs[same[0]] for title, same in group_by_seed(list(runs)).items()}
        _, height = self.size(next(iter(firsts.values())))
        most = min(caps.RUNS, self.columns(runs) * rows_within(height + 0.3))
        kept = best_first(firsts)[:most]
        return {title: run for title, run in firsts.items() if title in kept}

    def compare(self, runs: Mapping[str, Run]) -> Figure:
        """Return the figure of several runs: a panel each under its title.

        Of runs that differ in nothing but a seed the first stands for all.
        """
        shown = self.shown(runs)
        width, height = self.size(next(iter(shown.values())))
        columns = min(self.columns(runs), len(shown))
        rows = -(-len(shown) // columns)

        def panels(figure: FigureBase) -> None:
            parts = figure.subfigures(rows, columns, squeeze=False).flat
            for part, (title, run) in zip(parts, shown.items(), strict=False):
                part.suptitle(shortened(title, 90))
                self.panel(part, run)

        return drawn((width * columns, (height + 0.3) * rows), panels, self.cut_of_runs(runs))

    def film(self, run: Run) -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
        """Yield pictures (H, W, 3) of a figure that moves, and the seconds for which each is to be seen; here none."""
        return iter(())

    def save(self, run: Run | None, folder: Path) -> Path:
        """Draw one run into a folder, and return the file."""
        return self._write(self.draw(run), folder)

    def save_comparison(self, runs: Mapping[str, Run], folder: Path) -> Path:
        """Draw several runs into a folder, and return the file."""
        return self._write(self.compare(runs), folder)

    def _write(self, figure: Figure, folder: Path) -> Path:
        path = folder / f"{name_of(self)}.png"
        save_figure(figure, path)
        return path


def columns_of_table(run: Run) -> tuple[str, ...]:
    """Return the names of the columns that a run's model sees, as its table's header has them; nothing if it has none.

    Features other than the inputs as they are have no such names.
    """
    return run.data().columns if run.config.features.unchanged and len(run.predictor.input_shape) == 1 else ()


def plane_names(run: Run) -> tuple[str, str]:
    """Return what the axes of a run's input plane are called: as in its table's header, else x₁ and x₂."""
    names = [shortened(name, 30).replace("$", r"\$") for name in run.data().columns]  # a name is no formula
    return (names[0], names[1]) if names else ("$x_1$", "$x_2$")


def tell_cut(figure: FigureConfig, runs: Mapping[str, Run], key: str) -> None:
    """Print a note if a picture that was asked for under a key shows only part of a run, or of several."""
    if cut := figure.cut_of_runs(runs):
        note(f"{key}={name_of(figure)} shows {cut}")


def best_first(runs: Mapping[str, Run]) -> list[str]:
    """Return the titles of runs, the best first by their `ranking`; a diverged one is last."""
    metric = ranking(runs)

    def badness(title: str) -> float:
        value = float(runs[title].metrics.get(metric, math.nan))
        return math.inf if math.isnan(value) else value if metric.endswith("loss") else -value

    return sorted(runs, key=badness)


def ranking(runs: Mapping[str, Run]) -> str:
    """Return by which metric runs are compared: ``trainer.monitor`` where all measured it, else ``train/loss``."""
    monitor = next(iter(runs.values())).config.trainer.monitor
    return monitor if all(monitor in run.metrics for run in runs.values()) else "train/loss"


def group_by_seed(titles: Sequence[str]) -> dict[str, list[str]]:
    """Put titles together that differ in nothing but seeds.

    Parameters
    ----------
    titles
        Such as ``model.width=8 seed=0``: words with spaces or commas between them, but for those within brackets.

    Returns
    -------
    dict
        From the words that are not about a seed, with single spaces between them, to the titles that have them.
    """
    groups: dict[str, list[str]] = {}
    for title in titles:
        others = [word for word in title_words(title) if not re.match(r"[^=]*\bseed=", word)]
        groups.setdefault(" ".join(others), []).append(title)
    return groups


def title_words(title: str) -> list[str]:
    """Return the words of a title; spaces and commas within brackets belong to a word."""
    return re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|[^\s,])+", title)


def figures_of_runs() -> dict[str, FigureConfig]:
    """Return every figure of a run by its name, with its defaults."""
    return {name: figure for name, cls in sorted(options("figure").items()) if (figure := cls()).of_run}


def figure_of_runs(text: str, key: str) -> FigureConfig:
    """Return a figure of runs by its name, perhaps with values: ``learning_curves x=seconds``.

    Raises
    ------
    UserError
        When there is none; names the config's `key` that asked for it.
    """
    figures, name = figures_of_runs(), text.partition(" ")[0]
    if name not in figures:
        raise UserError(f"{key}: no figure is called {name}; {did_you_mean(name, figures)}")
    figure: FigureConfig = chosen("figure", text, key)
    return figure
