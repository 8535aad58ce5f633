"""What every figure has: a config with its options, and how it is drawn of one run or of several side by side."""

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
from deeprob.figures.style import drawn, save_figure, shortened


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

    def draw(self, run: Run | None) -> Figure:
        """Return the figure of one run, None where there is none to be of."""
        assert run is not None
        return drawn(self.size(run), lambda figure: self.panel(figure, run))

    def compare(self, runs: Mapping[str, Run], columns: int = 4) -> Figure:
        """Return the figure of several runs: a panel each under its title, `columns` in a row.

        Of runs that differ in nothing but a seed the first stands for all.
        """
        chosen = {title: runs[same[0]] for title, same in group_by_seed(list(runs)).items()}
        width, height = self.size(next(iter(chosen.values())))
        columns = min(columns, len(chosen))
        rows = -(-len(chosen) // columns)

        def panels(figure: FigureBase) -> None:
            parts = figure.subfigures(rows, columns, squeeze=False).flat
            for part, (title, run) in zip(parts, chosen.items(), strict=False):
                part.suptitle(shortened(title, 90))
                self.panel(part, run)

        return drawn((width * columns, (height + 0.3) * rows), panels)

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
        words = re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|[^\s,])+", title)
        others = [word for word in words if not re.match(r"[^=]*\bseed=", word)]
        groups.setdefault(" ".join(others), []).append(title)
    return groups


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
