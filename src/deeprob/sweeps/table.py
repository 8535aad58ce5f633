"""The table of a sweep: printed row by row as jobs end, written to ``summary.csv``, averaged over seeds and folds."""

import csv
import io
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprob.assembly.config import FOLD, RunConfig, is_seed
from deeprob.compare.groups import outcomes
from deeprob.compare.past_runs import FINISHED
from deeprob.sweeps.job import Job
from deeprob.tracking import console, spreadsheet
from deeprob.tracking.files import write_whole
from deeprob.tracking.metric_names import IMBALANCE, OF_CLASSES, OF_NUMBERS, is_recall, unbalanced
from deeprob.tracking.run_dir import COLUMNS

_LONGEST = len("-1.2345678901234567e-05")  # the width of a column whose values are not known beforehand
METRICS = (
    *COLUMNS[2:],
    *(f"train/{measure}" for measure in (*OF_CLASSES[1:], *OF_NUMBERS)),
    *(f"test/{measure}" for measure in ("loss", *OF_CLASSES, *OF_NUMBERS)),
    "features/count",
    "time/features",
    IMBALANCE,
)
"""The metrics that jobs may have, besides the recall of each class.

``summary.csv`` has columns for these, for recalls, and for the measures of the sweep.
"""


class SweepTable:
    """A table with one row per job of a sweep.

    Parameters
    ----------
    jobs
        The jobs that are known beforehand.
    swept
        The keys that have several values.
    configs
        The config of each job.
    columns
        The metrics to show. If empty, the metrics from `shown_metrics` are shown, and the means over seeds also show
        the balanced accuracy if the classes are unbalanced.
    path
        The file of the table. A row is appended when a job ends. When all jobs have ended, the file is written anew.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        swept: Sequence[str],
        configs: Sequence[RunConfig],
        columns: Sequence[str] = (),
        path: Path = Path("summary.csv"),
    ) -> None:
        self.swept, self.path = swept, path
        self._owner, self._appended, self._by_default = os.getpid(), list[str](), not columns
        self.shown = list(columns) or shown_metrics(configs)
        self.rows: list[dict[str, Any]] = [self._row(job.words, job.folder) for job in jobs]
        self._live = console.LiveTable(
            ["job", *swept, "status", *self.shown],
            [
                len(str(len(jobs))),
                *(max((len(row[key]) for row in self.rows), default=_LONGEST) for key in swept),
                len("interrupted"),
            ],
        )

    def _row(self, words: Sequence[str] = (), folder: Path | None = None) -> dict[str, Any]:
        """Return a row with the overrides and the folder of a job; without arguments, an empty row."""
        values = {key.lstrip("+"): value for key, value in (word.split("=", 1) for word in words)}
        return {key: values.get(key, "") for key in self.swept} | {"status": "", "error": "", "directory": folder}

    def take(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Add the outcome of a job to the table and its file, and print the row. The job may be new to the table."""
        while len(self.rows) <= job.number:
            self.rows.append(self._row())
        self.rows[job.number] = self._row(job.words, job.folder)
        self.set_outcome(job.number, outcome)
        if os.getpid() == self._owner:  # another process has only a copy of the table
            self._append(self.rows[job.number])
        self.print_job(job.number)

    def set_outcome(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Add the outcome of a job to its row."""
        self.rows[number] |= outcome
        if self._by_default and unbalanced(outcome):
            balanced = ("val/balanced_accuracy", "test/balanced_accuracy")
            self.shown += [name for name in balanced if name in outcome and name not in self.shown]

    def print_job(self, number: int) -> None:
        """Print the row of a job."""
        self._print_row(str(number), self.rows[number])

    def add(self, content: Mapping[str, Any]) -> int:
        """Add a row that belongs to no job, print it, and return its number."""
        self.rows.append({**self._row(), **content})
        self._print_row("", self.rows[-1])
        return len(self.rows) - 1

    def _print_row(self, job: str, row: Mapping[str, Any]) -> None:
        """Print a row; `job` is the text of the first column."""
        ending = [row["error"]] if row["error"] else [console.shown(name, row) for name in self.shown]
        self._live.row([job, *(row[key] for key in self.swept), row["status"], *ending])

    def add_measures(self, number: int, values: Mapping[str, float]) -> None:
        """Add further metrics to the row of a job, and show them from now on."""
        self.rows[number] |= values
        self.shown += [name for name in values if name not in self.shown]

    def title(self, number: int) -> str:
        """Return a text with the swept keys of a job and their values, such as ``model.width=4 seed=0``."""
        row = self.rows[number]
        return " ".join(f"{key}={row[key]}" for key in self.swept if row[key])

    @property
    def open(self) -> list[int]:
        """The numbers of the jobs that have not ended."""
        return [number for number, row in enumerate(self.rows) if not row["status"]]

    @property
    def ended(self) -> list[int]:
        """The numbers of the jobs that ended well."""
        return [number for number, row in enumerate(self.rows) if row["status"] in FINISHED]

    @property
    def failed(self) -> list[int]:
        """The numbers of the jobs with an error: jobs that failed, and jobs that were skipped."""
        return [number for number, row in enumerate(self.rows) if row["error"]]

    def write(self) -> None:
        """Write ``summary.csv``: one row per job, then the added rows. Paths are relative to the file's folder."""
        metrics = [name for name in self._metrics if any(name in row for row in self.rows)]
        write_whole(self.path, self._text(self.rows, metrics, header=True))

    def _append(self, row: Mapping[str, Any]) -> None:
        """Append a row to the file, with a column for every metric known now. At the end `write` replaces the file."""
        first = not self._appended
        if first:
            self.path.unlink(missing_ok=True)
            self._appended = self._metrics
        with self.path.open("ab") as file:
            file.write(self._text([row], self._appended, header=first))

    @property
    def _metrics(self) -> list[str]:
        recalls = (name for row in self.rows for name in row if is_recall(name))
        return list(dict.fromkeys((*METRICS, *recalls, *self.shown)))

    def _text(self, rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], *, header: bool) -> bytes:
        """Return rows as CSV."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*self.swept, "status", "error", "directory", *metrics], extrasaction="ignore")
        if header:
            writer.writeheader()
        for row in rows:
            folder = row["directory"]
            place = os.path.relpath(folder, self.path.parent) if folder else ""
            writer.writerow(spreadsheet.escaped({**row, "directory": place}))
        return text.getvalue().encode()

    def print_means(self, numbers: Sequence[int] | None = None, heading: str = "") -> None:
        """Print means and standard deviations over seeds and folds.

        If no seed or fold is among the swept keys and there is no `heading`, nothing is printed.

        Parameters
        ----------
        numbers
            The numbers of the rows to use; None for all rows.
        heading
            A text that says which rows are used.
        """
        others = [key for key in self.swept if not is_seed(key)]
        if len(others) == len(self.swept) and not heading:
            return
        groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in self.rows if numbers is None else [self.rows[number] for number in numbers]:
            groups.setdefault(tuple(row[key] for key in others), []).append(row)
        cells = {(*values, outcomes(row["status"] for row in rows)): rows for values, rows in groups.items()}
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        drawn = dict.fromkeys("folds" if key == FOLD else "seeds" for key in self.swept if is_seed(key))
        over = f"mean ± standard deviation over {' and '.join(drawn)}" if drawn else ""
        console.say("\n" + "; ".join(filter(None, (heading, over))))
        table = console.LiveTable([*others, "completed", *self.shown], widths, others=len("100.00 ± 10.00 %"))
        for words, rows in cells.items():
            ended = [row for row in rows if row["status"] in FINISHED]
            spreads = [spread(name, [row[name] for row in ended if name in row]) for name in self.shown]
            table.row([*words, *spreads])


def shown_metrics(configs: Sequence[RunConfig]) -> list[str]:
    """Return the metrics to show by default: the accuracy of each split, or the loss if there are no classes.

    R² is shown beside the loss, and the measure of ``trainer.monitor`` if it is another one. If a regularizer can make
    weights 0, the share of zeros is shown too.
    """
    regression = any(config.dataset.regression for config in configs)
    measure = "loss" if regression else "accuracy"
    held_out = ["val", "test"] if any(config.dataset.has_validation for config in configs) else ["test"]
    others = dict.fromkeys(["r2"] * regression + [config.trainer.monitor.partition("/")[2] for config in configs])
    more = [name for name in others if name not in ("", measure, "loss", "accuracy")]
    names = [
        f"{split}/{name}"
        for name, splits in ((measure, ["train", *held_out]), *((n, held_out) for n in more))
        for split in splits
    ]
    return names + ["params/zeros"] * any(config.regularizer.selects for config in configs)


def spread(name: str, values: Sequence[float]) -> str:
    """Return mean ± sample standard deviation of a metric, as text. If all values are equal, return only the mean."""
    if not values:
        return ""
    mean = console.shown(name, {name: statistics.fmean(values)})
    if len(set(values)) == 1:
        return mean
    return f"{mean.removesuffix(' %').removesuffix(' s')} ± {console.shown(name, {name: statistics.stdev(values)})}"
