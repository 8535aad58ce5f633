"""``deeprob-visualize``: draws one figure, or all suitable figures, of one or several runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from omegaconf import MISSING

from deeprob import config as configs
from deeprob.assembly.finished import CHECKPOINTS, Run, load_run
from deeprob.commands.command import Command
from deeprob.config import choice, options, register
from deeprob.errors import UserError
from deeprob.figures import FigureConfig, figures_of_runs
from deeprob.figures.base import tell_cut
from deeprob.tracking.console import note


@register("figure", "all")
@dataclass(kw_only=True, slots=True)
class AllConfig(FigureConfig):
    """All figures that suit the run, with their default settings."""

    of_run: ClassVar[bool] = False


@register("", "visualize")
@dataclass(kw_only=True, slots=True)
class VisualizeConfig:
    """The config of ``deeprob-visualize``.

    Attributes
    ----------
    run
        The directory of a run, or a folder with several runs, such as a sweep's folder. Several runs are drawn
        side by side. Example: ``run=DIR``.
    checkpoint
        The checkpoint that is loaded. ``best`` is the checkpoint with the best result on the validation split. ``last``
        is the last checkpoint.
    """

    figure: FigureConfig = MISSING
    run: str | None = None
    checkpoint: str = choice("best", among=CHECKPOINTS)


def visualize(config: VisualizeConfig) -> list[Path]:
    """Draw the figures, print the paths of their files, and return them.

    Raises
    ------
    UserError
        If there is no run, or the figure cannot show the run.
    """
    every = isinstance(config.figure, AllConfig)
    if config.run is None:
        if config.figure.of_run or every:
            raise UserError("run is missing: add its directory to the command")
        paths = [config.figure.save(None, Path("outputs/figures"))]
    else:
        directory = Path(config.run)
        runs = runs_in(directory, config.checkpoint)
        figures = [f for f in figures_of_runs().values() if not f.on_request] if every else [config.figure]
        paths = list(draw(figures, runs, directory / "figures", skip=every))
    for path in paths:
        print(f"figure     {path}")
    return paths


def draw(figures: list[FigureConfig], runs: Mapping[str, Run], folder: Path, *, skip: bool) -> Iterator[Path]:
    """Save figures of one or several runs in a folder, and yield the path of each file.

    If a figure cannot show a run, raise a `UserError`. With `skip`, leave out such a figure instead.
    """
    for figure in figures:
        reason = next(filter(None, map(figure.unsuited, runs.values())), "")
        if reason and not skip:
            raise UserError(f"figure={configs.name_of(figure)} {reason}")
        if not reason:
            if not skip:
                tell_cut(figure, runs, "figure")
            first = next(iter(runs.values()))
            yield figure.save(first, folder) if len(runs) == 1 else figure.save_comparison(runs, folder)


def runs_in(directory: Path, checkpoint: str = "best") -> dict[str, Run]:
    """Return a dictionary title → run. It contains the run in a directory, or the finished runs in its subfolders.

    Raises
    ------
    UserError
        If there is no run.
    """
    if (directory / "config.yaml").is_file():
        return {directory.name: load_run(directory, checkpoint)}
    found = [path.parent for path in sorted(directory.glob("*/config.yaml")) if (path.parent / "summary.json").exists()]
    if not found:
        raise UserError(f"run={directory}: no run there (no config.yaml), nor any in its folders")
    unfinished = len(list(directory.glob("*/config.yaml"))) - len(found)
    if unfinished:
        note(f"{unfinished} unfinished run(s) in {directory} left out")
    return titled([load_run(path, checkpoint) for path in found])


def titled(runs: list[Run]) -> dict[str, Run]:
    """Return a dictionary title → run.

    A title gives the values of the keys in which the runs differ, such as ``model.width=8 seed=1``.
    """
    values = [configs.flat(run.config) for run in runs]
    keys = [key for key in {key: None for flat in values for key in flat} if len({str(f.get(key)) for f in values}) > 1]
    groups = {key for key in keys if options(key)}
    # different options have different keys; the title only needs the name of the option
    differing = [
        key
        for key in keys
        if all(key in flat for flat in values) or not any(key.startswith(f"{group}.") for group in groups)
    ]
    return {
        " ".join(f"{key}={flat[key]}" for key in differing if key in flat).replace(", ", ",") or run.directory.name: run
        for run, flat in zip(runs, values, strict=True)
    }


COMMAND = Command.once(VisualizeConfig, visualize, one="run")
