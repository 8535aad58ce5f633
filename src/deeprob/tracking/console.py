"""Console output: progress bars on a terminal, plain lines elsewhere, and tables."""

import importlib
import io
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import rich.console
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

from deeprob.tracking.metric_names import is_share, measure_of, unbalanced
from deeprob.tracking.streams import PIPE_CLOSED

T = TypeVar("T")

_LINE_EVERY = 2.0  # seconds between plain lines
_NOTEBOOK_EVERY = 0.5  # seconds between two texts in a notebook
_BESIDE_THE_NAME = 56  # letters of a progress bar after the name: epoch, bar, share, rate and time
_NARROWEST = 12  # least width of a column with borders, in letters; rich does not print a table that does not fit


_collected: ContextVar[io.StringIO | None] = ContextVar("collected", default=None)


@contextmanager
def collected() -> Iterator[io.StringIO]:
    """Collect what `say` and `LiveTable` print inside this context in this thread."""
    text = io.StringIO()
    token = _collected.set(text)
    try:
        yield text
    finally:
        _collected.reset(token)


def say(line: str = "") -> None:
    """Print a line on standard output, or add it to the text that is `collected`."""
    print(line, file=_collected.get())


def note(line: str) -> None:
    """Print a remark on standard error."""
    print(f"note: {line}", file=sys.stderr)


class Console(rich.console.Console):
    """Rich's console. If the reader of the output has closed the pipe, the command ends with status `PIPE_CLOSED`."""

    def on_broken_pipe(self) -> None:
        """Discard further output, and end the command."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(PIPE_CLOSED)


class _Rate(ProgressColumn):
    """A column of the progress bar with the number of units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{_short(speed)} {self.unit}/s", style="cyan")


class _Left(ProgressColumn):
    """A column of the progress bar with the remaining time. At the end, it shows the total time."""

    max_refresh = 0.5  # seconds between two updates, so that the last digits can be read

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.time_remaining
        return Text("--:--:--" if seconds is None else _clock(seconds), style="progress.remaining")


