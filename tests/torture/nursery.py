"""A process that has imported deeprob and forks a child for each command, so that a thousand starts take minutes.

One JSON object a line: ``words``, ``folder``, and if wanted ``kill`` (seconds after which the child gets SIGKILL),
``writes`` (checkpoints after which it kills itself) and ``forget`` (a key of the training state that is not restored).
The answer has ``status`` (negative for a signal), ``out``, ``err`` and ``seconds``.
"""

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from deeprob.commands.main import main
from deeprob.training.checkpoint import Checkpoints
from deeprob.training.state import TrainState


def child(words: list[str], folder: str, forget: str | None, writes: int | None) -> int:
    os.chdir(folder)
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(f"{folder}/.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    torch.set_num_threads(1)
    if forget is not None:
        restore = TrainState.load_state_dict

        def partly(state: TrainState, content: dict) -> None:
            restore(state, content | {forget: state.state_dict()[forget]})

        TrainState.load_state_dict = partly
    if writes is not None:
        write = Checkpoints.write
        left = [writes]

        def last_words(checkpoints: Checkpoints, lengths: dict) -> None:
            write(checkpoints, lengths)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        Checkpoints.write = last_words
    status = main(words)
    sys.stdout.flush()
    return status


def answer(
    words: list[str], folder: str, kill: float | None = None, forget: str | None = None, writes: int | None = None
) -> dict:
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(child(words, folder, forget, writes))
    timer = threading.Timer(kill or 60.0, os.kill, (pid, signal.SIGKILL))
    timer.start()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    timer.cancel()
    texts = {name: Path(folder, f".{name}").read_text() for name in ("out", "err") if Path(folder, f".{name}").exists()}
    return {"status": status, "seconds": time.perf_counter() - began, "out": "", "err": "", **texts}


def train_one() -> None:
    """Train a small run here: the first of a process imports for two seconds, once and not in each child."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main(["dataset.points_per_class=10", "trainer.epochs=1", "trainer.figures=[]"]) == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_one()
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)
