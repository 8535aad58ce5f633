"""A run for Python: a finished run with its history and its figures, which shows itself in a notebook."""

import dataclasses
import html
import io
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprob.assembly import finished
from deeprob.assembly.config import RunConfig
from deeprob.assembly.finished import Run
from deeprob.assembly.prepare import Shared
from deeprob.compare.command_words import word_of
from deeprob.config import name_of
from deeprob.data.given import Given, GivenConfig
from deeprob.errors import UserError
from deeprob.tracking.console import shown, split_rows
from deeprob.tracking.device import resolve_device

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from deeprob.figures import FigureConfig

IN_MEMORY = Path("the run")
"""The directory of a run that has none, for messages."""


@dataclass(frozen=True, repr=False, eq=False)
class TrainedRun(Run):
    """A run for Python: a `Run` with its history and its figures, which also shows itself.

    Attributes
    ----------
    rows
        The text of ``metrics.csv``; None if it is in the run's directory.
    given
        The data that were given from Python, which the config finds as long as the run refers to them.
    """

    rows: str | None = None
    given: tuple[Given, ...] = field(default=(), repr=False)

    @property
    def history(self) -> "pd.DataFrame":
        """The metrics of each epoch: a row an epoch, a column a metric. The index is the number of the epoch.

        Raises
        ------
        UserError
            If the run wrote none, because ``trainer.trackers`` lacks ``csv``.
        """
        import pandas as pd

        path = self.directory / "metrics.csv"
        if "csv" not in map(str.strip, self.config.trainer.trackers):
            from deeprob.figures.of_runs.recorded_metrics import WRITTEN

            raise UserError(f"history: the run has none; {WRITTEN}")
        text = self.rows if self.rows is not None else path.read_text(encoding="utf-8") if path.is_file() else ""
        table = pd.read_csv(io.StringIO(text or "epoch\n"), index_col="epoch")
        return table.dropna(axis="columns", how="all")

    def figure(self, name: str, **settings: Any) -> "Figure":
        """Return a figure of the run, which a notebook shows.

        Parameters
        ----------
        name
            The name of the figure, such as ``decision_boundary``: an option of the group ``figure``.
        settings
            The settings of the figure. Example: ``run.figure("learning_curves", x="seconds")``.

        Raises
        ------
        UserError
            If there is no such figure or setting, or if the figure cannot show the run.
        """
        if self.rows is not None:
            with tempfile.TemporaryDirectory(prefix="deeprob-") as folder:  # some figures read metrics.csv
                Path(folder, "metrics.csv").write_text(self.rows, encoding="utf-8")
                return dataclasses.replace(self, directory=Path(folder), rows=None).figure(name, **settings)
        return chosen_figure(name, settings, {"": self}).draw(self)

    def _data_are_gone(self, dataset: GivenConfig) -> str:
        if self.rows is None:
            return super()._data_are_gone(dataset)
        return (  # only an estimator makes a run in memory without data
            f"{self.directory}: an estimator keeps no data; call score(X, y) of the estimator, "
            "or train with deeprob.train(words, data=(X, y))"
        )

    def __repr__(self) -> str:
        measured = [name for name in ("test/accuracy", "test/r2", "test/loss") if name in self.metrics][:1]
        parts = [str(self.metrics.get("status", "unfinished")), f"epoch {self.metrics.get('epochs', 0)}"]
        parts += [f"{name} {shown(name, self.metrics)}" for name in measured]
        return f"<Run {title(self.config)}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        rows, header = split_rows(self.metrics)
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{html_table(rows, header)}"


def title(config: RunConfig) -> str:
    """Return the names of dataset, model and optimizer, joined by hyphens."""
    return "-".join(map(name_of, (config.dataset, config.model, config.optimizer)))


def html_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return a table in HTML."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def chosen_figure(name: str, settings: Mapping[str, Any], runs: Mapping[str, Run]) -> "FigureConfig":
    """Return the figure with a name and settings.

    Raises
    ------
    UserError
        If there is no such figure or setting, or if the figure cannot show one of the runs.
    """
    from deeprob.figures import figure_of_runs

    words = [shlex.quote(f"{key}={word_of(value)}") for key, value in settings.items()]
    figure = figure_of_runs(" ".join([name, *words]), "figure")
    if reason := next(filter(None, map(figure.unsuited, runs.values())), ""):
        raise UserError(f"figure={name_of(figure)} {reason}")
    return figure


def trained_run(place: Path, shared: Shared, given: tuple[Given, ...], *, lasting: bool) -> TrainedRun:
    """Return the run that was just trained in a directory, with its data.

    `shared` has prepared the data. If the directory does not last, the run keeps in memory what it needs.
    """
    run, path = finished.load_run(place), place / "metrics.csv"
    trainer = run.config.trainer
    prepared = shared.prepare(run.config.dataset, run.config.features, resolve_device(trainer.device), trainer.dtype)
    own = {f.name: getattr(run, f.name) for f in dataclasses.fields(Run)}
    own |= {"raw": prepared.raw, "extracted": prepared.splits}
    if not lasting:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        own |= {"directory": IN_MEMORY, "rows": text}
    return TrainedRun(**own, given=given)
