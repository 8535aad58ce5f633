"""What the measures of splits cost, in a stacked sweep and in a run alone: all of them beside accuracy alone.

    python tests/benchmarks/metrics.py [runs=1024] [epochs=3] [rounds=3] [KEY=VALUE ...]

Both variants train in turn, in new processes; further words are overrides, such as ``dataset.val_fraction=0.2``, which
makes every epoch measure. Shown are medians over the rounds: seconds of the processor for the whole command with all
measures, how much more that is than with accuracy alone (within a round), and the share of `Scoring` in it. The share
is the more exact of the two on a busy machine. ``runs=1`` trains one run, without a sweep.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

TRAIN = """
import sys, time
from deeprob.commands.main import train
from deeprob.training.scoring import Scoring
original, spent = Scoring.__call__, 0.0
def accuracy(score, scores, targets):
    return [{"accuracy": value} for value in (scores.argmax(2) == targets).double().mean(1).tolist()]
chosen = original if sys.argv.pop() == "all" else accuracy
def timed(score, scores, targets):
    global spent
    began = time.process_time()
    found = chosen(score, scores, targets)
    spent += time.process_time() - began
    return found
Scoring.__call__ = timed
began = time.process_time()
status = train()
print("COST", time.process_time() - began, spent)
sys.exit(status)
"""


def cost(words: list[str], variant: str) -> tuple[float, float]:
    """Train in an empty folder. Return the seconds of the processor in all, and those in `Scoring`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", TRAIN, *words, variant]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("COST")]
    whole, spent = map(float, line.split()[1:])
    return whole, spent


def main(runs: int, epochs: int, rounds: int, words: list[str]) -> None:
    words = [f"trainer.epochs={epochs}", "trainer.figures=[]", "trainer.progress=false", *words]
    if runs > 1:
        launcher = ["hydra/launcher=auto", "hydra.launcher.workers=1", f"hydra.launcher.max_stack={runs}"]
        words = ["-m", f"seed=range({runs})", *launcher, *words]
    pairs = [[cost(words, variant) for variant in ("all", "accuracy")] for _ in range(rounds)]
    more = median(every[0] / alone[0] - 1 for every, alone in pairs)
    share = median(every[1] / every[0] for every, _ in pairs)
    whole = median(every[0] for every, _ in pairs)
    print(f"{Path(sys.argv[0]).name} {' '.join(words)}")
    print(f"  {whole:.1f} s of the processor; {more:+.1%} beside accuracy alone; {share:.2%} in Scoring")
    print(f"  {1e6 * median(every[1] for every, _ in pairs) / runs:.0f} µs in Scoring for each run")


if __name__ == "__main__":
    own = {name: value for name, _, value in (word.partition("=") for word in sys.argv[1:])}
    numbers = [int(own.pop(name, default)) for name, default in (("runs", 1024), ("epochs", 3), ("rounds", 3))]
    main(*numbers, [f"{name}={value}" for name, value in own.items()])
