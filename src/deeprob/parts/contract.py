"""What a part of each group has to keep, clause by clause. Each clause is a line of ``deeprob-check-part``."""

import contextlib
import dataclasses
import inspect
import io
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from deeprob.errors import UserError, one_line
from deeprob.parts.checks import (
    of_dataset,
    of_features,
    of_figure,
    of_loss,
    of_model,
    of_optimizer,
    of_regularizer,
    of_runs,
    of_scheduler,
    of_surface,
)
from deeprob.parts.part_trial import Broken, Clause, LeftOut, PartTrial

CLAUSES: Mapping[str, Sequence[Clause]] = {
    "dataset": (*of_dataset.CLAUSES, *of_runs.CLAUSES),
    "features": (*of_features.CLAUSES, *of_runs.CLAUSES),
    "model": (*of_model.CLAUSES, *of_runs.CLAUSES),
    "loss": (*of_loss.CLAUSES, *of_runs.CLAUSES),
    "regularizer": (*of_regularizer.CLAUSES, *of_runs.CLAUSES),
    "optimizer": (*of_optimizer.CLAUSES, *of_runs.CLAUSES),
    "scheduler": (*of_scheduler.CLAUSES, *of_runs.CLAUSES),
    "figure": of_figure.CLAUSES,
    "surface": of_surface.CLAUSES,
}
"""The clauses of each group, in the order in which they are tried."""


class Verdict(NamedTuple):
    """The outcome of one check.

    Attributes
    ----------
    clause
        What the part has to keep, in one sentence.
    word
        ``ok``, ``failed``, or ``left out`` if the clause does not concern the part.
    reason
        What was expected and what came, or why the clause does not concern the part. Empty if the word is ``ok``.
    """

    clause: str
    word: str
    reason: str = ""


def verdicts_on(trial: PartTrial) -> Iterator[Verdict]:
    """Try every clause of the part's group, and yield the verdicts.

    If the first clause fails, the part is not even built, and the others are not tried.

    Raises
    ------
    UserError
        If the run does not suit the part, as with features of pictures and a dataset of points.
    """
    with TemporaryDirectory() as folder, cached_in(Path(folder) / "cache"):
        trial = dataclasses.replace(trial, folder=Path(folder))
        for number, clause in enumerate(CLAUSES[trial.group]):
            verdict = judge(clause, trial, first=number == 0)
            yield verdict
            if number == 0 and verdict.word == "failed":
                return


@contextlib.contextmanager
def cached_in(folder: Path) -> Iterator[None]:
    """Keep results in `folder` inside this context, and not in the user's cache, which may have earlier ones."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before


def judge(clause: Clause, trial: PartTrial, *, first: bool = False) -> Verdict:
    """Try one clause, and return the verdict. What the run prints meanwhile is dropped.

    A `UserError` is raised by the first clause, and a failure of all others.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            clause.check(trial)
    except LeftOut as why:
        return Verdict(clause.text, "left out", str(why))
    except Broken as error:
        return Verdict(clause.text, "failed", one_line(error))
    except Exception as error:
        if first and isinstance(error, UserError):
            raise
        cause = error.__cause__ or error
        return Verdict(clause.text, "failed", f"{type(cause).__name__}: {one_line(cause)}{line_in(cause, trial.part)}")
    return Verdict(clause.text, "ok")


def line_in(error: BaseException, part: object) -> str:
    """Return where in the part's own file an error was raised, such as `` (my_parts.py, line 12)``; empty elsewhere."""
    try:
        file = inspect.getfile(type(part))
    except (OSError, TypeError):
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({file.rpartition('/')[2]}, line {lines[-1]})" if lines else ""
