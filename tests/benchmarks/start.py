"""What a command costs beside its training: seconds and memory of whole processes, beside ``import torch`` alone.

    python tests/benchmarks/start.py [rounds=5]

In each round every command runs in turn in a new process; the first round warms up the disk's cache. Shown are medians
over the rounds of wall-clock seconds and of the most memory that the process took, and the same less what ``import
torch`` took in the round. This file imports nothing large, because a new process starts with the peak of its parent.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

TRAIN = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "train.py")]
BASE = "import torch"
COMMANDS = {
    BASE: ([sys.executable, "-c", "import torch"], 0),
    "deeprob-train": (TRAIN, 0),
    "one epoch, trainer.figures=[]": ([*TRAIN, "trainer.epochs=1", "trainer.figures=[]"], 0),
    "--help": ([*TRAIN, "--help"], 0),
    "an error line (modle=mlp)": ([*TRAIN, "modle=mlp"], 2),
}
"""Commands, and the exit status of each."""


def measure(command: list[str], status: int) -> tuple[float, float]:
    """Return the seconds of a command and its peak of memory in MB.

    Raises
    ------
    RuntimeError
        If the command ends with another status.
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, code, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode != status:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}, not {status}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return seconds, usage.ru_maxrss * unit / 1e6


def main(rounds: int) -> None:
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, (command, status) in COMMANDS.items():
            cost = measure(command, status)
            if number > 0:  # the first round warms up
                measured[name].append(cost)
    print(f"medians of {rounds} new processes each; in brackets less {BASE}")
    for name, costs in measured.items():
        seconds, memory = (median(column) for column in zip(*costs, strict=True))
        pairs = zip(costs, measured[BASE], strict=True)
        more = [(own[0] - base[0], own[1] - base[1]) for own, base in pairs]
        later, larger = (median(column) for column in zip(*more, strict=True))
        print(f"  {name:32}{seconds:7.2f} s ({later:+.2f}){memory:8.0f} MB ({larger:+.0f})")


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(words.get("rounds", "5")))
