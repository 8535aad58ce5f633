"""Whole sweeps on workers against the same sweep in one process with one thread, side by side.

python tests/benchmarks/workers.py [runs=1024] [workers=2] [engines=one,processes] [rounds=3]

The runs are networks 2-32-32-3 on the spirals with 2,000 updates each (Adam, L2; rates, λ and seeds of their own).
Each round times each command from start to exit, in turn, and also a sweep of two runs of one epoch with the same
workers: its time over that of one process is the start of the workers. `engines` are ``one`` (no workers),
``processes``, ``submitit`` (on this machine), and ``ray`` (a cluster of `workers` nodes with one CPU each on this
machine, started before). At the end, the weights of all runs are compared: equal means equal to the bit.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

import torch

from deeprob.tracking import checkpoint_file

WORDS = [
    "dataset=spirals", "model.hidden=[32,32]", "optimizer=adam", "trainer.batch_size=64", "regularizer=l2",
    "trainer.progress=false",
]  # fmt: skip
PROGRAM = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "train.py"), "-m"]


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """Start a Ray cluster of so many nodes with one CPU each, and yield its address."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def chosen(engine: str, workers: int, address: str) -> list[str]:
    if engine == "one":
        return ["hydra.launcher.workers=1"]
    where = {"ray": f'hydra.launcher.cluster="{address}"', "submitit": "hydra.launcher.cluster=local"}.get(engine)
    return [f"hydra.launcher.engine={engine}", f"hydra.launcher.workers={workers}", *filter(None, [where])]


def sweep(folder: Path, *words: str) -> float:
    """Return the seconds of a sweep from start to exit."""
    began = time.perf_counter()
    subprocess.run([*PROGRAM, *WORDS, *words, f"hydra.sweep.dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def equal(one: Path, other: Path) -> int:
    """Return the number of runs whose weights are equal in two sweeps."""
    count = 0
    for path in one.glob("*/checkpoints/last.pt"):
        models = [checkpoint_file.load(root / path.relative_to(one))["model"] for root in (one, other)]
        count += all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    return count


def main(runs: int = 1024, workers: int = 2, engines: str = "one,processes", rounds: int = 3) -> None:
    names = engines.split(",")
    rates = "optimizer.lr=" + ",".join(f"{1e-4 * 100 ** (place / 4):.3g}" for place in range(4))
    work = [rates, "regularizer.strength=0,1e-5,1e-4,1e-3", f"seed=range({runs // 16})", "trainer.epochs=43"]
    times: dict[str, list[float]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {name: [] for name in names}
    with (
        tempfile.TemporaryDirectory() as root,
        nodes(workers) if "ray" in names else nullcontext("") as address,
    ):
        for number in range(rounds):
            for name in names:
                where = chosen(name, workers, address)
                times[name].append(sweep(Path(root, f"{name}-{number}"), *work, *where))
                starts[name].append(sweep(Path(root, f"{name}-start-{number}"), "seed=0,1", "trainer.epochs=1", *where))
        first, short = median(times[names[0]]), median(starts[names[0]])
        print(f"{runs} runs, {workers} workers, medians of {rounds} rounds")
        for name in names:
            time, start = median(times[name]), median(starts[name])
            same = equal(Path(root, f"{names[0]}-0"), Path(root, f"{name}-0"))
            print(
                f"  {name:10} {time:7.1f} s  {first / time:.2f} times as fast as {names[0]}; "
                f"start {start - short:+.1f} s; {same} of {runs} runs equal to the bit"
            )


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    main(**{name: int(value) if value.isdigit() else value for name, value in given.items()})  # type: ignore[arg-type]
