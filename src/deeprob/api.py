"""The Python face: train a run from Python, and load finished runs.

Configs, their validation, and all that trains are those of the console commands.
"""

import dataclasses
import functools
import os
import shlex
import shutil
import signal
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from hydra.types import RunMode

from deeprob.assembly import finished
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.assembly.finished import Run
from deeprob.assembly.prepare import Shared
from deeprob.assembly.python_data import given_of
from deeprob.compare.command_words import word_of
from deeprob.compare.past_runs import find_runs, read_all
from deeprob.config import name_of, options
from deeprob.config.application import Application, claimed, started
from deeprob.config.loader import CachingLoader, Composed
from deeprob.config.overrides import explained, parse
from deeprob.config.own_modules import FLAG
from deeprob.data import GivenConfig
from deeprob.data.given import Given
from deeprob.errors import CheckFailed, DeeprobError, Diverged, Interrupted, UserError
from deeprob.running.run import run as run_config
from deeprob.running.trained import IN_MEMORY, TrainedRun, title, trained_run
from deeprob.sweeps import SweepTask, search, searches
from deeprob.sweeps.finished_sweep import FinishedSweep
from deeprob.tracking.console import collected, near, note
from deeprob.tracking.run_dir import read_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IN_MEMORY", "FinishedSweep", "TrainedRun", "load_run", "runs", "sweep", "train"]

P = ParamSpec("P")
T = TypeVar("T")

_composed_before: dict[tuple[type, ...], Composed] = {}
"""What earlier calls have composed, for each set of options: a notebook may have registered one anew."""
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
        ``(X, y)``, ``(X, y, weights)``, or a data frame whose last column is the target (see `given_of`). None trains
        on the dataset that the words name.
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
    overrides = _overrides(words, given, seed, progress)
    config = _composed(overrides)
    shared, kept = Shared(), tuple(given.values())
    with _alone, _directory(directory) as (place, lasting):
        try:
            run_config(config.run, place, ["deeprob.train", *overrides], title(config.run), shared)
        except Interrupted as interrupt:
            if not read_json(place, "summary"):
                raise
            trained = trained_run(place, shared, kept, lasting=lasting)
            if interrupt.status != Interrupted(signal.SIGINT).status:
                signal.raise_signal(interrupt.status - 128)
            note(f"interrupted; this is the run after {trained.metrics['epochs']} whole epochs")
            return trained
        except Diverged as error:
            error.run = trained_run(place, shared, kept, lasting=lasting)
            raise
        return trained_run(place, shared, kept, lasting=lasting)


