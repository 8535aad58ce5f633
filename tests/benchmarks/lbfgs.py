"""Softmax regression by ``optimizer=lbfgs`` against SciPy's L-BFGS-B: the objective that each reaches.

python tests/benchmarks/lbfgs.py [root=FOLDER] [strength=1e-2] [epochs=40]

With `root` (CIFAR-10 in class folders under train/ and test/) 5,000 pictures are used beside the spirals. SciPy sees
the same standardised numbers in float64, and its objective and gradient are written here in NumPy.
"""

import sys
import time

import numpy as np
from scipy.optimize import minimize

from deeprob.data import DatasetConfig, ImageFolderConfig, SpiralsConfig
from deeprob.experiment import Experiment, RunConfig
from deeprob.features import RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig, L2Config
from deeprob.optim import CosineConfig, LBFGSConfig
from deeprob.training import TrainerConfig


def compare(name: str, dataset: DatasetConfig, strength: float, epochs: int) -> None:
    config = RunConfig(
        dataset=dataset,
        features=RawConfig(),
        model=LinearConfig(),
        loss=CrossEntropyConfig(),
        regularizer=L2Config(strength=strength),
        optimizer=LBFGSConfig(),
        scheduler=CosineConfig(),
        trainer=TrainerConfig(epochs=epochs, precision="float64", device="cpu"),
    )
    experiment = Experiment.build(config.resolved())
    began = time.perf_counter()
    for _ in experiment.train(lambda: False):
        pass
    seconds = time.perf_counter() - began

    train = experiment.splits.train
    inputs = train.inputs.flatten(1).double().numpy()
    deviation = inputs.std(0)
    x = (inputs - inputs.mean(0)) / np.where(deviation > 0, deviation, 1)
    classes = int(train.targets.max()) + 1
    y = np.eye(classes)[train.targets.numpy()]

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters[:-classes].reshape(classes, -1), parameters[-classes:]
        scores = x @ w.T + b
        scores -= scores.max(1, keepdims=True)
        log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        slope = (np.exp(log_p) - y) / len(x)
        value = -(y * log_p).sum() / len(x) + strength * (w**2).sum()
        return value, np.concatenate([(slope.T @ x + 2 * strength * w).ravel(), slope.sum(0)])

    began = time.perf_counter()
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000, "maxfun": 10000}
    best = minimize(objective, np.zeros(classes * (x.shape[1] + 1)), jac=True, method="L-BFGS-B", options=options)
    scipy_seconds = time.perf_counter() - began
    weight, bias = (p.detach().numpy() for p in experiment.predictor.model.parameters())
    reached, _ = objective(np.concatenate([weight.ravel(), bias]))
    print(f"{name}: {len(x)} examples, {x.shape[1]} inputs, {classes} classes, strength {strength}")
    print(f"  deeprob  {reached:.12f}  {experiment.state.evaluations:5} evaluations  {seconds:6.2f} s")
    print(f"  SciPy    {best.fun:.12f}  {best.nfev:5} evaluations  {scipy_seconds:6.2f} s")
    print(f"  relative difference {(reached - best.fun) / best.fun:+.2e}")


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    settings = float(words.get("strength", "1e-2")), int(words.get("epochs", "40"))
    compare("spirals", SpiralsConfig(), *settings)
    if "root" in words:
        compare("CIFAR-10", ImageFolderConfig(root=words["root"], limit=5000), *settings)
