"""Find the directories of past runs, and read the runs. About a thousand runs are read per second."""

import csv
import functools
import math
import os
import re
import sys
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
from deeprob.tracking.run_dir import read_json

FINISHED = ("completed", "stopped", "fused")
LOST = ("diverged", "failed")
"""The statuses of runs that ended well, and the statuses of runs that ended badly. `deeprob.sweeps.fusing` writes
``fused``."""

_SECTIONS = re.compile(r"^(?=\w)", re.MULTILINE)
_ALIAS = re.compile(r"(?:^|[\s,:\[{-])\*\w", re.MULTILINE)
_LARGEST = 2**18  # bytes
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class PastRun:
    """The config, the status and the metrics of a run. The run may be unfinished.

    Attributes
    ----------
    directory
        The run's directory. None for a job of a sweep that left no directory.
    values
        A dictionary from each dotted key of the run's config to its value. The value of a group is the name of the
        chosen option.
    status
        The status in ``summary.json``. If the file is missing, the status is ``running``, ``unfinished``, or the status
        in a sweep's table.
    metrics
        The final metrics. For an unfinished run, the metrics of the last finished epoch. Values that are not finite are
        left out.
    error
        The reason why the run failed; empty if it did not fail.
    """

    directory: Path | None
    values: dict[str, Any]
    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def split(self) -> tuple[Any, Any]:
        """The seed and the fold of the dataset. Runs of a group that agree in both were measured on the same split."""
        return self.values.get("dataset.seed"), self.values.get("dataset.fold")

    @property
    def finished(self) -> bool:
        """Whether the run ended well (see `FINISHED`)."""
        return self.status in FINISHED

    @property
    def lost(self) -> bool:
        """Whether the run diverged or failed."""
        return self.status in LOST


def find_runs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the directories of runs, and the directories of sweeps with a table, at any depth below `folder`."""
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
    """Return the runs in `directories`. Leave out damaged runs, and print a note about them."""
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
        summary = read_json(directory, "summary")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the config.yaml of a run") from error
    except (yaml.YAMLError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the config.yaml of a run, or damaged") from error
    if summary:
        return PastRun(directory, values, str(summary.get("status")), metrics_in(summary))
    return PastRun(directory, values, "running" if owned(directory) else "unfinished", last_metrics(directory))


def values_in(text: str) -> dict[str, Any]:
    """Return a dictionary from dotted key to value for the text of a ``config.yaml``.

    The result equals the result of `deeprob.config.flat`. This function is faster: it does not build the config.

    Raises
    ------
    yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError
        If `deeprob.config.to_yaml` did not write the text.
    """
    sections = _SECTIONS.split(text)
    starts = [place for place, section in enumerate(sections) if section.startswith("defaults:")]
    choices = _choices(sections.pop(starts[0]))
    values: dict[str, Any] = {}
    for section in sections:
        values |= _values(section, choices)
    return values


@functools.lru_cache(maxsize=2**14)
def _choices(section: str) -> tuple[tuple[str, str], ...]:
    """Return the groups and their chosen options in the section ``defaults`` of a config."""
    entries = [entry for entry in _config_section(section)["defaults"] if isinstance(entry, dict)]
    return tuple((key.removeprefix("override "), str(name)) for entry in entries for key, name in entry.items())


@functools.lru_cache(maxsize=2**14)
def _values(section: str, choices: tuple[tuple[str, str], ...]) -> Mapping[str, Any]:
    """Return a dictionary from dotted key to value for a top-level section of a config.

    The cache saves time and memory, because the runs of a sweep have many sections in common.
    """
    chosen = dict(choices)
    values: dict[str, Any] = {}
    for name, value in _config_section(section).items():
        if name in chosen:
            values |= {name: chosen[name], **{sys.intern(f"{name}.{key}"): inner for key, inner in value.items()}}
        else:
            values[name] = value
    return values


def _config_section(text: str) -> Mapping[str, Any]:
    """Return the values of a top-level section of a config, as they are in the file."""
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
    """Return the metrics in `content`: the entries whose name contains ``/`` and whose value is a finite number."""
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
    """Yield each complete row of a ``metrics.csv`` as a dictionary from column to number. Empty cells are left out.

    If the file cannot be read, no row is yielded.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return
    whole = text[: text.rfind("\n") + 1]  # an unfinished run may have written half a row
    try:
        for row in csv.DictReader(whole.splitlines()):
            yield {name: float(cell) for name, cell in row.items() if cell}
    except (csv.Error, TypeError, ValueError):
        return
