"""``deeprob-compare``: compares runs, prints the comparison, and writes it as an HTML page."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deeprob.commands.command import Command
from deeprob.compare.comparison import Comparison, compare_runs, gather
from deeprob.compare.page import page
from deeprob.compare.past_runs import PastRun
from deeprob.compare.report import print_report
from deeprob.config import number, register, some_words
from deeprob.errors import UserError
from deeprob.running.resume import print_resume
from deeprob.sweeps.resumption import words_of_sweep
from deeprob.sweeps.sweep import UNFINISHED
from deeprob.tracking.files import write_whole


@register("", "compare")
@dataclass(kw_only=True, slots=True)
class CompareConfig:
    """The config of ``deeprob-compare``.

    Attributes
    ----------
    sweep
        A sweep's directory, or any folder with run directories below it. Example:
        ``sweep=outputs/sweeps/2026-01-31_12-00-00``.
    runs
        The run directories to compare, instead of `sweep`. Example: ``runs=[DIR1,DIR2]``.
    sort
        The metric that ranks the runs. null takes val/accuracy. If no run has it, null takes test/accuracy,
        train/accuracy or a loss. Example: ``sort=test/loss``.
    metrics
        The metrics that are shown. null shows the accuracy of each split, or the loss if there is no accuracy. If
        classes are unbalanced, null also shows the balanced accuracy.
        Example: ``metrics=[test/loss,test/accuracy]``.
    top
        The number of groups in the table on the terminal. The runs of a group differ only in seeds. The page shows
        all groups.
    heatmap
        The two keys of the heat map. null takes the two keys with the largest effect. Example:
        ``heatmap=[optimizer.lr,model.width]``.
    html
        Whether to write the HTML page.
    out
        The file of the HTML page. null is ``compare.html`` in the sweep's folder, or in the folder that contains all
        runs. Example: ``out=all.html``.
    """

    sweep: str | None = None
    runs: list[str] = field(default_factory=list)
    sort: str | None = None
    metrics: list[str] | None = some_words()
    top: int = number(20, minimum=1)
    heatmap: list[str] | None = some_words()
    html: bool = True
    out: str | None = None

    def problems(self) -> Iterator[str]:
        """Yield a message for each key that is missing, wrong, or contradicts another key."""
        if self.sweep is None and not self.runs:
            yield "sweep is missing: add the directory of a sweep to the command, or the directories of several runs"
        if self.sweep is not None and self.runs:
            yield "sweep and runs exclude each other: sweep=DIR takes all runs in a folder, runs=[DIR,DIR] the named"
        places = [Path(run).resolve() for run in self.runs]
        if len(places) == 1 or len(set(places)) < len(places):
            yield f"runs=[{','.join(self.runs)}]: expected two runs or more, each once"
        if self.heatmap is not None and (len(self.heatmap), len(set(self.heatmap))) != (2, 2):
            yield f"heatmap=[{','.join(self.heatmap)}]: expected two keys, as in [optimizer.lr,model.width]"

    @property
    def page(self) -> Path:
        """The path of the HTML page."""
        if self.out is not None:
            return Path(self.out)
        above = self.sweep if self.sweep is not None else os.path.commonpath([Path(run).resolve() for run in self.runs])
        return Path(above) / "compare.html"


def compare(config: CompareConfig) -> Comparison:
    """Compare runs, print the comparison, and write the HTML page.

    Raises
    ------
    UserError
        If there are no runs to compare, a metric or key does not exist, or the page cannot be written.
    """
    folder = None if config.sweep is None else Path(config.sweep)
    runs, named = gather(folder, [Path(run) for run in config.runs])
    title = config.sweep or f"{len(runs)} runs"
    comparison = compare_runs(title, runs, named, config.sort, config.metrics, config.heatmap)
    if config.html:
        write(comparison, config.page)
    print_report(comparison, config.top)
    if folder is not None and unfinished(folder, comparison.runs):
        print_resume(folder)
    if config.html:
        print(f"page       {config.page}")
    return comparison


def unfinished(folder: Path, runs: Sequence[PastRun]) -> bool:
    """Return whether a folder contains an unfinished sweep and none of `runs` is running.

    Parameters
    ----------
    folder
        Any folder.
    runs
        The runs in the folder.
    """
    statuses = {run.status for run in runs}
    if "running" in statuses or not statuses & {"unfinished", *UNFINISHED}:
        return False
    try:
        return words_of_sweep(folder) is not None
    except (RecursionError, UserError):  # resuming says what is wrong and what to type instead
        return True


def write(comparison: Comparison, path: Path) -> None:
    """Write a comparison as an HTML page.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    try:
        write_whole(path, page(comparison).encode())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give another file with out=FILE, or html=false") from error


COMMAND = Command.once(CompareConfig, compare, one="sweep", several="runs")
