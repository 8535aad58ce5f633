"""The Python face: train a run from Python, and load finished runs.

Configs, their validation, and all that trains are those of the console commands.
"""

import dataclasses
import functools
import html
import io
import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from hydra.types import RunMode

from deeprob.assembly import finished
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.assembly.finished import Run
from deeprob.assembly.prepare import Shared
from deeprob.assembly.python_data import given_of
from deeprob.config import name_of
from deeprob.config.application import Application, claimed, started
from deeprob.config.overrides import explained, parse
from deeprob.data import GivenConfig
from deeprob.data.given import Given
from deeprob.errors import DeeprobError, Diverged, Interrupted, UserError
from deeprob.running.run import run as run_config
from deeprob.tracking.console import note, shown, split_rows
from deeprob.tracking.device import resolve_device
from deeprob.tracking.run_dir import read_json

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")

IN_MEMORY = Path("the run")
"""The directory of a run that has none, for messages."""

_alone = threading.RLock()
"""One call trains at a time: Hydra and the number of threads belong to the whole process."""


def _plainly(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function raise errors of the user without the trace of this package. ``DEEPROB_TRACEBACK=1`` shows it."""

    @functools.wraps(function)
    def call(*words: P.args, **named: P.kwargs) -> T:
        try:
            return function(*words, **named)
        except DeeprobError as error:
            if os.environ.get("DEEPROB_TRACEBACK") == "1":
                raise
            raise error.with_traceback(None) from None

    return call


@dataclass(frozen=True, repr=False, eq=False)
class TrainedRun(Run):
    """A run for Python: a `Run` with its history, which also shows itself.

    Attributes
    ----------
    rows
        The text of ``metrics.csv``; None if it is in the run's directory.
    given
        The data that were given from Python, which the config finds as long as the run refers to them.
    """

    rows: str | None = None
    given: tuple[Given, ...] = field(default=(), repr=False)

    @property
    def history(self) -> "pd.DataFrame":
        """The metrics of each epoch: a row an epoch, a column a metric. The index is the number of the epoch."""
        import pandas as pd

        path = self.directory / "metrics.csv"
        text = self.rows if self.rows is not None else path.read_text(encoding="utf-8") if path.is_file() else ""
        table = pd.read_csv(io.StringIO(text or "epoch\n"), index_col="epoch")
        return table.dropna(axis="columns", how="all")

    def __repr__(self) -> str:
        measured = [name for name in ("test/accuracy", "test/r2", "test/loss") if name in self.metrics][:1]
        parts = [str(self.metrics.get("status", "unfinished")), f"epoch {self.metrics.get('epochs', 0)}"]
        return (
            f"<Run {_title(self.config)}: {', '.join((*parts, *(f'{m} {shown(m, self.metrics)}' for m in measured)))}>"
        )

    def _repr_html_(self) -> str:
        rows, header = split_rows(self.metrics)
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{_html_table(rows, header)}"


def _title(config: RunConfig) -> str:
    """Return the names of dataset, model and optimizer, joined by hyphens."""
    return "-".join(map(name_of, (config.dataset, config.model, config.optimizer)))


def _html_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return a table in HTML."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


@_plainly
def train(
    words: str | Sequence[str] = "",
    data: Any = None,
    *,
    seed: int | None = None,
    test: Any = None,
    val: Any = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> TrainedRun:
    """Train a run, and return it.

    An interrupt (Ctrl-C) ends training after the current update, and returns the run so far.

    Parameters
    ----------
    words
        The words of ``deeprob-train``, as one text or as a list: ``"model.width=64 optimizer.lr=1e-2"``.
    data
        ``(X, y)``, or a data frame whose last column is the target (see `given_of`). None trains on the dataset that
        the words name.
    seed
        The seed of the run, in place of the word ``seed=…``.
    test, val
        The data of the test split and of the validation split, like `data`. None draws the test split from `data`, and
        the validation split if ``dataset.val_fraction`` says so.
    directory
        The directory for the run's files, new or empty. None keeps the run in memory.
    progress
        Whether to show the progress.

    Raises
    ------
    UserError
        If a word or the data are invalid. The message is the line that ``deeprob-train`` would print.
    Diverged
        If a number became NaN or infinite. The attribute `run` of the error has the last finite state.
    """
    given = _given(data, test, val)
    overrides = [*_typed(words), *_words_of(given)]
    overrides += [f"seed={seed}"] * (seed is not None) + ["trainer.progress=false"] * (not progress)
    config = _composed(overrides)
    shared, kept = Shared(), tuple(given.values())
    with _alone, _directory(directory) as (place, lasting):
        try:
            run_config(config.run, place, ["deeprob.train", *overrides], _title(config), shared)
        except Interrupted as interrupt:
            if not read_json(place, "summary"):
                raise
            trained = _loaded(place, shared, kept, lasting=lasting)
            if interrupt.status != Interrupted(signal.SIGINT).status:
                signal.raise_signal(interrupt.status - 128)
            note(f"interrupted; this is the run after {trained.metrics['epochs']} whole epochs")
            return trained
        except Diverged as error:
            error.run = _loaded(place, shared, kept, lasting=lasting)
            raise
        return _loaded(place, shared, kept, lasting=lasting)


@_plainly
def load_run(
    directory: str | Path,
    checkpoint_name: str = "best",
    device: str = "cpu",
    *,
    data: Any = None,
    test: Any = None,
    val: Any = None,
) -> TrainedRun:
    """Return the run in a directory, with the model from one of its checkpoints.

    Parameters
    ----------
    directory
        The directory of a run.
    checkpoint_name
        ``best`` or ``last``.
    device
        ``cpu``, ``cuda`` or ``auto``.
    data, test, val
        The data that the run was trained on, if they were given from Python (see `train`). Predictions do not need
        them.

    Raises
    ------
    UserError
        If the directory holds no run, if its files are damaged, or if the data are not those of the run.
    """
    run = finished.load_run(directory, checkpoint_name, device)
    given = _given(data, test, val)
    known = run.config.dataset
    if given and not isinstance(known, GivenConfig):
        raise UserError(f"{directory}: the run has dataset={name_of(known)}; leave data out")
    for name, part in given.items():
        key = "digest" if name == "data" else name
        if getattr(known, key) != part.digest:
            raise UserError(f"{directory}: the {name} are not those of the run, which had {getattr(known, key)}")
    return TrainedRun(**{f.name: getattr(run, f.name) for f in dataclasses.fields(Run)}, given=tuple(given.values()))


def _given(data: Any, test: Any, val: Any) -> dict[str, Given]:
    """Return the data that are given, by name."""
    parts = {name: part for name, part in (("data", data), ("test", test), ("val", val)) if part is not None}
    if parts and data is None:
        raise UserError(f"{next(iter(parts))}: give data too; the words name the splits of other datasets")
    return {name: given_of(part, name).found() for name, part in parts.items()}


def _typed(words: str | Sequence[str]) -> list[str]:
    """Return the words that were typed.

    Raises
    ------
    UserError
        If a word is of no use in Python.
    """
    try:
        typed = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
    except ValueError as error:
        raise UserError(f"{words}: a quote is not closed") from error
    for word in typed:
        if word.startswith("-"):
            raise UserError(f"{word}: a flag of the command line; from Python, give words such as model.width=64")
    return typed


def _words_of(given: Mapping[str, Given]) -> list[str]:
    """Return the words that choose the given data."""
    if not given:
        return []
    keys = {"data": "digest", "test": "test", "val": "val"}
    return ["dataset=given", *(f"dataset.{keys[name]}={part.digest}" for name, part in given.items())]


def _composed(words: list[str]) -> TrainConfig:
    """Return the validated config of a single run.

    Raises
    ------
    UserError
        If a word is invalid, or if the words make a sweep.
    """
    for override in parse(words):
        word, key = override.input_line, override.key_or_group
        if override.is_sweep_override():
            raise UserError(f"{word}: several values make a sweep; call deeprob.sweep, or write a list as [a,b]")
        if key.partition("/")[0].partition(".")[0] == "hydra":
            raise UserError(f"{word}: of the command line; from Python, directory= gives the directory of a run")
        if key == "resume":
            raise UserError(f"{word}: runs are resumed on the command line: deeprob-train {word}")
        if key == "dataset" and "dataset=given" in words and override.value() != "given":
            raise UserError(f"{word}: data are given already; leave one of both out")
    with _alone, started(None) as hydra, explained(words):
        application = Application(hydra, "train", TrainConfig)
        config = application.compose(words, multirun=False)
        if config.hydra.mode == RunMode.MULTIRUN:
            raise UserError(f"{' '.join(words)}: makes a sweep; call deeprob.sweep")
        loaded: TrainConfig = application.load(config, words)
    if loaded.sweep.folds:
        raise UserError(f"sweep.folds={loaded.sweep.folds}: only a sweep makes all folds; call deeprob.sweep")
    return loaded


@contextmanager
def _directory(wanted: str | Path | None) -> Iterator[tuple[Path, bool]]:
    """Yield a run's directory, and whether it lasts. Without a wanted directory, it is removed at the end."""
    if wanted is not None:
        with claimed(Path(wanted), numbered=False) as place:
            yield place, True
        return
    with tempfile.TemporaryDirectory(prefix="deeprob-") as folder:
        yield Path(folder), False


def _loaded(place: Path, shared: Shared, given: tuple[Given, ...], *, lasting: bool) -> TrainedRun:
    """Return the run that was just trained in a directory, with its data.

    `shared` has prepared the data. If the directory does not last, the run keeps in memory what it needs.
    """
    run, path = finished.load_run(place), place / "metrics.csv"
    trainer = run.config.trainer
    prepared = shared.prepare(run.config.dataset, run.config.features, resolve_device(trainer.device), trainer.dtype)
    own = {f.name: getattr(run, f.name) for f in dataclasses.fields(Run)}
    own |= {"raw": prepared.raw, "extracted": prepared.splits}
    if not lasting:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        own |= {"directory": IN_MEMORY, "rows": text}
    return TrainedRun(**own, given=given)
