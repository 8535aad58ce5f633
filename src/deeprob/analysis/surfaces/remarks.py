"""Measure whether the lecture's remarks on optimizers hold. Each remark has its own surface and settings."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from deeprob.analysis.surfaces.bowl import BowlConfig
from deeprob.analysis.surfaces.descent import Descent, descend
from deeprob.analysis.surfaces.local_minima import LocalMinimaConfig
from deeprob.analysis.surfaces.racers import racers_of
from deeprob.analysis.surfaces.saddle import SaddleConfig

CONDITIONS = 1, 10, 100


class Remark(NamedTuple):
    """A remark of the lecture, whether the measurement confirms it, and the measured numbers."""

    text: str
    holds: bool
    numbers: str


def local_minimum() -> Iterator[Remark]:
    """Measure whether momentum helps to pass a small local minimum, and yield the remark."""
    surface = LocalMinimaConfig()
    sgd, momentum = path_of(surface, "sgd lr=0.05"), path_of(surface, "sgd lr=0.05 momentum=0.9")
    ends = {"sgd": sgd, "momentum": momentum}
    yield Remark(
        "sgd ends in the small local minimum, momentum passes it",
        sgd.distance([(-1, 0)]) < 0.05 and momentum.distance(surface.minima()) < 0.05,
        listed({name: f"x = {path.points[-1, 0]:.3f}, f = {path.losses[-1]:.3f}" for name, path in ends.items()}),
    )


def saddle() -> Iterator[Remark]:
    """Measure which optimizers leave a saddle, and yield the remark.

    The ridge is at y = 0, and the minima are at y = ±1. An optimizer has left the saddle when |y| > 0.5.
    """
    surface = SaddleConfig()
    words = {"sgd": "sgd lr=0.2", "momentum": "sgd lr=0.2 momentum=0.9"}
    words |= {"rmsprop": "rmsprop lr=0.01", "adam": "adam lr=0.05"}
    left = {name: first(abs(path_of(surface, word).points[:, 1]) > 0.5) for name, word in words.items()}
    yield Remark(
        f"momentum, rmsprop and adam leave a saddle where sgd stays for {surface.steps} updates",
        left["sgd"] is None and all(left[name] is not None for name in words if name != "sgd"),
        listed({name: "stays" if at is None else f"left after {at} updates" for name, at in left.items()}),
    )


def zigzag() -> Iterator[Remark]:
    """Measure optimizers in a bowl, and yield two remarks: on zigzags, and on the cost of poor conditioning.

    For a quadratic with curvatures 1 and κ, the best learning rate of gradient descent is 2/(1 + κ). The best settings
    of momentum are α = (2/(1 + √κ))² and ρ = ((√κ − 1)/(√κ + 1))² (Polyak, "Some methods of speeding up the convergence
    of iteration methods", 1964).
    """
    surface = BowlConfig()
    words = {"sgd": "sgd lr=0.045", "momentum": "sgd lr=0.02 momentum=0.9", "adam": "adam lr=0.15"}
    crossings = {name: crossed(path_of(surface, word), surface) for name, word in words.items()}
    yield Remark(
        "in a bowl sgd zigzags across the floor, momentum and adam less",
        crossings["sgd"] > 0.9 and max(crossings["momentum"], crossings["adam"]) < 0.6,
        listed({name: f"{share:.0%} of updates cross" for name, share in crossings.items()}),
    )
    costs: dict[str, list[int]] = {"sgd": [], "momentum": []}
    for condition in CONDITIONS:
        bowl, root = BowlConfig(condition=condition), math.sqrt(condition)
        best = f"sgd lr={4 / (1 + root) ** 2} momentum={((root - 1) / (root + 1)) ** 2}"
        for name, word in {"sgd": f"sgd lr={2 / (1 + condition)}", "momentum": best}.items():
            costs[name].append(until_thousandth(path_of(bowl, word, 300)))
    poor = f"updates to f/1000 under conditioning {', '.join(map(str, CONDITIONS))}"
    yield Remark(
        "poor conditioning slows sgd at its best learning rate, momentum at its best less",
        costs["sgd"] == sorted(costs["sgd"]) and costs["momentum"][-1] < costs["sgd"][-1] / 2,
        f"{poor}: " + listed({name: ", ".join(map(str, cost)) for name, cost in costs.items()}),
    )


def adagrad_slows() -> Iterator[Remark]:
    """Measure AdaGrad, and yield two remarks: on its steps in steep and flat directions, and on its steps over time.

    For the second remark, noise is added to the gradients, as mini-batches would do. So the gradients never vanish.
    After t updates, AdaGrad's sum of squared gradients is proportional to t, so its steps are proportional to 1/√t.
    RMSProp's mean of squared gradients is stable after some hundred updates, so its steps keep their size.
    """
    surface = BowlConfig()
    pace = {name: uneven(path_of(surface, word, 10), surface) for name, word in
            {"sgd": "sgd lr=0.001", "adagrad": "adagrad lr=0.1"}.items()}  # fmt: skip
    yield Remark(
        "adagrad damps the steep direction and speeds the flat one",
        abs(pace["sgd"] - 1) < 0.01 and pace["adagrad"] > 3,
        listed({name: f"{ratio:.1f} times as far along the flat one for its gradient" for name, ratio in pace.items()}),
    )
    words = {"adagrad": "adagrad lr=0.1", "rmsprop": "rmsprop lr=0.01"}
    falls = {name: exponent(path_of(surface, word, 1500, noise=100.0), 300) for name, word in words.items()}
    yield Remark(
        "adagrad slows over many steps, rmsprop does not",
        -0.65 < falls["adagrad"] < -0.35 and abs(falls["rmsprop"]) < 0.15,
        "from update 300 to 1500 " + listed({name: f"steps go as t^{power:.2f}" for name, power in falls.items()}),
    )


REMARKS: Mapping[str, list[Callable[[], Iterator[Remark]]]] = {
    "local_minima": [local_minimum],
    "saddle": [saddle],
    "bowl": [zigzag, adagrad_slows],
}
"""The functions that yield the remarks on each surface."""


def remarks_on(names: list[str]) -> Iterator[Remark]:
    """Measure and yield the remarks on some surfaces."""
    for name in names:
        for remark in REMARKS.get(name, []):
            yield from remark()


# ---------------------------------------------------------------- measurements of a path


def path_of(
    surface: BowlConfig | LocalMinimaConfig | SaddleConfig, words: str, steps: int = 0, noise: float = 0.0
) -> Descent:
    """Run the optimizer that `words` describe from the start of a surface, and return its path.

    If `steps` is 0, the number of updates is the default of the surface.
    """
    (racer,) = racers_of([words])
    return descend(surface, racer, surface.start, steps=steps or surface.steps, noise=noise)


def first(reached: np.ndarray) -> int | None:
    """Return the index of the first True in `reached` (n,); None if there is none."""
    return int(reached.argmax()) if reached.any() else None


def until_thousandth(path: Descent) -> int:
    """Return the number of updates until f is below a thousandth of its start value.

    If f never falls below this value, return the number of all updates.
    """
    at = first(path.losses < path.losses[0] / 1000)
    return path.updates if at is None else at


def crossed(path: Descent, bowl: BowlConfig) -> float:
    """Return the share of updates that cross the floor y = 0, counted until f is a thousandth of its start value."""
    steep = bowl.condition * path.points[: until_thousandth(path) + 1, 1]
    return float((steep[1:] * steep[:-1] < 0).mean())


def uneven(path: Descent, bowl: BowlConfig) -> float:
    """Return (effective learning rate along x) / (effective learning rate along y). The bowl is flat along x.

    The effective learning rate is Σ|Δx|/Σ|∂f/∂x| along x, and Σ|Δy|/Σ|∂f/∂y| along y. The sums are over all updates.
    """
    moves = np.abs(np.diff(path.points, axis=0)).sum(0)
    slopes = np.abs(path.points[:-1] * [1.0, bowl.condition]).sum(0)
    flat, steep = moves / slopes
    return float(flat / steep)


def exponent(path: Descent, begin: int) -> float:
    """Fit a power law c·t^p to the lengths of the updates t > `begin`, and return p.

    The fit minimizes the squared errors of the logarithms.
    """
    lengths = path.step_lengths[begin:]
    times = np.arange(begin + 1, path.updates + 1)
    slope, _ = np.polyfit(np.log(times), np.log(lengths), 1)
    return float(slope)


def listed(numbers: Mapping[str, str]) -> str:
    """Join names and numbers to one line, such as ``sgd 18; adam 40``."""
    return "; ".join(f"{name} {number}" for name, number in numbers.items())
