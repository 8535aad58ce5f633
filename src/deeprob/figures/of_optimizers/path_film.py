"""A film in which the paths of optimizers grow with the number of evaluations."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from deeprob.analysis.surfaces import Race
from deeprob.figures.gif import gif
from deeprob.figures.of_optimizers.paths import Trail, grounds, size
from deeprob.figures.style import INK, STYLE, drawn
from deeprob.tracking.files import write_whole

DPI = 80
"""The film's dots per inch."""

FRAMES, SECONDS, HOLD = 60, 0.08, 2.0
"""The number of frames after the first, the duration of a frame in seconds, and the duration of the last frame."""


def save_film(races: Sequence[Race], path: Path) -> None:
    """Write the film of one race, or of several races side by side, to the GIF file `path`.

    If writing fails, no incomplete file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, gif(list(film(races))))


def film(races: Sequence[Race], frames: int = FRAMES) -> Iterator[tuple[np.ndarray, float]]:
    """Yield frames (H, W, 3) of uint8 and their durations in seconds.

    A frame shows all optimizers of a race after the same number of evaluations. In frame k of K, the number is (k/K)²
    times the number in the last frame. So the film is slow at the start, where the paths change most.
    """
    every: list[Axes] = []
    figure = drawn(size(races), lambda canvas: every.extend(grounds(canvas, races, filled=False)))
    with mpl.rc_context(STYLE):
        figure.set_dpi(DPI)
        canvas: Any = FigureCanvasAgg(figure)  # FigureCanvasAgg has no type hints
        canvas.draw()
        still = canvas.copy_from_bbox(figure.bbox)  # the part that is the same in all frames
        screens = [RaceScreen(axes, race) for axes, race in zip(every, races, strict=True)]
    for number in range(frames + 1):
        with mpl.rc_context(STYLE):  # ends before each yield, so that other figures do not get this style
            canvas.restore_region(still)
            for screen in screens:
                screen.show((number / frames) ** 2, canvas.get_renderer())
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy(), HOLD if number == frames else SECONDS


class RaceScreen:
    """Axes on which the paths of a race grow.

    Parameters
    ----------
    axes
        The axes to draw on. They already show the surface.
    race
        The race to show.
    """

    def __init__(self, axes: Axes, race: Race) -> None:
        self.race = race
        self.axes = axes
        self.trails = [Trail(axes, number) for number in range(len(race.descents))]
        self.count = axes.text(0.98, 0.97, "", transform=axes.transAxes, ha="right", va="top", color=INK, fontsize=8)
        self.count.set_bbox({"fc": "white", "ec": "none", "pad": 2.0})

    def show(self, share: float, renderer: Any) -> None:
        """Show all paths after the same number n of evaluations.

        The longest path has N evaluations, and n = `share` · N. `share` is in [0, 1].
        """
        evaluations = round(share * max(int(descent.evaluations[-1]) for descent in self.race.descents))
        for trail, descent in zip(self.trails, self.race.descents, strict=True):
            trail.show(descent, reached(descent.evaluations, evaluations))
        self.count.set_text(f"{evaluations} evaluations")
        artists = [artist for trail in self.trails for artist in (trail.line, trail.end)]
        for artist in sorted([*artists, self.count], key=lambda artist: artist.get_zorder()):
            artist.draw(renderer)


def reached(counts: np.ndarray, evaluations: int) -> int:
    """Return the number of updates that are complete after `evaluations` evaluations.

    `counts` (n + 1,) holds the number of evaluations after each update, in ascending order from 0.
    """
    return int(np.searchsorted(counts, evaluations, side="right")) - 1
