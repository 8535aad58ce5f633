"""The default network and a smaller one: a whole run of deeprob beside loops by hand and other libraries.

    python tests/benchmarks/default_run.py [rounds=7] [epochs=20]

The spirals with their defaults: 2-128-128-3 with batches of 32, as in ``deeprob-train``, and 2-32-32-3 with batches of
64; one thread. In each round every contestant trains in turn, so that a slow moment of the machine hits all alike; the
first round warms up. Shown are medians over the rounds: seconds of the whole fit, microseconds an update, deeprob's
seconds over the contestant's within the round, and the share of the rate that a product of two large float32 matrices
reaches in the same round, with 6 operations for each parameter and example. The last columns check the contest: the
cores that a contestant kept busy while it set up and trained, and its accuracy on the training examples.

`contestants.py` has the contestants. Libraries that are not installed are named and left out; ``pip install
'.[peers]'`` installs all.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from contestants import CONTESTANTS, PRODUCT, Contest, Outcome, Task, default_run, present

from deeprob.assembly.setup import Setup

NETWORKS = {(128, 128): 32, (32, 32): 64}  # hidden units and batch


def show(task: Task, outcomes: dict[str, list[Outcome]]) -> None:
    """Print the table of a network."""
    rounds = len(outcomes["matrix product"])
    rates = [2 * PRODUCT**3 / outcome.seconds for outcome in outcomes.pop("matrix product")]
    updates, operations = task.epochs * task.updates(), task.epochs * task.operations()
    print(f"\n{task}, batch {task.batch}, {task.epochs} epochs of {task.updates()} updates, {task.threads} thread")
    print(f"  medians of {rounds} rounds; {operations / updates / 1e6:.2f} million operations an update; ", end="")
    print(f"a product of matrices: {median(rates) / 1e9:.0f} GFLOP/s")
    print(f"  {'':28}{'seconds':>8}{'µs':>8}{'deeprob/it':>12}{'of the rate':>13}{'cores':>7}{'accuracy':>10}")
    ours = [outcome.seconds for outcome in outcomes["deeprob, whole run"]]

    def row(name: str, seconds: list[float], more: str = "") -> None:
        ratio = median(own / other for own, other in zip(ours, seconds, strict=True))
        share = median(operations / other / rate for other, rate in zip(seconds, rates, strict=True))
        micro = 1e6 * median(seconds) / updates
        print(f"  {name:28}{median(seconds):8.3f}{micro:8.0f}{ratio:12.2f}{share:13.2%}{more}")

    for name, column in outcomes.items():
        cores, accuracy = (median(getattr(outcome, key) for outcome in column) for key in ("cores", "accuracy"))
        row(name, [outcome.seconds for outcome in column], f"{cores:7.2f}{accuracy:10.1%}")
        if column[0].compiling:
            row("  without compiling", [outcome.seconds - outcome.compiling for outcome in column])


def main(rounds: int, epochs: int) -> None:
    names = present(CONTESTANTS)
    with tempfile.TemporaryDirectory() as directory, Contest(names, 1, Path(directory)) as contest:
        for hidden, batch in NETWORKS.items():
            train = Setup.build(default_run(hidden, batch, epochs).resolved()).splits.train
            folder = Path(directory) / "-".join(map(str, hidden))
            folder.mkdir()
            task = Task.write(
                folder,
                train.inputs.numpy(),
                train.targets.numpy(),
                hidden=list(hidden),
                batch=batch,
                epochs=epochs,
                threads=1,
            )
            outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
            for number in range(rounds + 1):
                for name in names:
                    outcome = contest.train(name, task)
                    if number > 0:  # the first round warms up
                        outcomes[name].append(outcome)
            show(task, outcomes)


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(words.get("rounds", "7")), int(words.get("epochs", "20")))
