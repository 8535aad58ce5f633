"""The console commands: `main` turns words into an exit status."""

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig

from deeprob.assembly.config import TrainConfig
from deeprob.commands.evaluate import EvaluateConfig, evaluate_run
from deeprob.config import load
from deeprob.config.application import Application, parse_arguments, started, words_of
from deeprob.config.overrides import explained, parse
from deeprob.errors import CheckFailed, DeeprobError, Interrupted, UserError, one_line
from deeprob.running.resume import resumed
from deeprob.running.run import run
from deeprob.sweeps import SweepTask, run_job, search, searches


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without λ is no reason to fail
    try:
        with terminable():
            return _run(command, words)
    except (DeeprobError, Interrupted) as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except SystemExit as end:  # argparse and Hydra's own commands
        return UserError.status if end.code == 1 else int(end.code or 0)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            return _fail(one_line(error), UserError.status)
        traceback.print_exc()
        return 1


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: cleaning up, with its own exit status."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train() -> int:
    """``deeprob-train``."""
    return main(command="train")


def evaluate() -> int:
    """``deeprob-evaluate``."""
    return main(command="evaluate")


def visualize() -> int:
    """``deeprob-visualize``."""
    return main(command="visualize")


def check_gradients() -> int:
    """``deeprob-check-gradients``."""
    return main(command="check_gradients")


def optimizers() -> int:
    """``deeprob-optimizers``."""
    return main(command="optimizers")


def optimizer_paths() -> int:
    """``deeprob-optimizer-paths``."""
    return main(command="optimizer_paths")


def compare() -> int:
    """``deeprob-compare``."""
    return main(command="compare")


def _fail(line: str, status: int) -> int:
    if os.environ.get("DEEPROB_TRACEBACK") == "1":
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    return status


def _run(name: str, words: list[str]) -> int:
    command, program = COMMANDS[name](), f"deeprob-{name.replace('_', '-')}"
    arguments, parser = parse_arguments(words)
    overrides = arguments.overrides
    with started(arguments.config_dir) as hydra, explained(overrides):
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
            print(application.help(arguments))
        elif arguments.cfg:
            application.compose(overrides, multirun=False, check=False)
            hydra.show_cfg(application.config_name, overrides, arguments.cfg, arguments.package, arguments.resolve)
        elif name == "train" and (resume := _resume_word(overrides)) is not None:
            if arguments.multirun or resume.is_sweep_override():
                raise UserError("resume=DIR is for one run; for a sweep give resume=auto and its hydra.sweep.dir")
            if beside := [word for word in overrides if word.lstrip("+").startswith("sweep.")]:
                application.compose(beside, multirun=False)  # they have no part in the run, but are checked like others
            directory = Path(str(resume.value()))
            plan = resumed(directory, overrides)
            run(plan, directory.resolve(), [program, *words], resume=True)
        else:
            config = application.compose(overrides, multirun=arguments.multirun)
            command.action(application, config, [program, *words])
    return 0


def _once(action: Callable[[Any], object]) -> Callable[[Application, DictConfig, list[str]], None]:
    """Return what hands a command's config to an action; such a command has no sweeps."""

    def act(application: Application, config: DictConfig, command: list[str]) -> None:
        if config.hydra.mode == RunMode.MULTIRUN:
            raise UserError(f"-m: {command[0]} has no sweeps; call it once for each run")
        action(application.load(config, words_of(config, "task")))

    return act


def _train(application: Application, config: DictConfig, command: list[str]) -> None:
    if config.hydra.mode == RunMode.MULTIRUN:
        _sweep(application, config, command)
        return

    def task(job: DictConfig) -> dict[str, Any]:
        return run_job(load(TrainConfig, job), command)

    application.run(config, task)


def _resume_word(words: list[str]) -> Override | None:
    """Return the last ``resume=DIR``; None if there is none, or if it is ``resume=auto``."""
    given = [override for override in parse(words) if override.key_or_group == "resume" and not override.is_delete()]
    return given[-1] if given and given[-1].value() not in ("auto", None) else None


def _sweep(application: Application, config: DictConfig, command: list[str]) -> None:
    task = SweepTask(command)
    jobs = search(application, config, task) if searches(config.hydra.sweeper) else application.sweep(config, task)
    failed = [number for number, job in enumerate(jobs) if job.status is JobStatus.FAILED]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(map(str, failed))}")


def _visualize_command() -> Command:
    from deeprob.visualize import VisualizeConfig, visualize

    return Command(VisualizeConfig, _once(visualize))


def _check_gradients_command() -> Command:
    from deeprob.check_gradients import CheckGradientsConfig, check_gradients

    return Command(CheckGradientsConfig, _once(check_gradients))


def _optimizers_command() -> Command:
    from deeprob.show_optimizers import OptimizersConfig, show_optimizers

    return Command(OptimizersConfig, _once(show_optimizers))


def _optimizer_paths_command() -> Command:
    from deeprob.optimizer_paths import OptimizerPathsConfig, optimizer_paths

    return Command(OptimizerPathsConfig, _once(optimizer_paths))


def _compare_command() -> Command:
    from deeprob.compare import CompareConfig, compare

    return Command(CompareConfig, _once(compare))


COMMANDS: Mapping[str, Callable[[], Command]] = {  # called when chosen, so that only what draws imports matplotlib
    "train": lambda: Command(TrainConfig, _train),
    "evaluate": lambda: Command(EvaluateConfig, _once(evaluate_run)),
    "visualize": _visualize_command,
    "check_gradients": _check_gradients_command,
    "optimizers": _optimizers_command,
    "optimizer_paths": _optimizer_paths_command,
    "compare": _compare_command,
}
