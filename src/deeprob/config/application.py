"""Compose configs and run jobs with Hydra, but without Hydra's decorator ``hydra.main``.

The decorator writes files before it checks the config, prints errors, and ends the process. This module does not.

This module uses private parts of Hydra 1.3 and 1.4. ``tests/config/test_application.py`` lists these parts.
"""

import argparse
import copy
import itertools
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from deeprob.config.loader import CachingLoader
from deeprob.config.option_source import OptionSource
from deeprob.config.overrides import check_types, explained, parse
from deeprob.config.own_modules import FLAG
from deeprob.config.own_parts import advice_for
from deeprob.config.schema import load
from deeprob.errors import UserError


def config_directory() -> Path:
    """Return the folder ``configs``. It is inside the package, or else at the top of the repository."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; values are set with key=value words (see --help)")


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    """Parse the words of a command line: Hydra's flags, ``key=value`` words, and topics of ``--help``, in any order.

    Raises
    ------
    UserError
        If a word cannot be read, or if a flag or a combination of flags is not supported.
    """
    for word in argv:
        if not _typable(word):
            raise UserError(f"{word}: has a character that a command line cannot contain")
    parser = get_args_parser()
    parser.__class__ = _Parser
    parser.add_argument(
        FLAG, action="append", default=[], dest="imports", metavar="MODULE", help="Import a module with own parts"
    )
    arguments = parser.parse_intermixed_args(list(argv))
    if arguments.experimental_rerun is not None:
        raise UserError("--experimental-rerun is not supported: to repeat a run, use its config.yaml")
    if arguments.config_path is not None:
        raise UserError("--config-path is not supported: --config-dir adds a folder of configs")
    if arguments.resolve and arguments.cfg is None and not arguments.help:
        raise UserError("--resolve goes with --cfg or --help")
    chosen = [arguments.run, arguments.multirun, arguments.cfg, arguments.info, arguments.shell_completion]
    if sum(map(bool, chosen)) > 1:
        raise UserError("give only one of --run, --multirun, --cfg, --info and --shell-completion")
    arguments.topics = _topics(argv, arguments.overrides)
    arguments.overrides = [word for word in arguments.overrides if not (arguments.help and _is_topic(word))]
    return arguments, parser


def _topics(argv: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the names that ``--help`` explains.

    Example: ``--help model`` → ``model``. If there are only words with ``=``, the keys of the words after ``--help``
    are explained: ``--help seed=1`` → ``seed``.
    """
    topics = [word for word in words if _is_topic(word)]
    if not topics:
        place = next((at for at, word in enumerate(argv) if word in ("--help", "-h")), len(argv))
        keys = [word.lstrip("+").partition("=")[0] for word in words if word in argv[place:] and "=" in word]
        topics = [key for key in keys if not key.startswith("hydra")]
    return list(dict.fromkeys(topics))


def _is_topic(word: str) -> bool:
    return "=" not in word and not word.startswith("~")


def _typable(word: str) -> bool:
    """Return whether a command line and the name of a file can contain this word."""
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


@contextmanager
def started(config_dir: str | None) -> Iterator[Hydra]:
    """Start Hydra, and restore the global state of Hydra and of logging at the end of this context.

    Hydra reads the files in `config_directory`, and in the folder `config_dir` if there is one.

    Raises
    ------
    UserError
        If the folder `config_dir` does not exist.
    """
    search_path = create_config_search_path(str(config_directory()))
    if config_dir is not None:
        extra = Path(config_dir).resolve()
        if not extra.is_dir():
            raise UserError(f"--config-dir {config_dir}: no such folder")
        search_path.prepend("command-line", f"file://{extra}", SearchPathQuery(provider="schema"))
    SourcesRegistry.instance().register(OptionSource)
    search_path.prepend("options", f"{OptionSource.scheme()}://", SearchPathQuery(provider="schema"))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    before, before_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    former = hasattr(version, "base_at_least")  # Hydra 1.4 has no behavior of former versions to choose from
    if former:
        before_base = version.getbase()
        version.setbase("1.3")
    try:
        hydra = Hydra.create_main_hydra2("deeprob", search_path)
        hydra.config_loader = CachingLoader(search_path)
        yield hydra
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before, before_config
        if former:
            version.VersionBase.instance().version_base = before_base
        for handler in set(root.handlers) - set(handlers):
            handler.close()  # for example, the log file of hydra/job_logging=default
        root.handlers[:] = handlers
        root.setLevel(level)


