"""A job in a process of its own, so that not even its death takes the sweep with it."""

import functools
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from deeprob.errors import DeeprobError, Interrupted


def isolated(task: Callable[[], Any]) -> Any:
    """Run a task in a fork of this process, and return or raise what it does.

    Nothing of this process changes. It must not have computed anything with several threads: a fork has one.

    Raises
    ------
    DeeprobError
        When the process ends without an answer: killed, out of memory, or by its own exit.
    Interrupted
        After the process has ended, on a signal that it got too.
    """
    _import_all()
    context = multiprocessing.get_context("fork")
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, answer))
    try:
        process.start()
        answer.close()
        try:
            value, error = answers.recv()
        except EOFError:
            value, error = None, None
        process.join()
    except Interrupted:  # SIGTERM came here alone; Ctrl-C in a terminal reaches both
        process.terminate()
        process.join()
        raise
    except KeyboardInterrupt:
        process.join()
        raise Interrupted(signal.SIGINT) from None
    finally:
        answers.close()
    if error is not None:
        raise error
    if value is None:
        code = process.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}, before it was done"
        raise DeeprobError(f"its process ended {how}")
    return value


@functools.cache
def _import_all() -> None:
    """Make an optimizer: the first one imports for a second, here once and not in each process."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def _work(task: Callable[[], Any], answer: Connection) -> None:
    try:
        answer.send((task(), None))
    except (DeeprobError, Interrupted) as error:
        answer.send((None, error))
    except Exception as error:  # a bug of ours, whose trace cannot be sent
        traceback.print_exc()
        answer.send((None, RuntimeError(f"{type(error).__name__}: {error}")))
