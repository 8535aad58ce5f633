"""A sweep for Python: the table of its jobs, and their runs, which are loaded when they are asked for."""

import dataclasses
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deeprob.assembly.config import is_seed
from deeprob.compare.command_words import value_of
from deeprob.compare.groups import usual_sort
from deeprob.compare.past_runs import metrics_in
from deeprob.errors import UserError, did_you_mean
from deeprob.running.trained import TrainedRun, chosen_figure, html_table
from deeprob.sweeps.table import SweepTable
from deeprob.sweeps.tuning import Tuning
from deeprob.tracking.console import shown
from deeprob.tracking.metric_names import SYNONYMS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LONGEST = 20
"""The number of jobs up to which a notebook shows all rows. Of a longer sweep, it shows the first and the last."""


class FinishedSweep:
    """A sweep for Python. All its jobs have ended, or it was interrupted.

    Parameters
    ----------
    rows
        The table of the sweep.
    load
        A function that returns the run in a directory.
    monitor
        The metric that chooses the best epoch of a run.
    report
        What ``deeprob-train -m`` would have printed.

    Attributes
    ----------
    report
        What ``deeprob-train -m`` would have printed: a row for each job, means over seeds, claims, directories.
    runs
        The run of each job, by its number. A run is loaded when it is asked for.
    """

    def __init__(self, rows: SweepTable, load: Callable[[Path], TrainedRun], monitor: str, report: str) -> None:
        self._rows, self._monitor = rows, monitor
        self.report: Final = report
        self.runs: Final = Runs(rows, load)

    @property
    def table(self) -> "pd.DataFrame":
        """A row a job: the swept keys with their values, ``status``, the metrics, and ``error``."""
        import pandas as pd

        swept, shown = self._rows.swept, self._rows.shown
        rows = [
            {key: value_of(row[key]) if row[key] else None for key in swept}
            | {name: row[name] for name in ("status", "error")}
            | metrics_in(row)
            for row in self._rows.rows
        ]
        known = dict.fromkeys(name for row in rows for name in row if name != "error")
        first = [*swept, "status", *(name for name in shown if name in known)]
        return pd.DataFrame(rows, columns=[*dict.fromkeys([*first, *known]), "error"]).rename_axis("job")

    @property
    def metric(self) -> str:
        """The metric by which `best` is chosen; empty if no job has ended well.

        It is ``trainer.monitor`` if the runs have a validation split. Otherwise it is that of ``deeprob-compare``: the
        accuracy on the test split, or the loss.
        """
        return usual_sort(self._metrics, self._monitor) or ""

    @property
    def best(self) -> TrainedRun:
        """The best run by `metric` (see `best_by`)."""
        return self.best_by(self.metric)

    def best_by(self, metric: str) -> TrainedRun:
        """Return the best run by a metric.

        First the values with the best mean over seeds and folds are chosen, and then the best of their runs.

        Raises
        ------
        UserError
            If no run has the metric.
        """
        if not self._rows.ended:
            raise UserError("no job of the sweep has ended well")
        if metric not in self._metrics:
            advice = did_you_mean(metric, self._metrics, SYNONYMS)
            raise UserError(f"{metric}: these runs have no such metric; {advice}")
        best: TrainedRun = self.runs[self._number_of_best(metric)]
        return best

    def figure(self, name: str, **settings: Any) -> "Figure":
        """Return a figure of all runs side by side, which a notebook shows (see `TrainedRun.figure`)."""
        numbers = [number for number in self._rows.ended if self._rows.rows[number]["directory"]]
        if not numbers:
            raise UserError("no job of the sweep has ended well")
        runs = {
            self._rows.title(number): dataclasses.replace(
                self.runs[number], directory=self._rows.rows[number]["directory"]
            )
            for number in numbers
        }
        return chosen_figure(name, settings, runs).compare(runs)

    @property
    def _metrics(self) -> list[str]:
        """The metrics of the jobs that ended well, in the order of first occurrence."""
        return list(dict.fromkeys(name for number in self._rows.ended for name in metrics_in(self._rows.rows[number])))

    def _number_of_best(self, metric: str) -> int:
        rows = self._rows.rows
        tuning = Tuning([key for key in self._rows.swept if not is_seed(key)], metric)
        kept = tuning.best(rows, self._rows.swept).kept or self._rows.ended
        return min(kept, key=lambda number: tuning.cost([rows[number]]))

    def __repr__(self) -> str:
        rows = self._rows.rows
        lost = len(rows) - len(self._rows.ended)
        text = f"{len(rows)} job{'s' * (len(rows) != 1)}" + f", {lost} of them without a result" * bool(lost)
        if metric := self.metric:
            best = self._number_of_best(metric)
            values = f" ({title})" if (title := self._rows.title(best)) else ""
            text += f"; best by {metric}: job {best}{values}, {shown(metric, rows[best])}"
        return f"<Sweep: {text}>"

    def _repr_html_(self) -> str:
        rows, names = self._rows.rows, self._rows.shown
        header = ["job", *self._rows.swept, "status", *names]
        numbers = list(range(len(rows)))
        shortened = numbers if len(rows) <= LONGEST else [*numbers[: LONGEST // 2], -1, *numbers[-LONGEST // 2 :]]
        lines = [
            ["…"] * len(header)
            if number < 0
            else [
                str(number),
                *(rows[number][key] for key in self._rows.swept),
                rows[number]["status"],
                *(shown(name, rows[number]) for name in names),
            ]
            for number in shortened
        ]
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{html_table(lines, header)}"


class Runs(Sequence[TrainedRun]):
    """The runs of a sweep, by job number. Each is loaded when it is asked for.

    Parameters
    ----------
    rows
        The table of the sweep.
    load
        A function that returns the run in a directory.
    """

    def __init__(self, rows: SweepTable, load: Callable[[Path], TrainedRun]) -> None:
        self._rows, self._load = rows, load

    def __len__(self) -> int:
        return len(self._rows.rows)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        row = self._rows.rows[number]
        if row["directory"] is None:
            raise UserError(f"row {number}: fused from several runs, and no run itself")
        if not (row["directory"] / "checkpoints" / "best.pt").exists():
            reason = f": {row['error']}" if row["error"] else ""
            raise UserError(f"job {number}: {row['status']}, without a run{reason}")
        return self._load(row["directory"])

    def __repr__(self) -> str:
        return f"<{len(self)} runs of a sweep>"
