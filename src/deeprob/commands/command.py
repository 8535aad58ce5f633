"""What a console command is: the schema of its config, and what is done with one."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

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
    """

    schema: type[Any]
    action: Callable[[Application, DictConfig, list[str]], None]
    instead: Callable[[Application, argparse.Namespace, list[str]], bool] = _never

    @classmethod
    def once(cls, schema: type[Any], action: Callable[[Any], object]) -> "Command":
        """Return a command that hands its validated config to an action, and has no sweeps."""

        def act(application: Application, config: DictConfig, command: list[str]) -> None:
            if config.hydra.mode == RunMode.MULTIRUN:
                raise UserError(f"-m: {command[0]} has no sweeps; call it once for each run")
            action(application.load(config, typed_words(config, "task")))

        return cls(schema, act)
