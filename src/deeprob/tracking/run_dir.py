"""The directory of a run: its files' names, and the small ones' contents."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    "time/examples_per_second",
)


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
    """A run's files.

    Parameters
    ----------
    path
        The directory; made if need be.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``last.pt`` and ``best.pt``."""
        return self.path / "checkpoints"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``provenance.json`` or ``summary.json``, whole or not at all."""
        temporary = self.path / f"{name}.json.tmp"
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(self.path / f"{name}.json")

    def discard(self) -> None:
        """Remove what was written before the first update, so that a failed start leaves nothing."""
        for path in (self.config, self.path / "provenance.json", *self.checkpoints.glob("*")):
            path.unlink(missing_ok=True)
        if self.checkpoints.is_dir():
            self.checkpoints.rmdir()

    def append_metrics(self, row: Mapping[str, float]) -> None:
        """Add an epoch's row to ``metrics.csv``; what an epoch did not measure stays empty."""
        path = self.path / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
