"""Read the table ``summary.csv`` of a sweep. It contains metrics and jobs that the run directories lack."""

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprob.assembly.config import is_seed
from deeprob.compare.command_words import value_of, word_of
from deeprob.compare.past_runs import FINISHED, LOST, PastRun, metrics_in
from deeprob.errors import UserError
from deeprob.tracking import spreadsheet
from deeprob.tracking.console import note
from deeprob.tracking.files import read_text

Row = Mapping[str, str]
UNKNOWN = "unfinished"
"""The status of a run that has no ``summary.json`` and that no process is training."""


def read_table(folder: Path) -> tuple[list[str], Sequence[Row]]:
    """Return the swept keys and the rows of the table of the sweep in `folder`.

    In the file, the paths of directories are relative to `folder`. In the returned rows, these paths start with
    `folder`.

    Raises
    ------
    UserError
        If the file is missing or damaged, or if it is not the table of a sweep.
    """
    path = folder / "summary.csv"
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, newline=""), newline=""), restval="")
        names = list(reader.fieldnames or ())
        rows = [spreadsheet.unescaped({name: row[name] for name in names}) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the table of a sweep") from error
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path}: damaged; expected the table of a sweep") from error
    if "status" not in names or "error" not in names:
        raise UserError(f"{path}: not the table of a sweep (it has no columns status and error)")
    if "directory" in names:
        rows = [row | {"directory": os.path.normpath(folder / row["directory"])} for row in rows]
    return names[: names.index("status")], rows


def add_table(runs: Sequence[PastRun], keys: Sequence[str], rows: Sequence[Row]) -> list[PastRun]:
    """Complete the runs of a sweep with the facts in its table. Return the jobs that have no directory.

    Parameters
    ----------
    runs
        The runs in the sweep's folder. Their missing metrics, statuses and errors are filled in.
    keys
        The swept keys.
    rows
        One row per job.
    """
    joined = _joined(runs, keys, rows)
    meanings = _meanings(joined, keys, rows)
    index = _Index(runs)
    missing, later = [], []
    for number, row in enumerate(rows):
        status, error = row["status"] or "not started", row["error"]
        run = joined.get(number)
        if run is None:
            known = {key: meanings.get((key, row[key]), value) for key, value in _values(row, keys).items()}
            if known:
                metrics = metrics_in(dict(_numeric_cells(row))) if status in FINISHED else {}
                missing.append(PastRun(None, index.sibling(known) | known, status, metrics, error))
            continue
        if run.status == UNKNOWN and status in LOST:
            run.status = status
        if run.lost:
            run.error = run.error or error
        elif run.finished:
            known = metrics_in(dict(_numeric_cells(row)))
            if all(math.isclose(known[name], run.metrics[name]) for name in known.keys() & run.metrics.keys()):
                run.metrics = known | run.metrics
            else:  # the run was resumed later, so the table's metrics belong to an earlier state
                later.append(run)
    if later:
        note(
            f"{len(later)} run(s) were resumed after the sweep; the further measures of the sweep are left out for them"
        )
    return missing


def _numeric_cells(row: Row) -> Iterator[tuple[str, float]]:
    """Yield the column name and the number of each cell that is a number."""
    for name, cell in row.items():
        try:
            yield name, float(cell)
        except ValueError:
            continue


def _values(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    """Return a dictionary from key to value for the keys that have a value in the row of a job."""
    return {key: value_of(row[key]) for key in keys if row[key]}


def _joined(runs: Sequence[PastRun], keys: Sequence[str], rows: Sequence[Row]) -> dict[int, PastRun]:
    """Return a dictionary from the number of each job to the run of the job. Jobs without a run are left out.

    The run of a job is found in three steps. Each step handles only the jobs and the runs that are left:

    1. Take the run in the directory that the row of the job names.
    2. Take the run that has the values in the row.
    3. Old tables have no column for directories. In this case, take the run whose folder name starts with the number of
       the job. This step finds runs whose config differs from the row: a path may be absolute instead of relative.
    """
    by_directory = {os.path.normpath(run.directory): run for run in runs if run.directory is not None}
    joined = {number: run for number, row in enumerate(rows) if (run := by_directory.get(row.get("directory", "")))}
    index = _Index(_without(runs, joined.values()))
    joined |= {
        number: run
        for number, row in enumerate(rows)
        if number not in joined and (run := index.find(_values(row, keys), number))
    }
    if rows and "directory" not in rows[0]:
        numbered = {_job_number(run): run for run in _without(runs, joined.values())}
        joined |= {
            number: run
            for number, row in enumerate(rows)
            if number not in joined and (run := numbered.get(number)) and _may_be(run, _values(row, keys))
        }
    return joined


def _without(runs: Iterable[PastRun], others: Iterable[PastRun]) -> list[PastRun]:
    """Return the runs in `runs` that are not in `others`."""
    taken = set(map(id, others))
    return [run for run in runs if id(run) not in taken]


def _may_be(run: PastRun, given: Mapping[str, Any]) -> bool:
    """Return whether a run may belong to a job with the values `given`.

    The run must have all numbers in `given`. Values that are not numbers may differ.
    """
    return not any(isinstance(value, int | float) and run.values.get(key) != value for key, value in given.items())


def _meanings(joined: Mapping[int, PastRun], keys: Sequence[str], rows: Sequence[Row]) -> dict[tuple[str, str], Any]:
    """Return a dictionary from a key and a text in the table to the value of the key in the run's config.

    If runs with the same text have different values, the text is left out.
    """
    found: dict[tuple[str, str], list[Any]] = {}
    for number, run in joined.items():
        for key in keys:
            if key in run.values:
                found.setdefault((key, rows[number][key]), []).append(run.values[key])
    return {word: values[0] for word, values in found.items() if values.count(values[0]) == len(values)}


class _Index:
    """Finds runs by their values. The first search with a set of keys builds a dictionary for later searches."""

    def __init__(self, runs: Sequence[PastRun]) -> None:
        self.runs = runs
        self._by_keys: dict[tuple[str, ...], dict[tuple[str, ...], list[PastRun]]] = {}

    def matching(self, given: Mapping[str, Any]) -> list[PastRun]:
        """Return the runs that have all given values."""
        keys = tuple(given)
        if keys not in self._by_keys:
            table = self._by_keys[keys] = {}
            for run in self.runs:
                table.setdefault(tuple(word_of(run.values.get(key)) for key in keys), []).append(run)
        return self._by_keys[keys].get(tuple(map(word_of, given.values())), [])

    def find(self, given: Mapping[str, Any], number: int) -> PastRun | None:
        """Return the run with the values `given`; None if there is no such run.

        If there are several such runs, return the run whose folder name starts with `number`.
        """
        runs = self.matching(given)
        if len(runs) < 2:
            return runs[0] if runs else None
        return next((run for run in runs if _job_number(run) == number), None)

    def sibling(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all values of a run that has the values `given`; empty if there is no such run. Seeds may differ."""
        others = self.matching({key: value for key, value in given.items() if not is_seed(key)})
        return dict(others[0].values) if others else {}


def _job_number(run: PastRun) -> int | None:
    """Return the number at the start of the folder name of a run; None if the name has no number."""
    match = re.match(r"\d+(?=_)", run.directory.name) if run.directory is not None else None
    return int(match[0]) if match else None
