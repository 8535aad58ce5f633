"""What a console command is: the schema of its config, and what is done with one."""

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


def _never(application: Application, arguments: argparse.Namespace, command: list[str]) -> bool:
    return False


@dataclass(frozen=True)
class Command:
    """A console command.

    Attributes
    ----------
    schema
        The dataclass that its config describes.
    action
        Takes the application, the composed config, and all the words typed, the program's name first.
    instead
        Is tried before a config is composed, with the parsed arguments: does the command's work and returns True, or
        does nothing and returns False.
    one, several
        The keys that take one directory, and several, so that people may type a directory as it is; empty for none.
    """

    schema: type[Any]
    action: Callable[[Application, DictConfig, list[str]], None]
    instead: Callable[[Application, argparse.Namespace, list[str]], bool] = _never
    one: str = ""
    several: str = ""

    def overrides(self, words: Sequence[str]) -> list[str]:
        """Return words, with directories among them as values of the keys that take them."""
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
        """Return a command that hands its validated config to an action, and has no sweeps.

        Parameters
        ----------
        schema, action, one, several
            See `Command`.
        """

        def act(application: Application, config: DictConfig, command: list[str]) -> None:
            if config.hydra.mode == RunMode.MULTIRUN:
                raise UserError(f"-m: {command[0]} has no sweeps; call it once for each run")
            action(application.load(config, typed_words(config, "task")))

        return cls(schema, act, one=one, several=several)


def is_directory(word: str) -> bool:
    """Tell whether a word is a directory as it is, and no ``key=value``."""
    return ("=" not in word and not word.startswith("~")) or Path(word).is_dir()
