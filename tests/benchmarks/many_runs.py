"""What a sweep of many tiny runs costs: seconds to the first update, the driver's memory, and deeprob-compare's page.

    python tests/benchmarks/many_runs.py [jobs=10000] [keys=seed|two|three|group|variants] [plan=false]

Trains a sweep of `jobs` networks with two layers of 4 units for one epoch, in a new process, in a folder that is
removed at the end. Then the finished sweep is resumed, and compared. ``keys`` says in what the jobs differ: seeds
alone, a learning rate and seeds, three keys, an optimizer with a learning rate and seeds, or variants. Shown are
wall-clock seconds, the seconds of the processor in brackets, the most memory that a process took, and the bytes and
files of the sweep. With ``plan=true`` the process ends at its first update.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parents[2] / "scripts"
NETWORK = ["model.width=4", "model.layers=2", "trainer.epochs=1", "trainer.progress=false", "trainer.figures=[]"]
FIRST = "FIRST UPDATE"
TRAIN = f"""
import os, sys, time
from deeprob.commands.main import train
from deeprob.training.update import Update
original, ends = Update.__call__, sys.argv.pop() == "plan"
def first(update, *given):
    Update.__call__ = original
    result = original(update, *given)
    print("{FIRST}", time.process_time(), flush=True)
    if ends:
        os._exit(0)
    return result
Update.__call__ = first
sys.exit(train())
"""


def words(jobs: int, keys: str) -> list[str]:
    """Return the overrides of a sweep. The number of jobs is rounded down to whole combinations."""
    rates = ",".join(f"{number / 1000:g}" for number in range(1, 21))
    if keys == "two":
        return [f"optimizer.lr={rates}", f"seed=range({jobs // 20})"]
    if keys == "three":
        return [f"optimizer.lr={rates}", "optimizer.weight_decay=0,1e-4,1e-3,1e-2", f"seed=range({jobs // 80})"]
    if keys == "group":
        return ["optimizer=sgd,adam", f"optimizer.lr={rates}", f"seed=range({jobs // 40})"]
    if keys == "variants":
        variants = f"['optimizer=sgd optimizer.lr={rates}','optimizer=adam optimizer.lr={rates}']"
        return [f"sweep.variants={variants}", f"seed=range({jobs // 40})"]
    return [f"seed=range({jobs})"]


class Cost(NamedTuple):
    """The cost of a process: wall-clock seconds, seconds of the processor, and its peak of memory in MB."""

    seconds: float
    busy: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:8.1f} s ({self.busy:.1f} s), {self.memory:.0f} MB"


def run(command: list[str], folder: str) -> tuple[Cost, Cost]:
    """Run a command in a folder. Return the cost up to its first update, and the cost of the whole command.

    The first has the peak of memory of the whole command.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    began = time.perf_counter()
    first = busy = 0.0
    log = Path(folder, "log.txt")
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(FIRST):
                first, busy = time.perf_counter() - began, float(line.removeprefix(FIRST))
        _, code, usage = os.wait4(process.pid, 0)
    ended = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} …: status {process.returncode}: {log.read_text()[-500:]}")
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes there, KiB on Linux
    return Cost(first, busy, memory), Cost(ended, usage.ru_utime + usage.ru_stime, memory)


def main(jobs: int, keys: str, plan: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder, "sweep")
        train = [sys.executable, "-c", TRAIN, "-m", *NETWORK, *words(jobs, keys), f"hydra.sweep.dir={sweep.name}"]
        first, whole = run([*train, "plan" if plan else "all"], folder)
        print(f"{jobs} jobs that differ in {keys}")
        print(f"  first update after          {first}")
        if plan:
            return
        names = [entry.name for entry in os.scandir(sweep) if entry.is_dir()]
        files = [path for path in (sweep / names[0]).rglob("*") if path.is_file()]
        disk = sum(path.stat().st_blocks * 512 / path.stat().st_nlink for path in files)
        each = [1e3 * (later - before) / len(names) for before, later in zip(first[:2], whole[:2], strict=True)]
        print(f"  whole sweep                 {whole}; {each[0]:.1f} ms ({each[1]:.1f} ms) a run")
        print(f"  resuming the finished sweep {run([*train, 'resume=auto', 'all'], folder)[1]}")
        compare = [sys.executable, str(SCRIPTS / "compare.py"), sweep.name]
        print(f"  deeprob-compare             {run(compare, folder)[1]}")
        print(f"  a run's directory           {disk / 1e3:8.1f} kB on the disk, {len(files)} names of files")
        for name in ("summary.csv", "compare.html"):
            print(f"  {name:27} {(sweep / name).stat().st_size / 1e6:8.2f} MB")


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(given.get("jobs", "10000")), given.get("keys", "seed"), given.get("plan", "false") == "true")
