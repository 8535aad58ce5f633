"""A sweep with its own analysis: the best learning rate for each width of a network.

    python examples/sweep_analysis.py

Trains 24 networks on the spirals. Change WORDS to ask a question of your own.
"""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import mean

from deeprob.commands.main import main

DIRECTORY = Path("outputs/rate_by_width")
WORDS = [
    "-m",
    "model.width=8,32,128",
    "optimizer.lr=1e-3,3e-3,1e-2,3e-2",
    "seed=0,1",
    "trainer.epochs=15",
    "dataset.val_fraction=0.2",
    f"hydra.sweep.dir={DIRECTORY}",
    "resume=auto",  # called again, the script trains only what is missing
]


def analyse(table: Path) -> None:
    """Print for each width the mean validation accuracy of each learning rate, the best one marked."""
    accuracies: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] == "completed":
                accuracies[row["model.width"]][row["optimizer.lr"]].append(float(row["val/accuracy"]))
    for width, by_rate in accuracies.items():
        means = {rate: mean(values) for rate, values in by_rate.items()}
        best = max(means, key=means.__getitem__)
        cells = [f"{rate}: {100 * value:.1f} %{' (best)' if rate == best else ''}" for rate, value in means.items()]
        print(f"width {width:>3}   {'   '.join(cells)}")


if __name__ == "__main__":
    status = main(WORDS)
    if status == 0:
        analyse(DIRECTORY / "summary.csv")
    raise SystemExit(status)
