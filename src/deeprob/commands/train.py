"""``deeprob-train``: trains one run or a sweep, or resumes one.

``--help`` and shell completion need no training. The modules for training are therefore imported inside the functions
that use them.
"""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig

from deeprob.assembly.config import TrainConfig
from deeprob.commands.command import Command
from deeprob.compare.command_words import word_of
from deeprob.config import load
from deeprob.config.application import Application, typed_words
from deeprob.config.loader import unresolved
from deeprob.config.overrides import explained, parse
from deeprob.config.own_modules import import_words
from deeprob.errors import CheckFailed, UserError, first_few
from deeprob.tracking.run_dir import runs_below
from deeprob.training.ranks import Ranks


def train_or_sweep(application: Application, config: DictConfig, command: list[str], ranks: Ranks) -> None:
    """Train one run, or with ``-m`` all jobs of a sweep. Several processes train one run together.

    Raises
    ------
    CheckFailed
        If jobs of the sweep failed. The message gives their numbers.
    UserError
        If there are several processes, and this is a sweep; or if a single run has ``sweep.folds``.
    """
    from deeprob.running.run import run_or_go_on
    from deeprob.sweeps import SweepTask, search, searches
    from deeprob.tracking.console import note

    sweeping = config.hydra.mode == RunMode.MULTIRUN
    kind = "sweep" if sweeping else "run"
    if config.get("resume") == "auto" and "${now:" in str(unresolved(config.hydra[kind], "dir")):
        raise UserError(f"resume=auto: which {kind}? add hydra.{kind}.dir=DIR, or give resume=DIR")
    if sweeping and ranks.count > 1:
        raise UserError(f"WORLD_SIZE={ranks.count}: a sweep runs in one process; start it without torchrun")
    if not sweeping and (folds := config.sweep.folds):
        raise UserError(
            f"sweep.folds={folds}: only a sweep makes all folds; add -m, or set dataset.folds={folds} dataset.fold=0"
        )
    if ranks.rank:  # rank 0 chooses the directory, and makes it
        words = typed_words(config, "task")
        directory = Path(ranks.exchange(None)[0])
        run_or_go_on(application.load(config, words), directory, words, command, ranks=ranks)
        return
    if not sweeping:
        for word in typed_words(config, "hydra"):
            if re.match(r"\W*hydra[./]launcher\b", word):
                note(f"{word}: has no effect on a single run; only sweeps (-m) have a launcher")

        def task(job: DictConfig) -> dict[str, Any]:
            hydra = HydraConfig.get()
            directory, words = Path(hydra.runtime.output_dir), list(hydra.overrides.task)
            ranks.exchange(str(directory))
            return run_or_go_on(load(TrainConfig, job), directory, words, command, ranks=ranks)

        application.run(config, task)
        return
    searching = searches(config.hydra.sweeper)
    sweep_task = SweepTask(command, searching)
    jobs = search(application, config, sweep_task) if searching else application.sweep(config, sweep_task)
    failed = [number for number, job in enumerate(jobs) if job.status is JobStatus.FAILED]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(map(str, failed))}")


def go_on(application: Application, arguments: argparse.Namespace, command: list[str], ranks: Ranks) -> bool:
    """Resume the run or the sweep in DIR if there is a word ``resume=DIR``. Return whether there is such a word.

    Raises
    ------
    UserError
        If `resume` has several directories, if the directory has no run, or if a word does not fit the run's config.
    """
    resume = _resume_word(arguments.overrides)
    if resume is None:
        return False
    from deeprob.running.resume import begun, resumed
    from deeprob.running.run import run
    from deeprob.sweeps.resumption import words_of_sweep

    if resume.is_sweep_override():
        raise UserError(f"{resume.input_line}: resume takes one directory")
    directory = Path(str(resume.value()))
    others = [word for word in arguments.overrides if word != resume.input_line]
    if not begun(directory) and (words := words_of_sweep(directory, others)) is not None:
        words = [*words, f"hydra.sweep.dir={word_of(str(directory))}", "resume=auto"]
        with explained(words):
            config = application.compose(words, multirun=True)
            train_or_sweep(application, config, [command[0], *import_words(), "-m", *words], ranks)
        return True
    if not begun(directory) and (found := runs_below(directory)):
        words = [shlex.quote(f"resume={word_of(str(path))}") for path in found]
        raise UserError(f"{resume.input_line}: no run, but a folder of runs; choose from {first_few(words)}")
    if arguments.multirun:
        raise UserError(
            f"{resume.input_line}: this run is resumed without -m; to resume a sweep, give the directory of the sweep"
        )
    if beside := [word for word in arguments.overrides if word.lstrip("+").startswith("sweep.")]:
        application.compose(beside, multirun=False)  # checks the words, although a single run does not use them
    plan = resumed(directory, arguments.overrides)
    run(plan, directory.resolve(), command, resume=True, ranks=ranks)
    return True


def _resume_word(words: list[str]) -> Override | None:
    """Return the last override ``resume=…`` if its value is a directory, else None."""
    given = [override for override in parse(words) if override.key_or_group == "resume" and not override.is_delete()]
    return given[-1] if given and given[-1].value() not in ("auto", None) else None


COMMAND = Command(TrainConfig, train_or_sweep, instead=go_on, parallel=True)
