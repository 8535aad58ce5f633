"""Find past runs in folders, and read them, about a thousand per second."""

import csv
import functools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deeprob.compare.command_words import word_of
from deeprob.errors import UserError
from deeprob.tracking.console import note
from deeprob.tracking.files import read_text
from deeprob.tracking.ownership import owned
from deeprob.tracking.run_dir import RunDirectory

FINISHED = ("completed", "stopped", "fused")
LOST = ("diverged", "failed")
"""The statuses of runs that ended well, and of runs that ended badly. `deeprob.sweeps.fusing` writes ``fused``."""

_SECTIONS = re.compile(r"^(?=\w)", re.MULTILINE)
_ALIAS = re.compile(r"(?:^|[\s,:\[{-])\*\w", re.MULTILINE)
_LARGEST = 2**18  # bytes
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class PastRun:
    """The known facts of a run, whether the run is finished or not.

    Attributes
    ----------
    directory
        The run's directory. None for a job of a sweep that left no directory.
    values
        Dotted key → value in the run's config. The key of a group's choice is the group's name.
    status
        The status in ``summary.json``. Without this file, it is ``running``, ``unfinished`` or the status in a sweep's
        table.
    metrics
        The final metrics, or the metrics of the last epoch so far. Only finite values are kept.
    error
        The reason why the run failed.
    """

    directory: Path | None
    values: dict[str, Any]
    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def finished(self) -> bool:
        """Whether the run ended well."""
        return self.status in FINISHED

    @property
    def lost(self) -> bool:
        """Whether the run ended badly."""
        return self.status in LOST


def find_runs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the sorted directories of runs and of sweeps' tables below `folder`, at any depth."""
    runs, tables = [], []
    for place, folders, files in os.walk(folder):
        if "config.yaml" in files:
            runs.append(Path(place))
            folders.clear()
        elif "summary.csv" in files:
            tables.append(Path(place))
        folders.sort()
    return sorted(runs), sorted(tables)


def read_all(directories: Iterable[Path]) -> list[PastRun]:
    """Return the runs in `directories`. Damaged runs are left out, and a note says so."""
    runs, damaged = [], []
    for directory in directories:
        try:
            runs.append(read_run(directory))
        except UserError as error:
            damaged.append(str(error))
    if damaged:
        note(f"{len(damaged)} run(s) left out: {damaged[0]}{'; …' if len(damaged) > 1 else ''}")
    return runs


def read_run(directory: Path) -> PastRun:
    """Return the run in a directory.

    Raises
    ------
    UserError
        If ``config.yaml`` is missing, or if ``config.yaml`` or ``summary.json`` is damaged or does not belong to a run.
    """
    path = directory / "config.yaml"
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path}: larger than any config of a run")
        values = values_in(read_text(path))
        summary = RunDirectory(directory).read_json("summary")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the config.yaml of a run") from error
    except (yaml.YAMLError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the config.yaml of a run, or damaged") from error
    if summary:
        return PastRun(directory, values, str(summary.get("status")), metrics_in(summary))
    return PastRun(directory, values, "running" if owned(directory) else "unfinished", last_metrics(directory))


def values_in(text: str) -> dict[str, Any]:
    """Return the result of `deeprob.config.flat` for the text of a ``config.yaml``, without building the config.

    Raises
    ------
    yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError
        If `deeprob.config.to_yaml` did not write the text.
    """
    content: dict[str, Any] = {}
    for section in _SECTIONS.split(text):
        content |= _config_section(section)
    entries = [entry for entry in content.pop("defaults") if isinstance(entry, dict)]
    choices = {key.removeprefix("override "): str(name) for entry in entries for key, name in entry.items()}
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name in choices:
            values |= {name: choices[name], **{f"{name}.{key}": inner for key, inner in value.items()}}
        else:
            values[name] = value
    return values


@functools.lru_cache(maxsize=2**14)
def _config_section(text: str) -> Mapping[str, Any]:
    """Return the values of a top-level section of a config. The cache saves time, as runs of a sweep share sections."""
    if _ALIAS.search(text):
        raise ValueError("an alias, which `save` never writes; a few can expand to millions of values")
    content = yaml.load(text, _Loader)
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise TypeError("no keys, or others than words")
    word_of(content)  # raises a RecursionError if values are nested too deeply
    return content


def metrics_in(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among `content` whose names are metrics."""
    return {
        name: float(value)
        for name, value in content.items()
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def last_metrics(directory: Path) -> dict[str, float]:
    """Return the metrics of the last finished epoch of a run; empty if no epoch is finished."""
    *_, last = ({}, *epochs(directory / "metrics.csv"))
    return metrics_in(last)


def epochs(path: Path) -> Iterator[dict[str, float]]:
    """Yield the complete rows of a ``metrics.csv`` as numbers, without empty cells; none if the file is unreadable."""
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return
    whole = text[: text.rfind("\n") + 1]  # a running run may have written half a row
    try:
        for row in csv.DictReader(whole.splitlines()):
            yield {name: float(cell) for name, cell in row.items() if cell}
    except (csv.Error, TypeError, ValueError):
        return
