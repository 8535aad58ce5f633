"""A class of 2 %: balanced accuracy with and without ``loss.class_weights=balanced``, beside scikit-learn.

    python tests/benchmarks/rare_class.py [rows=5000] [repeats=10] [words="optimizer=lbfgs"]

The table has two numbers that matter and eight that do not. The frequent class is a round cloud. The rare class lies at
a distance of 2 from its center, so that the classes overlap. Each repetition draws other test rows (``dataset.seed``).
Both programs get the same rows, and standardise them by the training rows. Balanced accuracy is the mean of the
accuracies of the two classes. `words` are further words for ``deeprob-train``.
"""

import os
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deeprob import load_run
from deeprob.commands.main import main as deeprob


def write_table(path: Path, rows: int) -> None:
    """Write a table in which one row of 50 is of the class ``rare``."""
    rng = np.random.default_rng(0)
    rare = rng.permutation(rows) < rows // 50
    inputs = rng.normal(size=(rows, 10))
    inputs[rare, :2] += 2 / np.sqrt(2)
    header = ",".join([*(f"x{column}" for column in range(10)), "class"])
    lines = [",".join([*map(str, row), "rare" if of else "usual"]) for row, of in zip(inputs, rare, strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")


def measured(seed: int, words: list[str]) -> dict[str, float]:
    """Return the balanced accuracy of each contender on the test rows that `seed` draws."""
    found = {}
    for weights in ("none", "balanced"):
        directory = f"{weights}-{seed}"
        given = ["dataset=csv", "dataset.root=table.csv", f"dataset.seed={seed}", f"seed={seed}", "model=linear"]
        own = [f"loss.class_weights={weights}", f"hydra.run.dir={directory}", "trainer.figures=[]"]
        assert deeprob([*given, *own, *words], "train") == 0
        run = load_run(directory)
        test = run.data().test
        found[f"deeprob, {weights}"] = balanced_accuracy_score(test.targets, run.scores("test").argmax(1))
    train = run.data().train
    for name, given_weight in (("none", None), ("balanced", "balanced")):
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight=given_weight))
        model.fit(train.inputs.numpy(), train.targets.numpy())
        found[f"scikit-learn, {name}"] = balanced_accuracy_score(test.targets, model.predict(test.inputs.numpy()))
    return found


def main(rows: int, repeats: int, words: str) -> None:
    os.chdir(tempfile.mkdtemp())
    write_table(Path("table.csv"), rows)
    results = [measured(seed, shlex.split(words)) for seed in range(repeats)]
    print(f"{rows} rows, {repeats} repetitions, {words or 'defaults'}")
    for name in results[0]:
        values = np.array([found[name] for found in results])
        error = values.std(ddof=1) / np.sqrt(repeats)
        print(f"  {name:24}  {100 * values.mean():6.2f} ± {100 * error:.2f} % (mean ± standard error)")
    apart = np.array([found["deeprob, balanced"] - found["scikit-learn, balanced"] for found in results])
    print(f"  balanced, deeprob − scikit-learn: {100 * apart.mean():+.2f} %, largest {100 * abs(apart).max():.2f} %")


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(given.get("rows", 5000)), int(given.get("repeats", 10)), given.get("words", ""))
