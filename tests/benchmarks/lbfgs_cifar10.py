"""Softmax regression on CIFAR-10 by L-BFGS: seconds to the objective that scikit-learn reaches.

python tests/benchmarks/lbfgs_cifar10.py root=FOLDER [strength=1e-3] [tol=1e-4] [threads=1] [rounds=3] [limit=N]
    [max_iter=1000]

`root` holds CIFAR-10 in class folders under train/ and test/. scikit-learn is no dependency of deeprob:
``pip install scikit-learn`` first. Contestants take turns:

- scikit-learn, ``LogisticRegression(solver="lbfgs")`` at a tolerance, of which the objective is taken as the target. It
  is given standardised numbers in float32, in an array made before its clock starts.
- deeprob, ``optimizer=lbfgs``: the loop of a run, from the pictures' bytes on.
- torch.optim.LBFGS, as shipped (steps of fixed length) and with its strong-Wolfe search, in the loop that torch's
  documentation shows, over the same array.

The clock of the last three stops at the first evaluation that finds the target or less. CPU seconds tell more on a
machine that is shared.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup
from deeprob.data import ImageFolderConfig
from deeprob.errors import Diverged
from deeprob.features import RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig, L2Config
from deeprob.optim import CosineConfig, LBFGSConfig
from deeprob.training import TrainerConfig

Outcome = tuple[float, float, int, str, np.ndarray, np.ndarray]
UPDATES = 100  # of 20 iterations each, after which a contestant has failed


def built(words: dict[str, str], optimizer: LBFGSConfig, shared: Shared) -> Setup:
    trainer = TrainerConfig(epochs=UPDATES, device="cpu")
    config = RunConfig(
        dataset=ImageFolderConfig(root=words["root"], limit=int(words["limit"]) if "limit" in words else None),
        features=RawConfig(),
        model=LinearConfig(),
        loss=CrossEntropyConfig(),
        regularizer=L2Config(strength=float(words.get("strength", "1e-3"))),
        optimizer=optimizer,
        scheduler=CosineConfig(),
        trainer=trainer,
    )
    return Setup.build(config.resolved(), shared)


def seconds_to(setup: Setup, target: float) -> tuple[float, float, int, str]:
    """Return seconds, CPU seconds and evaluations to the target; and a word if it was not reached."""
    began, cpu, optimizer = time.perf_counter(), time.process_time(), setup.state.optimizer
    reached: list[tuple[float, float, int]] = []
    step = optimizer.step

    def traced(closure: Callable[[], torch.Tensor]) -> torch.Tensor:
        def evaluated() -> torch.Tensor:
            loss = closure()
            if not reached and loss.item() <= target:
                now = time.perf_counter() - began, time.process_time() - cpu
                reached.append((*now, setup.state.evaluations))
            return loss

        return step(evaluated)

    optimizer.step = traced
    try:
        for _ in setup.train(lambda: bool(reached)):
            pass
    except Diverged:
        return math.nan, math.nan, setup.state.evaluations, "NaN"
    if not reached:
        return math.nan, math.nan, setup.state.evaluations, f"not reached {setup.state.reason}"
    return *reached[0], ""


def plain_seconds_to(x: torch.Tensor, y: torch.Tensor, strength: float, target: float, **arguments: Any) -> Outcome:
    """Return the same of torch.optim.LBFGS in a loop without anything else, and what it learned."""
    layer = nn.Linear(x.shape[1], int(y.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=20, **arguments)
    began, cpu, evaluations = time.perf_counter(), time.process_time(), 0
    reached: list[tuple[float, float, int]] = []

    def closure() -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(x), y) + strength * layer.weight.square().sum()
        if not reached and loss.item() <= target:
            reached.append((time.perf_counter() - began, time.process_time() - cpu, evaluations))
        loss.backward()
        return loss

    for _ in range(UPDATES):
        if reached or not optimizer.step(closure).isfinite():
            break
    weight, bias = (parameter.detach().numpy() for parameter in layer.parameters())
    return (
        (*reached[0], "", weight, bias) if reached else (math.nan, math.nan, evaluations, "not reached", weight, bias)
    )


def main(words: dict[str, str]) -> None:
    torch.set_num_threads(int(words.get("threads", "1")))
    shared = Shared()
    ours = built(words, LBFGSConfig(), shared)
    train, features = ours.splits.train, ours.predictor.features
    print(f"{len(train)} pictures, {torch.get_num_threads()} threads; medians so far, and as multiples of deeprob's")
    x, y = features(train.inputs).flatten(1).numpy(), train.targets.numpy()
    strength = float(words.get("strength", "1e-3"))

    def objective(weight: np.ndarray, bias: np.ndarray) -> float:
        total = 0.0
        for start in range(0, len(x), 5000):
            part = slice(start, start + 5000)
            scores = x[part].astype(np.float64) @ weight.T.astype(np.float64) + bias
            scores -= scores.max(1, keepdims=True)
            total += np.log(np.exp(scores).sum(1)).sum() - scores[np.arange(len(scores)), y[part]].sum()
        return total / len(x) + strength * (weight.astype(np.float64) ** 2).sum()

    def ours_to(target: float) -> Outcome:
        setup = built(words, LBFGSConfig(max_iter=int(words.get("max_iter", "1000"))), shared)
        outcome = seconds_to(setup, target)
        weight, bias = (parameter.detach().numpy() for parameter in setup.predictor.model.parameters())
        return *outcome, weight, bias

    tensors = torch.from_numpy(x), train.targets
    contestants: dict[str, Callable[[float], Outcome]] = {
        "deeprob": ours_to,
        "torch, as shipped": lambda target: plain_seconds_to(*tensors, strength, target),
        "torch, strong_wolfe": lambda target: plain_seconds_to(
            *tensors, strength, target, line_search_fn="strong_wolfe", history_size=100
        ),
    }
    took: dict[str, list[tuple[float, float]]] = {}
    told: dict[str, str] = {}
    for _ in range(int(words.get("rounds", "3"))):
        theirs = LogisticRegression(
            C=1 / (2 * strength * len(x)), tol=float(words.get("tol", "1e-4")), max_iter=5000, solver="lbfgs"
        )
        began, cpu = time.perf_counter(), time.process_time()
        theirs.fit(x, y)
        took.setdefault("scikit-learn", []).append((time.perf_counter() - began, time.process_time() - cpu))
        target = objective(theirs.coef_, theirs.intercept_)
        told["scikit-learn"] = f"{target:.7f}  {theirs.n_iter_[0]:4} iterations"
        show(took, told, "scikit-learn")
        for name, contestant in contestants.items():
            seconds, cpu, evaluations, word, weight, bias = contestant(target)
            took.setdefault(name, []).append((seconds, cpu))
            told[name] = f"{objective(weight, bias):.7f}  {evaluations:4} evaluations  {word}"
            show(took, told, name)


def show(took: dict[str, list[tuple[float, float]]], told: dict[str, str], name: str) -> None:
    """Print a contestant's medians so far, and how they compare with deeprob's once there are any."""
    medians = {name: [statistics.median(column) for column in zip(*times, strict=True)] for name, times in took.items()}
    cells = [f"{value:8.2f}" for value in medians[name]]
    if "deeprob" in medians:
        cells = [
            f"{value:8.2f} ({value / own:.2f})" for value, own in zip(medians[name], medians["deeprob"], strict=True)
        ]
    print(f"{name:20} {cells[0]} s  CPU {cells[1]} s  {told[name]}", flush=True)


if __name__ == "__main__":
    main(dict(word.split("=", 1) for word in sys.argv[1:]))
