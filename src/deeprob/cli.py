"""The console commands: `main` turns words into an exit status."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deeprob.config import load
from deeprob.errors import CheckFailed, DeeprobError, Interrupted, UserError
from deeprob.experiment import RunConfig
from deeprob.hydra_app import Application, parse_arguments, started
from deeprob.load import EvaluateConfig, evaluate_run
from deeprob.run import run


@dataclass(frozen=True)
class Command:
    """A console command: the schema of its config, and what is done with one, given all the words typed."""

    schema: type[Any]
    action: Callable[[Application, DictConfig, list[str]], None]


def main(argv: Sequence[str] | None = None, command: str = "train") -> int:
    """Run a command and return its exit status (see `deeprob.errors`).

    Parameters
    ----------
    argv
        The words after the command's name; None takes those of the process.
    command
        A key of `COMMANDS`, and the name of its primary config.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(command, words)
    except DeeprobError as error:
        return _fail(str(error), error.status)
    except Interrupted as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}", UserError.status)
    except Exception:
        traceback.print_exc()
        return 1


def train() -> int:
    """``deeprob-train``."""
    return main(command="train")


def evaluate() -> int:
    """``deeprob-evaluate``."""
    return main(command="evaluate")


def _fail(line: str, status: int) -> int:
    if os.environ.get("DEEPROB_TRACEBACK") == "1":
        traceback.print_exc()
    print(f"error: {line}" if status != 0 else line, file=sys.stderr)
    return status


def _run(name: str, words: list[str]) -> int:
    command = COMMANDS[name]
    arguments, parser = parse_arguments(words)
    with started(arguments.config_dir) as hydra:
        application = Application(hydra, arguments.config_name or name, command.schema)
        overrides = arguments.overrides
        if arguments.shell_completion:
            hydra.shell_completion(application.config_name, overrides)
        elif arguments.hydra_help:
            hydra.hydra_help(application.config_name, parser, arguments)
        elif arguments.info:
            hydra.show_info(arguments.info, application.config_name, overrides)
        elif arguments.help:
            print(application.help(arguments))
        elif arguments.cfg:
            application.compose(overrides, multirun=False, check=False)
            hydra.show_cfg(application.config_name, overrides, arguments.cfg, arguments.package, arguments.resolve)
        else:
            config = application.compose(overrides, multirun=arguments.multirun)
            command.action(application, config, [f"deeprob-{name}", *words])
    return 0


def _evaluate(application: Application, config: DictConfig, command: list[str]) -> None:
    evaluate_run(application.load(config, command[1:]))


def _train(application: Application, config: DictConfig, command: list[str]) -> None:
    if config.hydra.mode == RunMode.MULTIRUN:
        _sweep(application, config, command)
        return

    def task(job: DictConfig) -> dict[str, Any]:
        directory = Path(HydraConfig.get().runtime.output_dir)
        return run(load(RunConfig, job), directory, command)

    application.run(config, task)


def _sweep(application: Application, config: DictConfig, command: list[str]) -> None:
    failed = []

    def task(job: DictConfig) -> dict[str, Any]:
        number = HydraConfig.get().job.num
        directory = Path(HydraConfig.get().runtime.output_dir)
        try:
            return run(load(RunConfig, job), directory, command, report=False)
        except Exception as error:
            if not isinstance(error, DeeprobError):
                traceback.print_exc()
            print(f"error: job {number}: {error}", file=sys.stderr)
            failed.append(number)
            raise

    jobs = application.sweep(config, task)
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(map(str, failed))}")


COMMANDS: Mapping[str, Command] = {
    "train": Command(RunConfig, _train),
    "evaluate": Command(EvaluateConfig, _evaluate),
}
