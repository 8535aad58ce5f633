"""A sweep's table: printed row by row as jobs end, written to ``summary.csv``, and put together over seeds."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprob.assembly.config import RunConfig, is_seed
from deeprob.sweeps.job import Job
from deeprob.tracking import console, spreadsheet
from deeprob.tracking.files import write_whole
from deeprob.tracking.run_dir import COLUMNS

_LONGEST = len("-1.2345678901234567e-05")  # of values that are not known before
METRICS = (*COLUMNS[2:], "test/loss", "test/accuracy", "features/count", "time/features")


class SweepTable:
    """The jobs of a sweep, a row each.

    Parameters
    ----------
    jobs
        Each job's overrides.
    swept
        The keys that have several values.
    configs
        Each job's config.
    columns
        The metrics to show; none for those in which such jobs differ.
    """

    def __init__(
        self,
        jobs: Sequence[Sequence[str]],
        swept: Sequence[str],
        configs: Sequence[RunConfig],
        columns: Sequence[str] = (),
    ) -> None:
        self.swept = swept
        self.shown = list(columns) or shown_metrics(configs)
        self.rows: list[dict[str, Any]] = [self._row(job) for job in jobs]
        self._live = console.LiveTable(
            ["job", *swept, "status", *self.shown],
            [
                len(str(len(jobs))),
                *(max((len(row[key]) for row in self.rows), default=_LONGEST) for key in swept),
                len("interrupted"),
            ],
        )

    def _row(self, job: Sequence[str]) -> dict[str, Any]:
        """Return a row for a job's overrides."""
        values = {key.lstrip("+"): value for key, value in (word.split("=", 1) for word in job)}
        return {key: values.get(key, "") for key in self.swept} | {"status": "", "error": ""}

    def take(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Take what became of a job, which may be one that was not known before, and print its row."""
        while len(self.rows) <= job.number:
            self.rows.append(self._row(()))
        self.rows[job.number] = self._row(job.words)
        self.set_outcome(job.number, outcome)
        self.print_job(job.number)

    def set_outcome(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Take what became of a job that is known."""
        self.rows[number] |= outcome

    def print_job(self, number: int) -> None:
        """Print the row of a job."""
        self._print_row(str(number), self.rows[number])

    def add(self, content: Mapping[str, Any]) -> int:
        """Take a row that is no job's, print it, and return its number."""
        self.rows.append({**dict.fromkeys(self.swept, ""), "status": "", "error": "", **content})
        self._print_row("", self.rows[-1])
        return len(self.rows) - 1

    def _print_row(self, job: str, row: Mapping[str, Any]) -> None:
        """Print a row under the name of its job."""
        ending = [row["error"]] if row["error"] else [console.shown(name, row) for name in self.shown]
        self._live.row([job, *(row[key] for key in self.swept), row["status"], *ending])

    def add_measures(self, number: int, values: Mapping[str, float]) -> None:
        """Take what else was measured on a job."""
        self.rows[number] |= values
        self.shown += [name for name in values if name not in self.shown]

    def title(self, number: int) -> str:
        """Return a job's values of what is swept."""
        row = self.rows[number]
        return " ".join(f"{key}={row[key]}" for key in self.swept if row[key])

    @property
    def open(self) -> list[int]:
        """The jobs that have not ended."""
        return [number for number, row in enumerate(self.rows) if not row["status"]]

    @property
    def failed(self) -> list[int]:
        """The jobs that ended with an error."""
        return [number for number, row in enumerate(self.rows) if row["error"]]

    def write(self, path: Path) -> None:
        """Write ``summary.csv``: a row a job, and those added."""
        metrics = [name for name in dict.fromkeys((*METRICS, *self.shown)) if any(name in row for row in self.rows)]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*self.swept, "status", "error", *metrics], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(spreadsheet.escaped(row) for row in self.rows)
        write_whole(path, text.getvalue().encode())

    def print_means(self, numbers: Sequence[int] | None = None, heading: str = "") -> None:
        """Print means and standard deviations over seeds, if there were several, of some jobs or of all.

        A `heading` says how the jobs were chosen; then they are printed even without seeds.
        """
        others = [key for key in self.swept if not is_seed(key)]
        if len(others) == len(self.swept) and not heading:
            return
        groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in self.rows if numbers is None else [self.rows[number] for number in numbers]:
            groups.setdefault(tuple(row[key] for key in others), []).append(row)
        widths = [max((len(values[place]) for values in groups), default=0) for place in range(len(others))]
        over = "mean ± standard deviation over seeds" if len(others) < len(self.swept) else ""
        print("\n" + "; ".join(filter(None, (heading, over))))
        table = console.LiveTable([*others, "completed", *self.shown], [*widths, 0], others=len("100.00 ± 10.00 %"))
        for values, rows in groups.items():
            ended = [row for row in rows if row["status"] and not row["error"]]
            spreads = [spread(name, [row[name] for row in ended if name in row]) for name in self.shown]
            table.row([*values, f"{len(ended)} of {len(rows)}", *spreads])


def shown_metrics(configs: Sequence[RunConfig]) -> list[str]:
    """Return the metrics in which jobs differ: accuracy of each split, or loss where there is none, and zeros."""
    measure = "loss" if any(config.dataset.regression for config in configs) else "accuracy"
    val = any(config.dataset.val_fraction for config in configs)
    names = [f"train/{measure}", *([f"val/{measure}"] if val else []), f"test/{measure}"]
    return names + ["params/zeros"] * any(config.regularizer.selects for config in configs)


def spread(name: str, values: Sequence[float]) -> str:
    """Return mean ± standard deviation (of the sample) of a metric for people; of values that are all the same, one."""
    if not values:
        return ""
    mean = console.shown(name, {name: statistics.fmean(values)})
    if len(set(values)) == 1:
        return mean
    return f"{mean.removesuffix(' %').removesuffix(' s')} ± {console.shown(name, {name: statistics.stdev(values)})}"
