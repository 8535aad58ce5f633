"""The lecture's table "What each optimizer tracks", measured on the update rules.

A single weight is updated with short invented sequences of gradients. The steps of the weight show what the optimizer
remembers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from deeprob.optim.rules import RULES, State, step

LR = 0.1
MEMORY, LONGER_MEMORY = 0.9, 0.99  # after n updates a running mean keeps 0.9ⁿ of a gradient
LARGE = 1000.0
MANY = 200  # after this many updates a leaky mean has forgotten a gradient: 0.9²⁰⁰·1000² < 0.001


@dataclass(frozen=True, slots=True)
class Watched:
    """An optimizer whose memory is tested.

    Attributes
    ----------
    rule
        The name of the update rule.
    memories
        The hyperparameters that set the length of the optimizer's memory.
    flags
        Further hyperparameters of the rule that differ from their defaults.
    """

    rule: str
    memories: tuple[str, ...] = ()
    flags: Mapping[str, float] = field(default_factory=dict)


LECTURE: Mapping[str, Watched] = {
    "SGD": Watched("sgd"),
    "SGD+Momentum": Watched("sgd", ("momentum",)),
    "Nesterov": Watched("sgd", ("momentum",), {"nesterov": True}),
    "AdaGrad": Watched("adagrad"),
    "RMSProp": Watched("rmsprop", ("alpha",)),
    "Adam": Watched("adam", ("beta1", "beta2")),
}

BETAS = ("beta1", "beta2")
FAMILY: Mapping[str, Watched] = {
    "RMSProp+Momentum": Watched("rmsprop", ("alpha", "momentum")),
    "Adam without bias correction": Watched("adam", BETAS, {"bias_correction": False}),
    "AMSGrad": Watched("adam", BETAS, {"amsgrad": True}),
    "AdamW": Watched("adamw", BETAS, {"weight_decay": 0.0}),  # weight decay would move a weight without a gradient
    "Adamax": Watched("adamax", BETAS),
}
"""Variants of the lecture's optimizers, for the same table."""


class Tracks(NamedTuple):
    """One row of the table: whether an optimizer has each of the four properties (see `tracks`)."""

    first_moments: bool
    second_moments: bool
    leaky_second_moments: bool
    bias_correction: bool


def tracks_table(optimizers: Mapping[str, Watched] = LECTURE) -> dict[str, Tracks]:
    """Return the rows of the table by the names of the optimizers. The default is the lecture's six optimizers."""
    return {name: tracks(watched) for name, watched in optimizers.items()}


def table_text(optimizers: Mapping[str, Watched] = LECTURE) -> str:
    """Return the table as lines of text, with ✓ if a quantity is tracked and ✗ if it is not."""
    headings = [name.replace("_", " ") for name in Tracks._fields]
    width = max(len(name) for name in optimizers)
    lines = ["  ".join([" " * width, *headings])]
    for name, row in tracks_table(optimizers).items():
        marks = (f"{'✓' if yes else '✗':^{len(heading)}}" for yes, heading in zip(row, headings, strict=True))
        lines.append("  ".join([f"{name:{width}}", *marks]))
    return "\n".join(line.rstrip() for line in lines)


def tracks(watched: Watched) -> Tracks:
    """Return the row of the table for one optimizer.

    A test decides each column of the row:

    - First moments: after an update with gradient 1, an update with gradient 0 still moves the weight.
    - Second moments: the first step is equally long for a gradient of 1 and a gradient of 1000.
    - Leaky second moments: the second test is passed, and after many small gradients, the step no longer depends on a
      large first gradient.
    - Bias correction: a longer memory changes the state after the first update, but not the first step.
    """
    after_one, state = walk(watched, [1.0])
    second = nearly_equal(walk(watched, [LARGE])[0], after_one)
    forgets = nearly_equal(walk(watched, [LARGE] + [1.0] * MANY)[0], walk(watched, [1.0] + [1.0] * MANY)[0])
    after_one_longer, state_longer = walk(watched, [1.0], LONGER_MEMORY)
    state_differs = any(not torch.equal(state[name], state_longer[name]) for name in state)
    return Tracks(
        first_moments=walk(watched, [1.0, 0.0])[0] != 0,
        second_moments=second,
        leaky_second_moments=second and forgets,
        bias_correction=state_differs and nearly_equal(after_one, after_one_longer),
    )


def state_of(watched: Watched) -> list[str]:
    """Return the names of the state tensors that change the next step of an optimizer.

    Example: for SGD with momentum, this is the running sum of gradients, ``momentum_buffer``.
    """
    _, state = walk(watched, [1.0, 2.0])

    def next_weight(factors: Mapping[str, float]) -> float:
        weight, gradient = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        changed = {name: factors.get(name, 1.0) * kept for name, kept in state.items()}
        step(RULES[watched.rule], weight, gradient, changed, 3, LR, **hyper_with_memory(watched))
        return weight.item()

    return [name for name in state if next_weight({name: 3.0}) != next_weight({})]


def walk(watched: Watched, gradients: Iterable[float], memory: float = MEMORY) -> tuple[float, State]:
    """Make one update of a weight per gradient. Return the last step, and the state after the last update."""
    rule, hyper = RULES[watched.rule], hyper_with_memory(watched, memory)
    weight, moved = torch.zeros(1, 1, dtype=torch.float64), 0.0
    state = rule.init(weight, LR, **hyper)
    for t, gradient in enumerate(gradients, 1):
        before = weight.item()
        step(rule, weight, torch.full_like(weight, gradient), state, t, LR, **hyper)
        moved = weight.item() - before
    return moved, state


def hyper_with_memory(watched: Watched, memory: float = MEMORY) -> dict[str, float]:
    """Return the hyperparameters of an optimizer. Each hyperparameter in `memories` gets the value `memory`."""
    return {**dict.fromkeys(watched.memories, memory), **watched.flags}


def nearly_equal(a: float, b: float) -> bool:
    """Return whether two steps are equal within 1 %."""
    return math.isclose(a, b, rel_tol=0.01)
