"""The definition of a console command: the schema of its config, and the function that does its work."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

from deeprob.compare.command_words import word_of
from deeprob.config.application import Application, typed_words
from deeprob.errors import UserError
from deeprob.training.ranks import Ranks


def _never(application: Application, arguments: argparse.Namespace, command: list[str], ranks: Ranks) -> bool:
    return False


@dataclass(frozen=True)
class Command:
    """A console command.

    Attributes
    ----------
    schema
        The dataclass of the command's config.
    action
        The function that does the command's work. Its arguments are the application, the composed config, all words of
        the command line, from the program's name on, and the processes that run the command together.
    instead
        A function that is called before `action`. If it returns True, `action` is not called. Its arguments are the
        application, the parsed arguments, all words of the command line, and the processes.
    one
        The key that takes one directory. A directory typed without a key becomes the value of this key. Empty if there
        is no such key.
    several
        The key that takes a list of directories. Several directories typed without a key become the value of this key.
        Empty if there is no such key.
    parallel
        Whether several processes can run the command together.
    """

    schema: type[Any]
    action: Callable[[Application, DictConfig, list[str], Ranks], None]
    instead: Callable[[Application, argparse.Namespace, list[str], Ranks], bool] = _never
    one: str = ""
    several: str = ""
    parallel: bool = False

    def overrides(self, words: Sequence[str]) -> list[str]:
        """Replace directories by an override, as in ``DIR`` → ``run=DIR``. Return all overrides."""
        places = [word for word in words if self.one and is_directory(word)]
        rest = [word for word in words if word not in places]
        if len(places) == 1:
            return [f"{self.one}={word_of(places[0])}", *rest]
        if not places:
            return rest
        if not self.several:
            raise UserError(f"{' '.join(places)}: expected one directory")
        return [f"{self.several}={word_of(places)}", *rest]

    @classmethod
    def once(cls, schema: type[Any], action: Callable[[Any], object], one: str = "", several: str = "") -> "Command":
        """Return a command that cannot run sweeps. The command calls `action` with the validated config.

        Parameters
        ----------
        schema, action, one, several
            See `Command`.
        """

        def act(application: Application, config: DictConfig, command: list[str], ranks: Ranks) -> None:
            if config.hydra.mode == RunMode.MULTIRUN:
                raise UserError(f"-m: {command[0]} has no sweeps; call it once for each run")
            action(application.load(config, typed_words(config, "task")))

        return cls(schema, act, one=one, several=several)


def is_directory(word: str) -> bool:
    """Return whether a word is a directory and not an override.

    A word is an override if it contains ``=`` or starts with ``~``, unless a directory with this name exists.
    """
    return ("=" not in word and not word.startswith("~")) or Path(word).is_dir()
