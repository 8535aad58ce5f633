"""The jobs of a sweep: every combination of the overrides' values, for each variant of the sweep."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from deeprob.config.loader import BasicSweeper, combinations
from deeprob.config.overrides import parse
from deeprob.errors import UserError

FOLDS = ("dataset.folds", "dataset.fold")
"""The keys that ``sweep.folds`` sets."""


class Jobs(NamedTuple):
    """The jobs that a sweep runs.

    Attributes
    ----------
    overrides
        The overrides of each job.
    swept
        The keys in which jobs may differ.
    """

    overrides: list[list[str]]
    swept: list[str]

    @classmethod
    def of(cls, sweeper: BasicSweeper, arguments: Sequence[str]) -> "Jobs":
        """Make the jobs from the arguments of a command, the sweeper's parameters, and ``sweep.variants``.

        If an argument and a parameter of the sweeper have the same key, the parameter is ignored. ``sweep.folds`` adds
        the keys ``dataset.folds`` and ``dataset.fold`` to the arguments.

        Raises
        ------
        UserError
            If there is no job, if two jobs are equal, if an override cannot be parsed, or if an argument sets a key
            that a variant sets too.
        """
        assert sweeper.config is not None
        assert sweeper.hydra_context is not None
        loader = sweeper.hydra_context.config_loader
        given = {override.key_or_group for override in parse(arguments, loader)}
        if folds := folds_of(sweeper, arguments):
            for key in sorted({*FOLDS} & {*given, *(sweeper.params or {})}):
                raise UserError(f"sweep.folds={folds} sets {' and '.join(FOLDS)}; leave {key} out")
            numbers = ",".join(map(str, range(folds)))
            arguments = [*arguments, f"dataset.folds={folds}", f"dataset.fold={numbers}"]
            given |= {*FOLDS}
        variants = [words_of(text) for text in sweeper.config.get("sweep", {}).get("variants", ())] or [[]]
        own = [{override.key_or_group for override in parse(words, loader)} for words in variants]
        for key in sorted(set().union(*own) & given):
            raise UserError(f"{key}: sweep.variants sets this key already; change it there")
        overrides: list[list[str]] = []
        swept: dict[str, None] = dict.fromkeys(key for keys in own for key in sorted(keys)) if len(own) > 1 else {}
        for words, keys in zip(variants, own, strict=True):
            params = [
                f"{key}={value}"
                for key, value in (sweeper.params or {}).items()
                if key not in given and key not in keys
            ]
            parsed = parse(all_words := [*words, *params, *arguments], loader)
            overrides += every_job(parsed, " ".join(all_words))
            swept |= dict.fromkeys(override.key_or_group for override in parsed if override.is_sweep_override())
        first: dict[tuple[str, ...], int] = {}
        for number, job in enumerate(overrides):
            if (earlier := first.setdefault(tuple(job), number)) != number:
                raise UserError(f"{' '.join(job)}: job {number} would repeat job {earlier}; give each value once")
        return cls(overrides, list(swept))


def folds_of(sweeper: BasicSweeper, arguments: Sequence[str]) -> int:
    """Return the value of ``sweep.folds``; 0 if there are no folds.

    Raises
    ------
    UserError
        If it has several values.
    """
    assert sweeper.config is not None
    for override in parse(arguments):
        if override.key_or_group == "sweep.folds" and override.is_sweep_override():
            raise UserError(f"{override.input_line}: a sweep has one number of folds")
    folds = sweeper.config.get("sweep", {}).get("folds", 0)
    return folds if isinstance(folds, int) else 0


def words_of(text: str) -> list[str]:
    """Split the text of a variant into overrides, as a shell splits a command into words.

    Raises
    ------
    UserError
        If a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"sweep.variants: {text}: {str(error).lower()}") from error


def every_job(overrides: list[Override], text: str) -> list[list[str]]:
    """Return every combination of the overrides' values. Error messages begin with `text`.

    Raises
    ------
    UserError
        If there is no combination.
    """
    try:
        jobs = combinations(overrides)
    except HydraException as error:
        raise UserError(f"{text}: {error}; give the values, as in key=1,2,3") from error
    if not jobs:
        raise UserError(f"{text}: a sweep over no values; give at least one")
    return jobs
