"""The functions that the console commands call. `main` runs a command and returns its exit status."""

import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from deeprob.config.application import Application, parse_arguments, started
from deeprob.config.help import help_text
from deeprob.config.overrides import explained
from deeprob.config.own_modules import imported
from deeprob.errors import DeeprobError, Interrupted, UserError, one_line
from deeprob.tracking.signals import ENDING
from deeprob.tracking.streams import PIPE_CLOSED, guarded

if TYPE_CHECKING:
    from deeprob.commands.command import Command
    from deeprob.training.ranks import Ranks


def main(argv: Sequence[str] | None = None, command: str = "train") -> int:
    """Run a command and return its exit status (see `deeprob.errors`).

    Parameters
    ----------
    argv
        The words after the command's name. None means the words of the command line.
    command
        The name of the command, such as ``train``. Its file in this folder and its primary config have this name.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with guarded():
        return _status(command, words)


def _status(command: str, words: list[str]) -> int:
    """Run a command, print its error if it fails, and return its exit status."""
    try:
        with terminable():
            _run(command, words)
            sys.stdout.flush()
    except (DeeprobError, Interrupted) as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except SystemExit as end:  # from argparse, Hydra's own flags, or a closed pipe
        return UserError.status if end.code == 1 else int(end.code or 0)
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            return _fail(one_line(error), UserError.status)
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Interrupted` when a signal such as SIGTERM arrives, so that the command cleans up before it ends.

    If a library catches `Interrupted` and raises another error, `Interrupted` replaces this error.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # ignored in the background of a shell
    caught = [number for number in ENDING if not (number == signal.SIGINT and ignored)]
    before = {number: signal.signal(number, end) for number in caught}
    try:
        yield
    except Exception as error:
        if received:
            raise Interrupted(received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train() -> int:
    """Run ``deeprob-train`` and return its exit status."""
    return main(command="train")


def evaluate() -> int:
    """Run ``deeprob-evaluate`` and return its exit status."""
    return main(command="evaluate")


def visualize() -> int:
    """Run ``deeprob-visualize`` and return its exit status."""
    return main(command="visualize")


def check_gradients() -> int:
    """Run ``deeprob-check-gradients`` and return its exit status."""
    return main(command="check_gradients")


def check_part() -> int:
    """Run ``deeprob-check-part`` and return its exit status."""
    return main(command="check_part")


def optimizers() -> int:
    """Run ``deeprob-optimizers`` and return its exit status."""
    return main(command="optimizers")


def optimizer_paths() -> int:
    """Run ``deeprob-optimizer-paths`` and return its exit status."""
    return main(command="optimizer_paths")


def compare() -> int:
    """Run ``deeprob-compare`` and return its exit status."""
    return main(command="compare")


def predict() -> int:
    """Run ``deeprob-predict`` and return its exit status."""
    return main(command="predict")


def export() -> int:
    """Run ``deeprob-export`` and return its exit status."""
    return main(command="export")


def _fail(line: str, status: int) -> int:
    if os.environ.get("DEEPROB_TRACEBACK") == "1":
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    return status


def _imported(name: str) -> "Command":
    """Import a command, which imports torch, and return its definition.

    The import makes several hundred thousand objects that live until the process ends. The garbage collector would
    check these objects again and again. It is therefore turned off during the import, and ignores these objects
    afterwards. If torch is already imported, as in a notebook, the garbage collector is not changed.
    """
    first = "torch" not in sys.modules and gc.isenabled()
    if first:
        gc.disable()
    try:
        command: Command = importlib.import_module(f"deeprob.commands.{name}").COMMAND  # only drawing needs matplotlib
    finally:
        if first:
            gc.enable()
            gc.freeze()
    return command


@contextmanager
def _processes(parallel: bool) -> "Iterator[Ranks]":
    """Join the processes that torchrun has started with this one. Without torchrun, this process is the only one.

    Raises
    ------
    UserError
        If there are several processes, and `parallel` is False.
    """
    from deeprob.training.ranks import Ranks, joined_processes

    if os.environ.get("WORLD_SIZE", "") in ("", "1"):
        yield Ranks()
        return
    with joined_processes() as ranks:
        if not parallel:
            raise UserError(
                f"WORLD_SIZE={ranks.count}: several processes can only train one run together; start this command "
                "without torchrun"
            )
        yield ranks


def _run(name: str, words: list[str]) -> None:
    command = _imported(name)
    typed = [f"deeprob-{name.replace('_', '-')}", *words]
    arguments, parser = parse_arguments(words)
    overrides = arguments.overrides = command.overrides(arguments.overrides)
    others = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "command", "main", name}
    if arguments.config_name in others:
        raise UserError(f"--config-name {arguments.config_name}: not a config of this command")
    with imported(arguments.imports), started(arguments.config_dir) as hydra, explained(overrides):
        application = Application(hydra, arguments.config_name or name, command.schema)
        if arguments.shell_completion:
            try:
                hydra.shell_completion(application.config_name, overrides)
            except (KeyError, ValueError) as error:
                raise UserError(
                    "--shell-completion takes install=SHELL or uninstall=SHELL: bash, zsh or fish"
                ) from error
        elif arguments.hydra_help:
            hydra.hydra_help(application.config_name, parser, arguments)
        elif arguments.info:
            hydra.show_info(arguments.info, application.config_name, overrides)
        elif arguments.help:
            print(help_text(application, arguments))
        elif arguments.cfg:
            application.compose(overrides, multirun=False, check=False)
            hydra.show_cfg(application.config_name, overrides, arguments.cfg, arguments.package, arguments.resolve)
        else:
            with _processes(command.parallel and not arguments.multirun) as ranks:
                if not command.instead(application, arguments, typed, ranks):
                    config = application.compose(overrides, multirun=arguments.multirun)
                    command.action(application, config, typed, ranks)
