"""Train on a table of your own, and let the network answer for new rows.

    python examples/own_table.py examples/leaves.csv

The last column of the table is the class, the others are numbers. Give your own file in place of leaves.csv.
"""

import sys
from pathlib import Path

from deeprob import load_run
from deeprob.commands.main import main

TABLE = sys.argv[1] if len(sys.argv) > 1 else "examples/leaves.csv"
DIRECTORY = Path("outputs/own_table")
WORDS = [
    "dataset=csv",
    f'dataset.root="{TABLE}"',
    "model.width=32",
    f"hydra.run.dir={DIRECTORY}",
    "resume=auto",
]

if __name__ == "__main__":
    if status := main(WORDS):
        raise SystemExit(status)
    run = load_run(DIRECTORY)
    rows = run.data().test.inputs[:5]  # put your own rows here: a tensor with one row per example
    probabilities = run(rows).softmax(dim=1)
    print("\nfive rows of the test split, and what the network says")
    for row, probability in zip(rows, probabilities, strict=True):
        best = int(probability.argmax())
        print(f"{[round(value, 2) for value in row.tolist()]}  {run.classes[best]}  ({100 * probability[best]:.0f} %)")
