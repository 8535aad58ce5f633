"""``deeprob-optimizer-paths``: runs optimizers on surfaces, draws their paths, and checks the lecture's remarks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import MISSING

from deeprob.analysis.surfaces import Descent, Point, Race, Racer, SurfaceConfig, all_surfaces, descend, racers_of
from deeprob.analysis.surfaces.remarks import remarks_on
from deeprob.commands.command import Command
from deeprob.config import name_of, number, register, some_words
from deeprob.errors import CheckFailed, UserError, memory_errors
from deeprob.figures.of_optimizers.path_curves import path_curves
from deeprob.figures.of_optimizers.path_film import save_film
from deeprob.figures.of_optimizers.paths import paths
from deeprob.figures.style import save_figure
from deeprob.tracking.console import LiveTable
from deeprob.tracking.device import threads

FOLDER = Path("outputs/figures")
HEADER = "optimizer", "f − minimum", "distance", "updates", "evaluations", "time", "first step", "last step"


@register("surface", "all")
@dataclass(kw_only=True, slots=True)
class AllConfig(SurfaceConfig):
    """All surfaces with their default parameters."""


@register("", "optimizer_paths")
@dataclass(kw_only=True, slots=True)
class OptimizerPathsConfig:
    """The config of ``deeprob-optimizer-paths``.

    Attributes
    ----------
    optimizers
        The optimizers that are compared. Each entry names an optimizer of deeprob-train and gives its settings. null
        takes the lecture's optimizers, with learning rates that suit the surface. Example: ``'optimizers=["sgd lr=0.01
        momentum=0.9",lbfgs]'``.
    start
        The point where all optimizers start. null takes the default start of the surface. Example: ``start=[-1,0.5]``.
    steps
        The largest number of updates of each optimizer. null takes the default number of the surface.
    evaluations
        The number of evaluations of f and its gradient after which an optimizer stops. The present update is finished
        first. null takes the number of `steps`.
    noise
        The standard deviation of the noise in each coordinate of a gradient. The noise imitates mini-batches.
    seed
        The seed of the noise.
    film
        Whether to save a film of the paths.
    remarks
        Whether to check the lecture's remarks about the surface. The checks use fixed settings.
    """

    surface: SurfaceConfig = MISSING
    optimizers: list[str] | None = some_words()
    start: list[float] | None = number(None, optional=True, listed=True, whole=False)
    steps: int | None = number(None, minimum=1, maximum=100_000, optional=True)
    evaluations: int | None = number(None, minimum=1, maximum=1_000_000, optional=True)
    noise: float = number(0.0, minimum=0)
    seed: int = number(0, minimum=0)
    film: bool = True
    remarks: bool = True

    def problems(self) -> Iterator[str]:
        """Yield a message if `start` does not have two coordinates."""
        if self.start is not None and len(self.start) != 2:
            given = ",".join(f"{coordinate:g}" for coordinate in self.start)
            yield f"start=[{given}]: expected two numbers, as in [-1,0.5], or null"

    @property
    def surfaces(self) -> list[SurfaceConfig]:
        """The chosen surfaces."""
        return list(all_surfaces().values()) if isinstance(self.surface, AllConfig) else [self.surface]

    def racers(self, surface: SurfaceConfig) -> list[Racer]:
        """Return the optimizers for a surface.

        If the user chose no optimizers and there is noise, the optimizers that need exact gradients are left out.
        """
        if self.optimizers is not None:
            return racers_of(self.optimizers, self.noise)
        return [racer for racer in racers_of(surface.race()) if not (self.noise and racer.optimizer.deterministic)]

    def start_on(self, surface: SurfaceConfig) -> Point:
        """Return the point where all optimizers start on a surface.

        Raises
        ------
        UserError
            If f is not finite there.
        """
        if self.start is None:
            return surface.start
        x, y = self.start
        height = surface.value(torch.tensor([x, y], dtype=torch.float64)).item()
        if not math.isfinite(height):
            raise UserError(
                f"start=[{x:g},{y:g}]: f is {height} there on surface={name_of(surface)}; start nearer to 0"
            )
        return x, y


def optimizer_paths(config: OptimizerPathsConfig) -> list[Race]:
    """Run optimizers on the chosen surfaces, print and draw the results, and check the remarks.

    Raises
    ------
    UserError
        If an optimizer does not exist or cannot run on the surface, or if f is not finite at the start.
    CheckFailed
        If a remark of the lecture does not hold.
    """
    with threads(1), memory_errors():
        return report(config)


def report(config: OptimizerPathsConfig) -> list[Race]:
    """Run the optimizers, print and draw the results, and check the remarks. Return one race per surface."""
    entered = [(surface, config.start_on(surface), config.racers(surface)) for surface in config.surfaces]
    races = []
    for surface, start, racers in entered:
        race = Race(surface, start, [timed(config, surface, racer, start) for racer in racers])
        tabulate(race)
        races.append(race)
    for path in draw(races, name_of(config.surface), film=config.film):
        print(f"figure     {path}")
    if config.remarks:
        remark(config.surfaces)
    return races


def timed(config: OptimizerPathsConfig, surface: SurfaceConfig, racer: Racer, start: Point) -> Descent:
    """Run an optimizer on a surface, and return its path and times.

    The first call of torch is slow. Two updates are therefore made before the measured run.
    """
    steps = config.steps or surface.steps
    descend(surface, racer, start, steps=2)
    return descend(
        surface, racer, start, steps=steps, evaluations=config.evaluations, noise=config.noise, seed=config.seed
    )


def tabulate(race: Race) -> None:
    """Print the surface, the start and the minima, and one row per optimizer."""
    lowest, goals = race.surface.lowest(), race.surface.minima()
    places = " and ".join(f"({x:g}, {y:g})" for x, y in goals)
    print(f"{name_of(race.surface)}: from ({race.start[0]:g}, {race.start[1]:g}) to f = {lowest:g} at {places}")
    view = LiveTable(HEADER, [max(len(descent.racer.words) for descent in race.descents)], len("12345 ms"))
    for descent in race.descents:
        steps = descent.step_lengths
        cells = [
            descent.racer.words,
            f"{descent.losses[-1] - lowest:.1e}",
            f"{descent.distance(goals):.1e}",
            str(descent.updates),
            str(descent.evaluations[-1]),
            f"{1000 * descent.seconds[-1]:.0f} ms",
            f"{steps[0]:.1e}" if len(steps) else "",
            "diverged" if descent.diverged else f"{steps[-1]:.1e}",
        ]
        view.row(cells, style="red" if descent.diverged else "")
    print()


def draw(races: Sequence[Race], name: str, *, film: bool) -> Iterator[Path]:
    """Save the figures of races, and yield the path of each file."""
    save_figure(paths(races), FOLDER / f"paths_{name}.png")
    yield FOLDER / f"paths_{name}.png"
    save_figure(path_curves(races), FOLDER / f"curves_{name}.png")
    yield FOLDER / f"curves_{name}.png"
    if film:
        save_film(races, FOLDER / f"paths_{name}.gif")
        yield FOLDER / f"paths_{name}.gif"


def remark(surfaces: Sequence[SurfaceConfig]) -> None:
    """Check the lecture's remarks about some surfaces, and print the results.

    Raises
    ------
    CheckFailed
        If a remark does not hold.
    """
    failed = []
    for place, (text, holds, numbers) in enumerate(remarks_on([name_of(surface) for surface in surfaces])):
        if place == 0:
            print("\nremarks of the lecture, each checked with its own settings")
        print(f"{'holds' if holds else 'FAILS'}  {text}\n       {numbers}")
        if not holds:
            failed.append(text)
    if failed:
        raise CheckFailed(f"{len(failed)} remark(s) failed: {'; '.join(failed)}")


COMMAND = Command.once(OptimizerPathsConfig, optimizer_paths)