@_plainly
def sweep(
    words: str | Sequence[str],
    data: Any = None,
    *,
    seed: int | None = None,
    test: Any = None,
    val: Any = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> FinishedSweep:
    """Train every combination of some values, and return the sweep. Jobs that train together share a stack.

    A job that fails is a row of the table. An interrupt (Ctrl-C) ends the sweep, and returns what there is: the jobs
    that have ended have their results, the jobs that were training are ``interrupted``, and the others ``not started``.

    Parameters
    ----------
    words
        The words of ``deeprob-train -m``, as one text or as a list: ``"optimizer.lr=1e-3,1e-2 seed=range(5)"``.
    data, test, val
        See `train`.
    seed
        The seed of all runs, in place of the word ``seed=…``.
    directory
        The directory for the files of the sweep, new or empty. None keeps them in a temporary folder, which lives as
        long as the sweep.
    progress
        Whether to show the progress.

    Raises
    ------
    UserError
        If a word or the data are invalid. The message is the line that ``deeprob-train`` would print.
    CheckFailed
        If no job ended well.
    """
    given = _given(data, test, val)
    overrides = _overrides(words, given, seed, progress)
    _check_words(overrides, sweeping=True)
    if directory is None and not any("trainer.trackers" in word for word in overrides):
        overrides.append("trainer.trackers=[csv]")  # nobody sees the event files
    place = Path(tempfile.mkdtemp(prefix="deeprob-") if directory is None else directory)
    try:
        made = _swept(overrides, place, tuple(given.values()), lasting=directory is not None)
    except BaseException:
        if directory is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    if directory is None:
        weakref.finalize(made.runs, shutil.rmtree, place, ignore_errors=True)
    return made


def runs(folder: str | Path = "outputs") -> "pd.DataFrame":
    """Return a table of all runs at any depth below a folder. Damaged runs are left out, and a note says so.

    A row is a run: its directory and status, then every key of its config, and then every metric.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    import pandas as pd

    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder with runs, such as outputs")
    found = read_all(find_runs(Path(folder))[0])
    columns = {"directory": None, "status": None}
    columns |= dict.fromkeys(
        [key for run in found for key in run.values] + [key for run in found for key in run.metrics]
    )
    rows = [{"directory": str(run.directory), "status": run.status, **run.values, **run.metrics} for run in found]
    return pd.DataFrame(rows, columns=list(columns))


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
    for place, word in enumerate(typed):
        if word == FLAG:
            module = Path("".join(typed[place + 1 : place + 2]) or "MODULE").stem
            raise UserError(f"{word}: a flag of the command line; from Python, write import {module} before")
        if word.startswith("-"):
            raise UserError(f"{word}: a flag of the command line; from Python, give words such as model.width=64")
    return typed


def _words_of(given: Mapping[str, Given]) -> list[str]:
    """Return the words that choose the given data."""
    if not given:
        return []
    keys = {"data": "digest", "test": "test", "val": "val"}
    return ["dataset=given", *(f"dataset.{keys[name]}={part.digest}" for name, part in given.items())]


def _overrides(words: str | Sequence[str], given: Mapping[str, Given], seed: int | None, progress: bool) -> list[str]:
    """Return the words that were typed, and those that say the same as the other arguments of a call."""
    typed = _typed(words)
    if seed is not None:
        _check_seed(typed, "seed", seed)
    others = [f"seed={seed}"] * (seed is not None) + ["trainer.progress=false"] * (not progress)
    return [*typed, *_words_of(given), *others]


def _check_seed(words: Sequence[str], name: str, seed: Any) -> None:
    """Raise a `UserError` if the words have another seed than the argument `name` of a call."""
    for override in parse(words):
        if override.key_or_group == "seed" and override.value() != seed:
            raise UserError(f"{override.input_line}: {name}={seed} is given too; leave one of both out")


def _check_words(words: Sequence[str], *, sweeping: bool) -> None:
    """Raise a `UserError` if a word is of no use in Python."""
    allowed = ("hydra.launcher", "hydra.sweeper", "hydra/launcher", "hydra/sweeper") if sweeping else ()
    for override in parse(words):
        word, key = override.input_line, override.key_or_group
        if override.is_sweep_override() and not sweeping:
            raise UserError(f"{word}: several values make a sweep; call deeprob.sweep, or write a list as [a,b]")
        if key.partition("/")[0].partition(".")[0] == "hydra" and not key.startswith(allowed):
            raise UserError(f"{word}: of the command line; from Python, directory= gives the directory")
        if key == "resume":
            raise UserError(f"{word}: runs are resumed on the command line: deeprob-train {word}")
        if key == "dataset" and "dataset=given" in words and override.value() != "given":
            raise UserError(f"{word}: data are given already; leave one of both out")


@contextmanager
def _started() -> Iterator[Application]:
    """Start Hydra, and yield the application of ``deeprob-train``."""
    registered = [cls for field in dataclasses.fields(RunConfig) for cls in options(field.name).values()]
    with _alone, started(None) as hydra:
        assert isinstance(hydra.config_loader, CachingLoader)
        hydra.config_loader.recall(_composed_before.setdefault(tuple(registered), {}))
        yield Application(hydra, "train", TrainConfig)


def _composed(words: list[str]) -> TrainConfig:
    """Return the validated config of a single run.

    Raises
    ------
    UserError
        If a word is invalid, or if the words make a sweep.
    """
    _check_words(words, sweeping=False)
    with _started() as application, explained(words):
        config = application.compose(words, multirun=False)
        if config.hydra.mode == RunMode.MULTIRUN:
            raise UserError(f"{' '.join(words)}: makes a sweep; call deeprob.sweep")
        loaded: TrainConfig = application.load(config, words)
    if loaded.sweep.folds:
        raise UserError(f"sweep.folds={loaded.sweep.folds}: only a sweep makes all folds; call deeprob.sweep")
    return loaded


def _swept(words: list[str], place: Path, given: tuple[Given, ...], *, lasting: bool) -> FinishedSweep:
    """Run a sweep in a directory, and return it."""
    ended: CheckFailed | KeyboardInterrupt | None = None
    shared, command = Shared(given=given), ["deeprob.sweep", *words]
    words = [*words, f"hydra.sweep.dir={word_of(str(place))}"]
    with _started() as application, explained(words), collected() as report:
        config = application.compose(words, multirun=True)
        task = SweepTask(command, searches(config.hydra.sweeper), shared)
        try:
            if task.searching:
                search(application, config, task)
            else:
                application.sweep(config, task)
        except (CheckFailed, KeyboardInterrupt) as error:
            if task.table is None or (isinstance(error, CheckFailed) and not task.table.ended):
                raise
            ended = error
    table = task.table
    assert table is not None
    if isinstance(ended, Interrupted) and ended.status != Interrupted(signal.SIGINT).status:
        signal.raise_signal(ended.status - 128)
    if ended is not None:
        interrupted = f"interrupted; {len(table.ended)} of {len(table.rows)} jobs have ended"
        note(interrupted if isinstance(ended, KeyboardInterrupt) else str(ended))
    plan = task.plan or task.jobs[0].config
    printed = report.getvalue()
    if not lasting:  # without the directory, and what to type with it
        printed = printed.partition(f"\nsweep      {near(place)}\n")[0]
    return FinishedSweep(
        table,
        lambda folder: trained_run(folder, shared, given, lasting=lasting),
        plan.run.resolved().trainer.monitor,
        printed,
    )


@contextmanager
def _directory(wanted: str | Path | None) -> Iterator[tuple[Path, bool]]:
    """Yield a run's directory, and whether it lasts. Without a wanted directory, it is removed at the end."""
    if wanted is not None:
        with claimed(Path(wanted), numbered=False) as place:
            yield place, True
        return
    with tempfile.TemporaryDirectory(prefix="deeprob-") as folder:
        yield Path(folder), False