@dataclass(frozen=True)
class Application:
    """Composes the config of a command, and runs a job or a sweep with this config.

    Parameters
    ----------
    hydra
        A started Hydra.
    config_name
        The name of the primary config.
    schema
        The dataclass of the primary config.
    """

    hydra: Hydra
    config_name: str
    schema: type[Any]

    def compose(self, words: Sequence[str], *, multirun: bool, check: bool = True) -> DictConfig:
        """Compose a config from overrides, and validate its values unless `check` is False.

        Raises
        ------
        UserError
            If an override is invalid. The message names the override. If the cause is a file in the folder that
            ``--config-dir`` gives, the message names this file.
        """
        try:
            return self._composed(words, multirun=multirun, check=check)
        except UserError as error:
            option, unknown, _ = str(error).partition(": no such option; ")
            if unknown and (advice := next(filter(None, (advice_for(folder, option) for folder in self._folders)), "")):
                raise UserError(f"{option}{unknown}{advice}") from error
            for word, file in self._own_files(words):
                if str(file) not in str(error) and str(error) == self._error_of(word, multirun=multirun, check=check):
                    raise UserError(f"{file}: {str(error).removeprefix(f'{word}: ')}") from error
            raise

    @property
    def _folders(self) -> list[Path]:
        """The folder of ``--config-dir``, if there is one. It may be the directory of a run."""
        return [Path(one.path) for one in self._repository.get_sources() if one.provider == "command-line"]

    def _own_files(self, words: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """Yield each override that chooses a file in the folder of ``--config-dir``, and the path of this file."""
        files = [file for folder in self._folders for file in folder.glob("*/*.yaml")]
        yield from ((word, file) for file in files if (word := f"{file.parent.name}={file.stem}") in words)

    def _error_of(self, word: str, *, multirun: bool, check: bool) -> str:
        """Return the error when only this override is given; empty if the override is valid."""
        try:
            self._composed([word], multirun=multirun, check=check)
        except UserError as error:
            return str(error)
        return ""

    def _composed(self, words: Sequence[str], *, multirun: bool, check: bool) -> DictConfig:
        parsed = parse(words, self.hydra.config_loader)
        sweeping = [word for word, override in zip(words, parsed, strict=True) if override.is_sweep_override()]
        mode = RunMode.MULTIRUN if multirun else RunMode.RUN
        with explained(words, Exception), warnings.catch_warnings():  # all errors here come from the words
            warnings.simplefilter("error", UserWarning)
            config = self.hydra.compose_config(
                self.config_name, list(words), mode, validate_sweep_overrides=multirun or not sweeping
            )
            chdir, asked = config.hydra.job.chdir, config.hydra.mode
        if not issubclass(OmegaConf.get_type(config) or type(None), self.schema):
            raise UserError(f"--config-name {self.config_name}: not a config of this command")
        if chdir:
            raise UserError("hydra.job.chdir=true is not supported: relative paths would change their meaning")
        if asked == RunMode.MULTIRUN and not multirun:  # the experiment is a sweep
            return self._composed(words, multirun=True, check=check)
        if sweeping and not multirun:
            raise UserError(f"{sweeping[0]}: several values make a sweep; add -m, or write a list as [a,b]")
        if asked is None or multirun:
            config.hydra.mode = mode
        HydraConfig.instance().set_config(config)
        with explained(words):
            folder = config.hydra.output_subdir
        if folder is not None and (not Path(folder).parts or ".." in Path(folder).parts):
            raise UserError(
                f"hydra.output_subdir={folder}: Hydra's files would have the names of the run's files; set .hydra, say"
            )
        if check and not sweeping:
            self.load(config, words)
        return config

    def groups(self, config: DictConfig) -> dict[str, list[str]]:
        """Return a dictionary from each group of a config to its options."""
        # Hydra's own listing takes almost a second
        return {
            group: self._repository.get_group_options(group, ObjectType.CONFIG)
            for group in self._repository.get_group_options("", ObjectType.GROUP)
            if group in config.hydra.runtime.choices
        }

    def file_of(self, group: str, name: str) -> Path | None:
        """Return the YAML file of the option `name` of a group; None if there is no such file."""
        folders = [Path(source.path) for source in self._repository.get_sources() if source.scheme() == "file"]
        files = (folder / group / f"{name}.yaml" for folder in folders)
        return next((file for file in files if file.is_file()), None)

    @property
    def _repository(self) -> IConfigRepository:
        loader = self.hydra.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        return loader.repository

    def load(self, config: DictConfig, words: Sequence[str]) -> Any:
        """Convert a composed config to a dataclass and validate it. `words` are the overrides of the config."""
        check_types(config, words)
        return load(self.schema, without_hydra(config))

    def context(self, config: DictConfig) -> HydraContext:
        """Return the context that Hydra passes to launchers and jobs."""
        with explained(typed_words(config, "hydra"), Exception, part="hydra.callbacks"):
            return HydraContext(config_loader=self.hydra.config_loader, callbacks=Callbacks(config))

    def run(self, config: DictConfig, task: TaskFunction) -> Any:
        """Run `task` as one job in its own directory. Return the result of `task`, or raise its error."""
        with own_directory(config, "run", resume=config.get("resume") == "auto"):
            words = typed_words(config, "hydra")
            with explained(words, AssertionError, ValueError):  # errors of the task are kept in job
                context = self.context(config)
                context.callbacks.on_run_start(config=config, config_name=self.config_name)
                job = run_job(
                    hydra_context=context,
                    task_function=task,
                    config=config,
                    job_dir_key="hydra.run.dir",
                    job_subdir_key=None,
                )
                context.callbacks.on_run_end(config=config, config_name=self.config_name, job_return=job)
            if job.status is JobStatus.FAILED:
                raise job._return_value
            return job.return_value

    def sweep(self, config: DictConfig, task: TaskFunction) -> list[JobReturn]:
        """Run all jobs with the chosen sweeper and launcher, and return their results."""
        context = self.context(config)
        context.callbacks.on_multirun_start(config=config, config_name=self.config_name)
        with explained(typed_words(config, "hydra"), Exception, part="hydra.sweeper and hydra.launcher"):
            sweeper = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=task)
        jobs = sweeper.sweep(arguments=typed_words(config, "task"))
        context.callbacks.on_multirun_end(config=config, config_name=self.config_name)
        return [job for batch in jobs or [] for job in (batch if isinstance(batch, list) else [batch])]


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a copy of a composed config without its ``hydra`` section."""
    task = copy.copy(config)
    with open_dict(task):
        task.pop("hydra", None)
    return task


def typed_words(config: DictConfig, kind: str) -> list[str]:
    """Return the overrides that the user typed. Interpolations (``${…}``) stay as they were typed.

    `kind` is ``hydra`` for the overrides of Hydra's settings, and ``task`` for all other overrides.
    """
    words = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    assert isinstance(words, list)
    return [str(word) for word in words]


@contextmanager
def own_directory(config: DictConfig, kind: str, *, resume: bool = False) -> Iterator[Path]:
    """Make the directory of a run or a sweep. At the end of this context, remove the directory if it is empty.

    The default name is the date and the time. If a directory with this name exists, a number is added to the name.
    If the user chose the name, the directory must be new or empty, unless `resume` is True.

    Parameters
    ----------
    config
        The composed config. The path of the directory is written into this config.
    kind
        ``run`` or ``sweep``.
    resume
        Whether a directory that the user chose may contain files.
    """
    words = typed_words(config, "hydra")
    named = any(override.key_or_group == f"hydra.{kind}.dir" for override in parse(words))
    with explained(words):
        wanted = str(config.hydra[kind].dir)
    if not wanted:
        raise UserError(f"hydra.{kind}.dir is empty: give a directory")
    with claimed(Path(wanted), numbered=not named, resume=resume) as directory:
        with read_write(config.hydra):
            config.hydra[kind].dir = str(directory)
        yield directory


@contextmanager
def claimed(wanted: Path, *, numbered: bool, resume: bool = False) -> Iterator[Path]:
    """Make a directory and its parents. At the end of this context, remove the new folders that are empty.

    If the directory exists already, `numbered` decides: True makes ``NAME-2``, ``NAME-3``, … instead, and False uses
    the existing directory.

    Raises
    ------
    UserError
        If the existing directory contains files and `resume` is False.
    """
    made: list[Path] = []
    try:
        for folder in reversed(wanted.parents):
            if not folder.exists():
                with suppress(FileExistsError):  # another process made the folder first
                    _make(folder)
                    made.append(folder)
        directory = wanted
        for attempt in itertools.count(2):
            try:
                _make(directory)
                made.append(directory)
                break
            except FileExistsError:
                if not numbered:
                    if not directory.is_dir() or (not resume and any(directory.iterdir())):
                        raise UserError(f"{directory} exists already; give another directory") from None
                    break
            directory = wanted.with_name(f"{wanted.name}-{attempt}")
        yield directory
    finally:
        for folder in reversed(made):
            try:
                folder.rmdir()  # fails unless the folder is empty
            except OSError:
                break


def _make(folder: Path) -> None:
    """Make a folder.

    Raises
    ------
    FileExistsError
        If something with this name exists.
    UserError
        If the folder cannot be made for another reason.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        raise
    except OSError as error:
        raise UserError(f"{folder.absolute()} cannot be made ({error.strerror}); give another directory") from error
