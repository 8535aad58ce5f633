"""Run a job in its own process. If this process is killed, the sweep goes on with the next job."""

import functools
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from deeprob.errors import DeeprobError, Interrupted


def isolated(task: Callable[[], Any]) -> Any:
    """Run a task in a child process, and return its result or raise its error.

    The child process is a fork, that is, a copy of this process. So the task changes nothing in this process. A fork
    copies only one thread. Therefore this process must not have computed with several threads before.

    Raises
    ------
    DeeprobError
        If the child process ends without a result, because it was killed, ran out of memory, or exited.
    Interrupted
        If this process gets a signal. The child process gets the signal too. The error is raised when the child process
        has ended.
    """
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
    except Interrupted:  # SIGTERM reaches only this process, Ctrl-C in a terminal reaches both
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
def _work(task: Callable[[], Any], answer: Connection) -> None:
    try:
        answer.send((task(), None))
    except (DeeprobError, Interrupted, OSError) as error:
        answer.send((None, error))
    except Exception as error:  # a bug in deeprob; its trace cannot be sent to the other process
        traceback.print_exc()
        answer.send((None, RuntimeError(f"{type(error).__name__}: {error}")))
