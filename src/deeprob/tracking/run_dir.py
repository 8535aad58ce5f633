"""The directory of a run: its owner, the names of its files, and functions that read and write the small files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deeprob.errors import UserError
from deeprob.tracking.files import read_text, write_whole
from deeprob.tracking.metric_names import OF_CLASSES, OF_NUMBERS, is_recall
from deeprob.tracking.ownership import Ownership

SOME = tuple(f"val/{measure}" for measure in (*OF_CLASSES[1:], *OF_NUMBERS))
COLUMNS = (
    "epoch",
    "step",
    "train/loss",
    "train/data_loss",
    "train/regularization",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    *SOME,
    "optim/lr",
    "optim/grad_norm",
    "params/norm",
    "params/zeros",
    "optim/evaluations",
    "time/seconds",
    "time/examples_per_second",
)
"""The columns of ``metrics.csv``. Those in `SOME` are there only if the run measures them. Recalls follow."""


def is_column(name: str) -> bool:
    """Return whether ``metrics.csv`` may have a column of this name."""
    return name in COLUMNS or (is_recall(name) and name.startswith("val/"))


def runs_below(folder: Path) -> list[Path]:
    """Return the sorted directories of the runs in a folder and in its direct subfolders."""
    return sorted(path.parent for inside in ("*", "*/*") for path in folder.glob(f"{inside}/config.yaml"))


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Add the path of the run's directory to an `OSError` that names no file, such as the error of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_json(directory: Path, name: str) -> dict[str, Any]:
    """Return the content of ``provenance.json`` or ``summary.json`` in the directory of a run.

    If the file is missing or damaged, return an empty dictionary.
    """
    try:
        content = json.loads(read_text(directory / f"{name}.json"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def json_text(content: Mapping[str, Any]) -> str:
    """Return the text of a small JSON file."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


class RunDirectory:
    """The files of a run. A ``with`` block owns the directory, so that no other process writes there.

    Parameters
    ----------
    path
        The directory; it is made if it is missing.
    resume
        Whether the directory may hold files of the run already.
    attempt
        See `Ownership`.

    Raises
    ------
    UserError
        At the start of the block, if another process owns the directory, or if the directory holds files of a run and
        `resume` is False.
    """

    def __init__(self, path: Path, resume: bool = False, attempt: int = 0) -> None:
        self.path = path
        self.resume = resume
        self._ownership = Ownership(path, attempt)

    def __enter__(self) -> Self:
        self._ownership.take()
        if not self.resume and self._begun():
            self._ownership.give_up()
            raise UserError(f"{self.path} exists already; give another directory, or resume=auto")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ownership.give_up()

    @property
    def superseded(self) -> bool:
        """Whether a newer attempt has taken over the directory. Then this process must not write there."""
        return bool(self._ownership.successor())

    def check_owner(self) -> None:
        """Raise `Superseded` if a newer attempt has taken over the directory."""
        self._ownership.check()

    @property
    def config(self) -> Path:
        """The file of the resolved config."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """The table of metrics, with one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``last.pt`` and ``best.pt``."""
        return self.path / "checkpoints"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``provenance.json`` or another small file, completely or not at all."""
        write_whole(self.path / f"{name}.json", json_text(content).encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content that `write_json` wrote. If the file is missing or damaged, return an empty dictionary."""
        return read_json(self.path, name)

    def add_provenance(self, content: Mapping[str, Any]) -> None:
        """Add the provenance of a resumed run to the list ``resumed`` in ``provenance.json``."""
        earlier = self.read_json("provenance")
        self.write_json("provenance", earlier | {"resumed": [*earlier.get("resumed", []), content]})

    def present(self) -> Iterator[Path]:
        """Yield every existing path that has the name of a file of a run."""
        yield from self._started()
        if (summary := self.path / "summary.json").exists():
            yield summary

    def _started(self) -> Iterator[Path]:
        """Yield the existing files of a run, except for ``summary.json``."""
        names = ("config.yaml", "metrics.csv", "metrics.jsonl", "provenance.json", "columns.json")
        for pattern in (*names, "events.out.tfevents.*", "checkpoints/*.pt*"):
            yield from self.path.glob(pattern)

    def _begun(self) -> bool:
        """Return whether the directory holds files of a run. Hydra's own files, such as a log, do not count."""
        return any(self.present())

    def remove_summary(self) -> None:
        """Remove ``summary.json``, because the run goes on."""
        (self.path / "summary.json").unlink(missing_ok=True)

    def clear(self, *, all: bool) -> None:
        """Remove temporary files. If `all` is True, also remove the files of a run whose start has failed."""
        leftovers = [*self.path.glob("*.tmp"), *self.checkpoints.glob("*.tmp"), *(self._started() if all else ())]
        for path in leftovers:
            path.unlink(missing_ok=True)
        if all and self.checkpoints.is_dir():
            self.checkpoints.rmdir()