class _Lines(Progress):
    """A progress bar, with the remark on the line below. So both fit a terminal of 80 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["remark"], no_wrap=True, overflow="ellipsis") for task in self.tasks)


class _NotebookLine:
    """A line of text below a cell of a notebook. Each text replaces the one before."""

    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, text: str) -> None:
        """Show a text. An empty text removes the line."""
        display: Any = importlib.import_module("IPython.display").display
        content = {"text/plain": text}
        if self._shown is not None:
            self._shown.update(content, raw=True)
        elif text:
            self._shown = display(content, raw=True, display_id=True)


class Bar:
    """A progress bar. If standard output is not a terminal, a plain line is printed every two seconds instead.

    In a notebook, one line is replaced again and again, and removed at the end.

    Parameters
    ----------
    total
        The total number of units.
    what
        The text before the bar.
    unit
        The name of the units, in the plural.
    done
        The number of units that were done before this bar began.
    visible
        Whether anything is shown.
    lines
        Whether plain lines are printed when standard output is not a terminal.
    epochs
        The number of epochs in `total` units. The number of the current epoch is shown, unless `epochs` is 0.
    rarely
        If True, plain lines are printed only every 30 seconds, because other output is printed between the lines.
    """

    def __init__(
        self,
        total: int,
        what: str,
        unit: str,
        *,
        done: int = 0,
        visible: bool = True,
        lines: bool = True,
        epochs: int = 0,
        rarely: bool = False,
    ) -> None:
        self.total, self.what, self.unit, self.lines, self.epochs = total, what, unit, visible and lines, epochs
        self.line_every = _LINE_EVERY * (15 if rarely else 1)
        self.done: float = done
        self._began = self._last = time.monotonic()
        self._start = done
        self._progress: Progress | None = None
        self._line: _NotebookLine | None = None
        console = Console()
        if visible and console.is_jupyter:
            self._line, self.lines, self.line_every = _NotebookLine(), True, _NOTEBOOK_EVERY
        elif visible and console.is_terminal:
            name = Column(no_wrap=True, max_width=max(_NARROWEST, console.width - _BESIDE_THE_NAME))
            self._progress = _Lines(
                TextColumn("{task.description}", markup=False, table_column=name),
                TextColumn("{task.fields[epoch]}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                _Rate(unit),
                _Left(),
                console=console,
                refresh_per_second=4,
                transient=True,
            )
            self._task = self._progress.add_task(what, total=total, completed=done, remark="", epoch=self._epoch)

    @property
    def _epoch(self) -> str:
        """The number of the current epoch, such as ``epoch 3 of 30``; empty if there are no epochs."""
        if not self.epochs:
            return ""
        return f"epoch {min(int(self.done * self.epochs / self.total) + 1, self.epochs)} of {self.epochs}"

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()
        if self._line is not None:
            self._line.show("")

    def advance(self, count: float, remark: str = "") -> None:
        """Add `count` to the number of finished units, and show this number and a remark."""
        self.done += count
        if self._progress is not None:
            self._progress.update(self._task, completed=self.done, remark=remark, epoch=self._epoch)
            return
        now = time.monotonic()
        if self.lines and now - self._last >= self.line_every:
            self._last = now
            speed = (self.done - self._start) / (now - self._began)
            left = _clock(max(0.0, self.total - self.done) / speed) if speed else "?"
            share = f"{100 * self.done / self.total:3.0f} %"
            parts = (self.what, self._epoch, share, f"{_short(speed)} {self.unit}/s", f"{left} left", remark)
            text = "  ".join(filter(None, parts))
            if self._line is None:
                print(text, flush=True)
            else:
                self._line.show(text)


def track(counts: Iterable[int], total: int, what: str) -> Iterator[int]:
    """Add each count of finished units to a progress bar, then yield the count."""
    with Bar(total, what, "pictures") as bar:
        for count in counts:
            bar.advance(count)
            yield count


def _clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, such as 00:01:30 or 135:00:00."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def _short(number: float) -> str:
    """Return a number with at most three digits, such as 1.5, 950, 12.3k or 1.2M."""
    if number < 10:
        return f"{number:.2g}"
    for limit, divisor, suffix in ((1e3, 1, ""), (1e6, 1e3, "k"), (float("inf"), 1e6, "M")):
        if number < limit:
            return f"{number / divisor:.3g}{suffix}" if divisor > 1 else f"{number:.0f}"
    return "∞"


def progress_remark(metrics: Mapping[str, float]) -> str:
    """Return a text with the loss and the accuracy, for the end of a progress line."""
    names = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
    return "  ".join(f"{name} {metrics[name]:.4g}" for name in names if name in metrics)


def print_rows(rows: Sequence[tuple[str, ...]], header: Sequence[str]) -> None:
    """Print a table. The first column is aligned left, and the other columns are aligned right.

    On a narrow terminal the columns stay wide enough to read. Markup such as ``[bold]`` is printed unchanged.
    """
    view = Table(header_style="bold")
    for position, name in enumerate(header):
        view.add_column(name, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        view.add_row(*row)
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, _NARROWEST * len(header))
    console.print(view)


class LiveTable:
    """A table that prints each row as soon as the row is known. A row is one line, which is never wrapped.

    Parameters
    ----------
    header
        The names of the columns.
    widths
        The widths of the first columns, whose text is aligned left. A column is at least as wide as its name.
    others
        The width of each other column, whose numbers are aligned right.
    """

    def __init__(self, header: Sequence[str], widths: Sequence[int], others: int = len("100.00 %")) -> None:
        needed = [*widths, *(others for _ in header[len(widths) :])]
        self._widths = [max(len(name), width) for name, width in zip(header, needed, strict=True)]
        self._texts = len(widths)
        self.row(header, style="bold")

    def row(self, cells: Sequence[str], style: str = "") -> None:
        """Print a row. If it has fewer cells than the table has columns, the last cell may be a long remark."""
        aligned = [
            f"{cell:{'<' if column < self._texts else '>'}{width}}"
            for column, (cell, width) in enumerate(zip(cells, self._widths, strict=False))
        ]
        # a new console each time, because a table may be pickled for another process
        file = _collected.get()
        plain: bool | None = None if file is None else False  # a notebook would show the row in any case
        console = Console(file=file, force_jupyter=plain, soft_wrap=True, markup=False, emoji=False, highlight=False)
        console.print("  ".join(aligned).rstrip(), style=style)


def split_table(metrics: Mapping[str, float]) -> None:
    """Print the final metrics (see `split_rows`)."""
    rows, header = split_rows(metrics)
    print_rows(rows, header)


def split_rows(metrics: Mapping[str, float]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the final metrics as the rows and the header of a table: one row per split, one column per measure.

    The measures are the loss, and the accuracy or R². If the classes are unbalanced, the balanced accuracy follows.
    """
    splits = [s for s in ("train", "val", "test") if f"{s}/loss" in metrics]
    usual = ("loss", "accuracy", *(["balanced_accuracy"] if unbalanced(metrics) else []), "r2")
    measures = [measure for measure in usual if any(f"{split}/{measure}" in metrics for split in splits)]
    rows = [(split, *(shown(f"{split}/{measure}", metrics) for measure in measures)) for split in splits]
    return rows, ("split", *(measure.replace("_", " ") for measure in measures))


def measure_table(split: str, metrics: Mapping[str, float]) -> None:
    """Print all metrics of a split, one row per measure."""
    print_rows([(measure_of(name), shown(name, metrics)) for name in metrics], ("measure", split))


def shown(name: str, metrics: Mapping[str, float]) -> str:
    """Return a metric as text: a share in percent, a count as a whole number. Missing metrics give an empty text."""
    if name not in metrics:
        return ""
    value = metrics[name]
    if is_share(name):
        return f"{100 * value:.2f} %"
    if name.endswith(("evaluations", "count")):
        return f"{value:.0f}"
    if name.startswith("time/"):
        return f"{value:.2f} s" if name != "time/examples_per_second" else f"{value:.0f}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def print_run(directory: Path, figures: Path | None = None, words: Sequence[str] = ()) -> None:
    """Print the directory of a run, the folder of its figures (if given), and the commands to inspect the run.

    `words` are the words with which commands import the run's own parts.
    """
    above = next((parent for parent in directory.parents if parent.name == "outputs"), directory)
    print(f"run        {near(directory)}")
    if figures is not None:
        print(f"figures    {near(figures)}")
    if any(directory.glob("events.out.tfevents.*")):
        print(f"curves     tensorboard --logdir {shlex.quote(near(above))}")
    print(f"again      {shlex.join(['deeprob-evaluate', *words, near(directory)])}")


def near(path: Path) -> str:
    """Return a path as text. If it is inside the current folder, it is given relative to this folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)
