"""``optimizer=lbfgs`` on twelve problems, against SciPy's L-BFGS-B and torch's own class.

python tests/benchmarks/lbfgs.py [history=100]

All have the same memory and the same tolerances, 1e-7 for the gradient and 1e-9 for the change. SciPy works in double
precision always, and what it reaches is f*. Of each contestant the table shows by how much it missed that, in double
precision, a ✗ where it is by more than 1e-6·max(1, |f*|), and the evaluations until it stopped by itself.
"""

import math
import statistics
import sys
from collections.abc import Callable

import torch
from lbfgs_problems import Problem, problems
from scipy.optimize import minimize
from torch import nn

from deeprob.optim.quasi_newton import QuasiNewton

ITERATIONS = 5000


def by_scipy(problem: Problem, history: int) -> tuple[float, int]:
    """Return f* and evaluations."""
    loss = problem.loss(torch.float64)

    def value_and_gradient(x):
        place = torch.tensor(x, requires_grad=True)
        value = loss(place)
        value.backward()
        return value.item(), place.grad.numpy()

    options = {"maxcor": history, "ftol": 1e-9, "gtol": 1e-7, "maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS}
    best = minimize(value_and_gradient, problem.start.numpy(), jac=True, method="L-BFGS-B", options=options)
    return best.fun, best.nfev


def by(problem: Problem, build: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> tuple[float, int, str]:
    """Return L in double precision where an optimizer stops, evaluations, and its reason if it has one."""
    loss, place, evaluations = problem.loss(problem.dtype), nn.Parameter(problem.start.to(problem.dtype, copy=True)), 0
    optimizer = build([place])

    def closure():
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        value = loss(place)
        value.backward()
        return value

    optimizer.step(closure)
    reached = problem.loss(torch.float64)(place.detach().double()).item()
    return reached, evaluations, getattr(optimizer, "reason", "")


def main(history: int) -> None:
    torch.set_num_threads(1)
    common = {"max_iter": ITERATIONS, "history_size": history}
    contestants = {
        "deeprob": lambda p: QuasiNewton(p, **common),
        "torch, as shipped": lambda p: torch.optim.LBFGS(p, **common),
        "torch, strong_wolfe": lambda p: torch.optim.LBFGS(p, line_search_fn="strong_wolfe", **common),
    }
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    missed = dict.fromkeys(contestants, 0)
    heads = "".join(f"{name:>24}" for name in contestants)
    print(f"{'problem':26} {'type':8} {'f*':>12} {'SciPy':>6}{heads}  deeprob's reason")
    for problem in problems():
        best, evaluations = by_scipy(problem, history)
        cells, told = "", ""
        for name, build in contestants.items():
            reached, own, reason = by(problem, build)
            miss = not reached - best <= 1e-6 * max(1, abs(best))
            missed[name] += miss
            ratios[name].append(own / evaluations)
            shown = f"{reached - best:+.0e}" if math.isfinite(reached) else "NaN"
            cells += f"{shown:>15} {'✗' if miss else ' '} {own:6}"
            told = told or reason
        kind = str(problem.dtype).removeprefix("torch.")
        print(f"{problem.name:26} {kind:8} {best:12.6g} {evaluations:6}{cells}  {told}")
    for name, values in ratios.items():
        median, most = statistics.median(values), max(values)
        print(
            f"{name}: missed f* on {missed[name]} of 12; evaluations over SciPy's: median {median:.2f}, most {most:.2f}"
        )


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(words.get("history", "100")))
