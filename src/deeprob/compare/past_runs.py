"""Runs that have been made: found in folders, and read fast, a thousand in about a second."""

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
"""Statuses of runs that ended well, and badly; `deeprob.sweeps.fusing` makes rows of the third."""

_SECTIONS = re.compile(r"^(?=\w)", re.MULTILINE)
_ALIAS = re.compile(r"(?:^|[\s,:\[{-])\*\w", re.MULTILINE)
_LARGEST = 2**18  # bytes
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class PastRun:
    """What is known of a run, wherever it got to.

    Attributes
    ----------
    directory
        Where it lies; None for a job that left no directory behind.
    values
        Its config: dotted key → value, with each group's choice under the group's own name.
    status
        That of ``summary.json``; ``running`` or ``unfinished`` where there is none; or what a sweep's table says.
    metrics
        The finite ones among its final metrics, or those of its last epoch so far.
    error
        Why it failed.
    """

    directory: Path | None
    values: dict[str, Any]
    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def finished(self) -> bool:
        """Whether it ended well."""
        return self.status in FINISHED

    @property
    def lost(self) -> bool:
        """Whether it ended badly."""
        return self.status in LOST


def find_runs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the directories of runs in a folder at any depth, and those with a sweep's table, each in order."""
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
    """Return the runs in some directories; say which are damaged and left out."""
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
        When its ``config.yaml`` or ``summary.json`` is none of a run.
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
    """Return what `deeprob.config.flat` would of the config in a ``config.yaml``, without building the config.

    Raises
    ------
    yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError
        When the text is none of `deeprob.config.to_yaml`.
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
    """Return a part of a config that begins at a key of the top level: most of a sweep's runs have most in common."""
    if _ALIAS.search(text):
        raise ValueError("an alias, which `save` never writes; a few can expand to millions of values")
    content = yaml.load(text, _Loader)
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise TypeError("no keys, or others than words")
    word_of(content)  # what is nested too deep to be a word raises an error here
    return content


def metrics_in(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among some values whose names are of metrics."""
    return {
        name: float(value)
        for name, value in content.items()
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def last_metrics(directory: Path) -> dict[str, float]:
    """Return the metrics of the last epoch that a run has behind it; empty before the first."""
    *_, last = ({}, *epochs(directory / "metrics.csv"))
    return metrics_in(last)


def epochs(path: Path) -> Iterator[dict[str, float]]:
    """Yield the whole rows of numbers in a ``metrics.csv``, without empty cells; none where it cannot be read."""
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return
    whole = text[: text.rfind("\n") + 1]  # a run that goes on may have written half a row
    try:
        for row in csv.DictReader(whole.splitlines()):
            yield {name: float(cell) for name, cell in row.items() if cell}
    except (csv.Error, TypeError, ValueError):
        return
