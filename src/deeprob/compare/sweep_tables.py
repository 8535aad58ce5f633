"""What a sweep's ``summary.csv`` knows beyond its jobs' directories: further measures, and jobs that left none."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from deeprob.assembly.config import is_seed
from deeprob.compare.command_words import value_of, word_of
from deeprob.compare.past_runs import FINISHED, LOST, PastRun, metrics_in
from deeprob.errors import UserError
from deeprob.tracking import spreadsheet

Row = Mapping[str, str]
UNKNOWN = "unfinished"
"""The status of a run that left no summary and that no process owns."""


def read_table(folder: Path) -> tuple[list[str], list[Row]]:
    """Return the swept keys of a sweep's table, and its rows.

    Raises
    ------
    UserError
        When it is no such table.
    """
    path = folder / "summary.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="")
            names = list(reader.fieldnames or ())
            rows: list[Row] = [spreadsheet.unescaped({name: row[name] for name in names}) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the table of a sweep") from error
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path}: damaged; expected the table of a sweep") from error
    if "status" not in names or "error" not in names:
        raise UserError(f"{path}: no table of a sweep (it has no columns status and error)")
    return names[: names.index("status")], rows


def add_table(runs: Sequence[PastRun], keys: Sequence[str], rows: Sequence[Row]) -> list[PastRun]:
    """Add what a sweep's table knows to the runs in its folder, and return the jobs that left no directory.

    Parameters
    ----------
    runs
        The runs in the sweep's folder; their metrics, statuses and errors are added to.
    keys
        The swept keys.
    rows
        A row a job.
    """
    index = _Index(runs)
    missing = []
    for number, row in enumerate(rows):
        given = {key: word_of(value_of(row[key])) for key in keys if row[key]}
        run = index.find(given, number)
        status, error = row["status"] or "not started", row["error"]
        if run is None:
            if given:
                known = {key: value_of(row[key]) for key in given}
                metrics = metrics_in(dict(_numeric_cells(row))) if status in FINISHED else {}
                missing.append(PastRun(None, index.sibling(given) | known, status, metrics, error))
            continue
        if run.status == UNKNOWN and status in LOST:
            run.status = status
        if run.lost:
            run.error = run.error or error
        elif run.finished:
            run.metrics = metrics_in(dict(_numeric_cells(row))) | run.metrics
    return missing


def _numeric_cells(row: Row) -> Iterator[tuple[str, float]]:
    """Yield the cells of a row that are numbers, with their columns' names."""
    for name, cell in row.items():
        try:
            yield name, float(cell)
        except ValueError:
            continue


class _Index:
    """Runs by the words of some of their values, for as many sets of keys as the rows of a table give."""

    def __init__(self, runs: Sequence[PastRun]) -> None:
        self.runs = runs
        self._by_keys: dict[tuple[str, ...], dict[tuple[str, ...], list[PastRun]]] = {}

    def matching(self, given: Mapping[str, str]) -> list[PastRun]:
        """Return the runs that have some values."""
        keys = tuple(given)
        if keys not in self._by_keys:
            table = self._by_keys[keys] = {}
            for run in self.runs:
                table.setdefault(tuple(word_of(run.values.get(key)) for key in keys), []).append(run)
        return self._by_keys[keys].get(tuple(given.values()), [])

    def find(self, given: Mapping[str, str], number: int) -> PastRun | None:
        """Return the run of a job: the one of its values, or of several the one whose folder has the job's number."""
        runs = self.matching(given)
        if len(runs) < 2:
            return runs[0] if runs else None
        return next((run for run in runs if run.directory and _job_number(run.directory) == number), None)

    def sibling(self, given: Mapping[str, str]) -> dict[str, object]:
        """Return the values of a run that differs from a job in its seeds alone; none where there is no such run."""
        others = self.matching({key: word for key, word in given.items() if not is_seed(key)})
        return dict(others[0].values) if others else {}


def _job_number(directory: Path) -> int | None:
    """Return the number that the name of a job's folder begins with."""
    match = re.match(r"\d+(?=_)", directory.name)
    return int(match[0]) if match else None
