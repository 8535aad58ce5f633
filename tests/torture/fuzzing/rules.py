"""What must always hold: of how a command ends, of what it changes, and of the run that it leaves."""

import csv
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fuzzing.process import Ran
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeprob.tracking import checkpoint_file
from deeprob.tracking.run_dir import COLUMNS, SOME

STATUSES = frozenset({0, 2, 3, 4, 130, 143})
ONE_ERROR = frozenset({2, 3, 4, 130, 143})
NO_NUMBER = re.compile(r"(?<![\w./=-])[+-]?(nan|inf)(?![\w./=-])", re.IGNORECASE)
SAME = 1e-6  # relative
FILES = ("config.yaml", "provenance.json", "summary.json", "metrics.csv", "checkpoints/last.pt", "checkpoints/best.pt")
NUMBERS = ("epochs", "steps", "seconds", "parameters", "train/loss", "test/loss")


class Broken(NamedTuple):
    """A rule that does not hold, and what was found instead."""

    rule: str
    found: str


# ---------------------------------------------------------------- how a command ends


def of_ending(ran: Ran, signals: frozenset[int] = frozenset()) -> Iterator[Broken]:
    """Check a command that was sent some signals; before it is itself and when it is done they end it at once."""
    if ran.late:
        yield Broken("a command ends in time", f"killed after {ran.seconds - ran.starved:.0f} s")
        return
    if -ran.status in signals or (ran.status == 130 and not ran.err):
        return
    allowed = STATUSES if signals else STATUSES - {130, 143}
    if ran.status not in allowed:
        yield Broken("the exit status is one of the list", f"{ran.status}")
    if "Traceback (most recent call last)" in ran.out + ran.err:
        yield Broken("no traceback", last_line(ran.err))
    lines = ran.err.splitlines()
    if odd := [line for line in lines if not line.startswith(("error: ", "note: "))]:
        yield Broken("standard error has lines of `error: ` and `note: ` alone", odd[0])
    if odd := [line for line in lines if not line.isprintable()]:
        yield Broken("a line of standard error has no control characters", repr(odd[0]))
    if odd := [line for line in ran.out.split("\n") if not line.replace("\t", "").isprintable()]:
        yield Broken("standard output has no control characters", repr(odd[0]))
    errors = [line for line in lines if line.startswith("error: ") and not re.match(r"error: job \d+: ", line)]
    if ran.status in ONE_ERROR and (len(errors) != 1 or lines[-1:] != errors):
        yield Broken("one `error: ` line, the last, says why a command did not end well", "; ".join(lines) or "none")
    if ran.status == 0 and errors:
        yield Broken("a command that ends well prints no `error: `", errors[0])


def of_tables(ran: Ran) -> Iterator[Broken]:
    """Check the tables of a command that has ended well."""
    if ran.status == 0 and (odd := [line for line in ran.out.splitlines() if NO_NUMBER.search(line)]):
        yield Broken("no table has nan or inf", odd[0])


def last_line(text: str) -> str:
    """Return the last line of a text, without a trace's indented ones behind it."""
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "error: ", "note: "))]
    return lines[-1] if lines else ""


# ---------------------------------------------------------------- what a command changes


def listing(folder: Path) -> dict[Path, tuple[Any, ...]]:
    """Return what lies below a folder: paths relative to it with kind, and of files size, time of change, and number.

    No link is followed.
    """
    found: dict[Path, tuple[Any, ...]] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            state = path.lstat()
            kind, regular = stat.S_IFMT(state.st_mode), stat.S_ISREG(state.st_mode)
            content = (state.st_size, state.st_mtime_ns, state.st_ino) if regular else ()
            found[path.relative_to(folder)] = (kind, *content)
    return found


