"""``deeprob.sweep`` beside ``GridSearchCV(MLPClassifier)``: 40 settings × 5 folds on scikit-learn's digits, one core.

    OMP_NUM_THREADS=1 taskset -c 0 python tests/benchmarks/grid_search.py [rounds=1] [epochs=50] [case=default|small]

Two networks: scikit-learn's default (64-100-10, batch 200), and 64-32-10, batch 32: 64 inputs, 32 hidden units, 10
classes. Both libraries train 200 networks with Adam, ten learning rates from 1e-4 to 1e-1 and four weight decays, for
the same number of epochs, without early stopping; both standardise the inputs, and measure each network on its fold.
Nothing is trained again at the end. In each round, both train in turn. The clock is that of the processor, which other
programs slow down less than that of the wall; imports are not counted.

The bound is the time of the matrix products alone: for each update, the products of the two layers forward, and of
their gradients, on tensors of the same shapes. The last column says which multiple of this time a sweep takes.
"""

import sys
import time
import warnings
from statistics import median

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deeprob

CASES = {"default": (100, 200, 2.0), "small": (32, 32, 5.0)}  # hidden units, batch, and the factor to reach
RATES = np.geomspace(1e-4, 1e-1, 10)
DECAYS = (0.0, 1e-4, 1e-3, 1e-2)
FOLDS = 5
X, Y = load_digits(return_X_y=True)


def grid_search(hidden: int, batch: int, epochs: int) -> tuple[float, float]:
    """Train with scikit-learn. Return seconds, and the best mean accuracy over folds."""
    network = MLPClassifier(
        (hidden,), batch_size=batch, max_iter=epochs, n_iter_no_change=epochs, tol=0.0, random_state=0
    )
    grid = {"mlpclassifier__learning_rate_init": RATES, "mlpclassifier__alpha": DECAYS}
    search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=FOLDS, refit=False)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that training has not converged
        search.fit(X, Y)
    return time.process_time() - began, search.best_score_


def sweep(hidden: int, batch: int, epochs: int) -> tuple[float, float]:
    """Train with deeprob. Return seconds, and the best mean accuracy over folds."""
    words = [
        f"model.hidden=[{hidden}]",
        f"trainer.batch_size={batch}",
        f"trainer.epochs={epochs}",
        "optimizer=adam",
        "scheduler=constant",
        f"optimizer.lr={','.join(f'{rate:.6g}' for rate in RATES)}",
        f"optimizer.weight_decay={','.join(map(str, DECAYS))}",
        f"sweep.folds={FOLDS}",
        "hydra.launcher.workers=1",
    ]
    began = time.process_time()
    made = deeprob.sweep(words, data=(X, Y), progress=False)
    seconds = time.process_time() - began
    means = made.table.groupby(["optimizer.lr", "optimizer.weight_decay"])["test/accuracy"].mean()
    return seconds, float(means.max())


def products_alone(hidden: int, batch: int, epochs: int, most: int = 200) -> float:
    """Return the seconds of the matrix products of all updates, from those of at most `most` updates."""
    runs = len(RATES) * len(DECAYS) * FOLDS
    updates = epochs * -(-len(Y) * (FOLDS - 1) // FOLDS // batch)
    x, w1, w2 = torch.randn(runs, batch, 64), torch.randn(runs, 64, hidden), torch.randn(runs, hidden, 10)
    h, g = torch.randn(runs, batch, hidden), torch.randn(runs, batch, 10)
    began = time.process_time()
    for _ in range(min(most, updates)):
        torch.bmm(x, w1)
        torch.bmm(h, w2)
        torch.bmm(h.mT, g)
        torch.bmm(x.mT, torch.bmm(g, w2.mT))
    return (time.process_time() - began) * updates / min(most, updates)


def main(rounds: int, epochs: int, cases: list[str]) -> None:
    torch.set_num_threads(1)
    deeprob.sweep("seed=0,1 trainer.epochs=1", data=(X, Y), progress=False)  # imports what it needs
    print(
        f"{len(RATES) * len(DECAYS)} settings × {FOLDS} folds, {epochs} epochs, medians of {rounds} round(s), seconds"
    )
    print(f"{'':20}{'scikit-learn':>14}{'deeprob':>10}{'factor':>8}{'to reach':>10}{'products':>10}{'of them':>9}")
    for name in cases:
        hidden, batch, reach = CASES[name]
        both = [(grid_search(hidden, batch, epochs), sweep(hidden, batch, epochs)) for _ in range(rounds)]
        theirs, ours = (median(seconds for seconds, _ in column) for column in zip(*both, strict=True))
        factor = median(one[0] / other[0] for one, other in both)
        bound = products_alone(hidden, batch, epochs)
        title = f"64-{hidden}-10, batch {batch}"
        print(f"{title:20}{theirs:14.1f}{ours:10.1f}{factor:8.1f}{reach:10.1f}{bound:10.2f}{ours / bound:9.1f}")
        print(f"  best mean accuracy{both[0][0][1]:13.2%}{both[0][1][1]:10.2%}")


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[1:])
    main(int(words.get("rounds", 1)), int(words.get("epochs", 50)), words.get("case", ",".join(CASES)).split(","))
