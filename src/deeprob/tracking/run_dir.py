"""The directory of a run: who owns it, its files' names, and the small ones' contents."""

import csv
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deeprob.errors import UserError
from deeprob.tracking.files import read_text, sync, write_whole
from deeprob.tracking.ownership import Ownership

COLUMNS = (
    "epoch",
    "step",
    "train/loss",
    "train/data_loss",
    "train/regularization",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "optim/lr",
    "optim/grad_norm",
    "params/norm",
    "params/zeros",
    "optim/evaluations",
    "time/seconds",
    "time/examples_per_second",
)

ROWS_EVERY = 2.0


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let an error of writing that names no file (a full disk does not) name the run's directory."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class RunDirectory:
    """A run's files, which one process at a time may write; enter it to own it.

    Parameters
    ----------
    path
        The directory; made if need be.
    resume
        Whether there may be files of the run in it already.

    Raises
    ------
    UserError
        On entering, when another process owns it, or when there are files of a run and it is a new run's.
    """

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.path = path
        self.resume = resume
        self._ownership = Ownership(path)
        self._rows: list[Mapping[str, float]] = []
        self._written = 0.0

    def __enter__(self) -> Self:
        self._ownership.take()
        if not self.resume and self._begun():
            self._ownership.give_up()
            raise UserError(f"{self.path} exists already; give another directory, or resume=auto")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.write_rows()
        self._ownership.give_up()

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """The table with a row an epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``last.pt`` and ``best.pt``."""
        return self.path / "checkpoints"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``provenance.json`` or ``summary.json``, whole or not at all."""
        write_whole(self.path / f"{name}.json", (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Return what `write_json` wrote; empty where there is none, or a damaged one."""
        try:
            content = json.loads(read_text(self.path / f"{name}.json"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def add_provenance(self, content: Mapping[str, Any]) -> None:
        """Add to ``provenance.json``, under ``resumed``, where a session of a run that goes on came from."""
        earlier = self.read_json("provenance")
        self.write_json("provenance", earlier | {"resumed": [*earlier.get("resumed", []), content]})

    def present(self) -> Iterator[Path]:
        """Yield every file of a run that is there, or what bears its name."""
        yield from self._started()
        if (summary := self.path / "summary.json").exists():
            yield summary

    def _started(self) -> Iterator[Path]:
        """Yield every file that a start writes, as far as it is there."""
        for pattern in ("config.yaml", "metrics.csv", "provenance.json", "events.out.tfevents.*", "checkpoints/*.pt*"):
            yield from self.path.glob(pattern)

    def _begun(self) -> bool:
        """Tell whether there are files of a run; Hydra may have put its own there, a log or a copy of the config."""
        return any(self.present())

    def clear(self, *, all: bool) -> None:
        """Remove half-written files; with `all` every file that a start writes, so that a failed one leaves nothing."""
        leftovers = [*self.path.glob("*.tmp"), *self.checkpoints.glob("*.tmp"), *(self._started() if all else ())]
        for path in leftovers:
            path.unlink(missing_ok=True)
        if all and self.checkpoints.is_dir():
            self.checkpoints.rmdir()

    def append_metrics(self, row: Mapping[str, float]) -> None:
        """Add an epoch's row to ``metrics.csv``; what an epoch did not measure stays empty.

        Rows of quick epochs wait for each other up to `ROWS_EVERY` seconds.
        """
        self._rows.append(row)
        if time.monotonic() - self._written > ROWS_EVERY:
            self.write_rows()

    def write_rows(self) -> None:
        """Write the rows that wait."""
        if not self._rows:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        if not self.metrics.exists() or self.metrics.stat().st_size == 0:
            writer.writeheader()
        writer.writerows(self._rows)
        with self.metrics.open("ab") as file:
            file.write(text.getvalue().encode())
        self._rows.clear()
        self._written = time.monotonic()

    def metrics_length(self) -> int:
        """Return the length of ``metrics.csv`` in bytes, rows that wait included."""
        self.write_rows()
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def synced_metrics_length(self) -> int:
        """Return the length of ``metrics.csv`` once all of it is on the disk."""
        self.write_rows()
        if self.metrics.exists():
            with self.metrics.open("rb") as file:
                sync(file.fileno(), self.metrics)
        return self.metrics_length()

    def begin_again(self, length: int) -> None:
        """Forget a summary, and rows of ``metrics.csv`` after a length that it once had."""
        (self.path / "summary.json").unlink(missing_ok=True)
        if self.metrics_length() > length:
            os.truncate(self.metrics, length)