def changes(before: Mapping[Path, object], after: Mapping[Path, object]) -> list[Path]:
    """Return the paths that are new, gone or changed."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


# ---------------------------------------------------------------- the run that a command leaves


def of_run(run: Path) -> Iterator[Broken]:
    """Check the directory of a run that has ended well."""
    summary = yield from of_summary(run)
    if summary is None:
        return
    if missing := [name for name in FILES if not (run / name).is_file()]:
        yield Broken("a complete run has the files of the contract", f"{run.name} lacks {', '.join(missing)}")
        return
    if left := [path.name for path in run.rglob("*") if path.name in (".lock", ".owner") or path.suffix == ".tmp"]:
        yield Broken("a complete run has no half-written file and no lock", ", ".join(left))
    if summary["status"] not in ("completed", "stopped"):
        yield Broken("a run of a command that ends well is completed or stopped", f"{summary['status']}")
    yield from of_rows(run, summary["epochs"])
    yield from of_events(run)
    for name in ("best", "last"):
        checkpoint_file.load(run / f"checkpoints/{name}.pt")
    for picture in (run / "figures").glob("*"):
        with Image.open(picture) as image:
            image.load()


def of_summary(run: Path) -> Iterator[Broken]:
    """Check ``summary.json``, and return its content; None where there is none to speak of."""
    try:
        summary = json.loads((run / "summary.json").read_text(), parse_constant=lambda word: None)
    except (OSError, ValueError) as error:
        yield Broken("summary.json is JSON", str(error))
        return None
    numbers = {name: summary.get(name) for name in [*NUMBERS, *(name for name in summary if "/" in name)]}
    if odd := [f"{n}={v}" for n, v in numbers.items() if not isinstance(v, int | float) or not math.isfinite(v)]:
        yield Broken("summary.json has finite numbers", ", ".join(odd))
        return None
    if odd := [f"{n}={v}" for n, v in numbers.items() if n.endswith("/accuracy") and not 0 <= v <= 1]:
        yield Broken("an accuracy is in [0, 1]", ", ".join(odd))
    return summary


def of_sweep(sweep: Path) -> Iterator[Broken]:
    """Compare ``summary.csv`` of a sweep that has ended with what its jobs left."""
    with (sweep / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for path in sorted(sweep.glob("*_*/summary.json")):
        summary, row = json.loads(path.read_text()), rows[int(path.parent.name.partition("_")[0])]
        cells = {name: cell for name, cell in row.items() if "/" in name and cell and name in summary}
        odd = [f"{name}: {cell} and {summary[name]}" for name, cell in cells.items() if float(cell) != summary[name]]
        if odd or row["status"] != summary["status"]:
            told = f"{row['status']} and {summary['status']}; {', '.join(odd)}"
            yield Broken("summary.csv says what the jobs' summary.json say", f"{path.parent.name}: {told}")


def of_rows(run: Path, epochs: int) -> Iterator[Broken]:
    """Check ``metrics.csv``."""
    with (run / "metrics.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    usual = all(name in (reader.fieldnames or ()) for name in COLUMNS if name not in SOME)
    if not usual or [row["epoch"] for row in rows] != [str(1 + n) for n in range(epochs)]:
        found = f"{len(rows)} rows for {epochs} epochs: {[row['epoch'] for row in rows][:20]}"
        yield Broken("metrics.csv has a row an epoch", found)
    for row in rows:
        if odd := [f"{name}={cell}" for name, cell in row.items() if cell and not math.isfinite(float(cell))]:
            yield Broken("metrics.csv has finite numbers", ", ".join(odd))


def of_events(run: Path) -> Iterator[Broken]:
    """Check TensorBoard's file."""
    events = EventAccumulator(str(run), {"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    if "train/loss" not in tags:
        yield Broken("TensorBoard's file has the curves", f"{tags}")
    for tag in tags:
        points = events.Scalars(tag)
        steps = [point.step for point in points]
        if steps != sorted(set(steps)):
            yield Broken("a curve has each step once, in order", f"{tag}: {steps[:20]}")
        if odd := [point for point in points if not math.isfinite(point.value)]:
            yield Broken("curves have finite numbers", f"{tag}={odd[0].value} at step {odd[0].step}")


def of_measured(summary: Mapping[str, Any], measured: Mapping[str, float]) -> Iterator[Broken]:
    """Compare ``summary.json`` with what the run's network gives now, under the same names."""
    for name, value in measured.items():
        told = summary.get(name)
        if told is None or not math.isclose(told, value, rel_tol=SAME, abs_tol=1e-12):
            yield Broken("summary.json says what deeprob-evaluate says", f"{name}: {told} and {value!r}")
