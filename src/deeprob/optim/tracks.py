"""The lecture's table "What each optimizer tracks", computed by tests of the update rules.

Each test updates a single weight with a short made-up sequence of gradients. The steps of the weight show what the
optimizer remembers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from deeprob.optim.rules import RULES, Scalar, State

LR = 0.1
MEMORY, LONGER_MEMORY = 0.9, 0.99  # after n updates a running mean keeps 0.9ⁿ of a gradient
LARGE = 1000.0
MANY = 200  # after this many updates a running mean has forgotten a gradient: 0.9²⁰⁰·1000² < 0.001


@dataclass(frozen=True, slots=True)
class Watched:
    """An optimizer, and the hyperparameters with which its memory is tested.

    Attributes
    ----------
    rule
        The name of the update rule.
    memories
        The names of the hyperparameters that set how long the optimizer remembers gradients.
    flags
        The values of other hyperparameters, if they differ from their defaults.
    """

    rule: str
    memories: tuple[str, ...] = ()
    flags: Mapping[str, Scalar] = field(default_factory=dict)


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
"""Relatives of the lecture's optimizers, for which the same table makes sense."""


class Tracks(NamedTuple):
    """One row of the table: whether an optimizer has each of the four properties (see `tracks`)."""

    first_moments: bool
    second_moments: bool
    leaky_second_moments: bool
    bias_correction: bool


def tracks_table(optimizers: Mapping[str, Watched] = LECTURE) -> dict[str, Tracks]:
    """Return one row of the table for each optimizer; the default is the six optimizers of the lecture."""
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

    Each column is true if the optimizer passes a test:

    - First moments: after a gradient of 1, the weight also moves when the gradient is 0.
    - Second moments: a gradient that is 1000 times larger gives the same first step.
    - Leaky second moments: in addition, the optimizer forgets a large gradient after many small gradients.
    - Bias correction: a longer memory changes the state after the first gradient, but not the first step.
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
    """Return the names of the state tensors on which the next step of an optimizer depends.

    Only tensors with one entry for each weight are listed.
    """
    rule, hyper = RULES[watched.rule], hyper_with_memory(watched)
    weight, gradient = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    _, state = walk(watched, [1.0, 2.0])

    def next_weight(changed: State) -> float:
        return rule.update(weight, gradient, {**state, **changed}, LR, **hyper)[0].item()

    return [name for name, kept in state.items() if kept.dim() and next_weight({name: 3 * kept}) != next_weight({})]


def walk(watched: Watched, gradients: Iterable[float], memory: float = MEMORY) -> tuple[float, State]:
    """Update a weight with each gradient in turn; return the last step of the weight and the state after this step."""
    rule, hyper = RULES[watched.rule], hyper_with_memory(watched, memory)
    weight, step = torch.zeros(1, dtype=torch.float64), 0.0
    state = rule.init(weight, LR, **hyper)
    for gradient in gradients:
        before = weight
        weight, state = rule.update(before, torch.full_like(before, gradient), state, LR, **hyper)
        step = (weight - before).item()
    return step, state


def hyper_with_memory(watched: Watched, memory: float = MEMORY) -> dict[str, Scalar]:
    """Return an optimizer's hyperparameters, where each of its `memories` has the value `memory`."""
    return {**dict.fromkeys(watched.memories, memory), **watched.flags}


def nearly_equal(a: float, b: float) -> bool:
    """Return whether two steps are equal within 1 %."""
    return math.isclose(a, b, rel_tol=0.01)
