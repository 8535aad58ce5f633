"""A small run on which a part is tried, and the functions with which checks say what they expected."""

import contextlib
import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprob.analysis.gradients.differences import Gradient, Loss, Parameters, analytic, check_entries
from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup
from deeprob.randomness import generator

TOLERANCE = 1e-6
"""The largest relative error of a derivative against finite differences in float64."""


class Broken(Exception):
    """A part does not keep a clause of its contract. The message says what was expected, and what came."""


class LeftOut(Exception):
    """A clause does not concern a part. The message says why."""


def expect(holds: bool, expected: str, came: object = "") -> None:
    """Raise `Broken` unless `holds`. `came` is what came in place of the expected."""
    if not holds:
        raise Broken(f"expected {expected}" + (f", came {came}" if str(came) else ""))


def concerns(holds: bool, reason: str) -> None:
    """Raise `LeftOut` unless `holds`: the clause does not concern the part for this reason."""
    if not holds:
        raise LeftOut(reason)


@dataclass(frozen=True)
class PartTrial:
    """A part, and a small run that has the part.

    Attributes
    ----------
    group
        The group of the part, such as ``model``.
    part
        The config of the part.
    config
        The config of the run. Without ``auto``, on the CPU, with one thread.
    folder
        A folder for the files of runs.
    shared
        The data and features that all setups of the trial share.
    """

    group: str
    part: Any
    config: RunConfig
    folder: Path = Path()
    shared: Shared = field(default_factory=Shared)

    def but(self, **changes: Any) -> "PartTrial":
        """Return a trial with other parts, settings of the trainer, or another seed."""
        trainer = {name: changes.pop(name) for name in list(changes) if hasattr(self.config.trainer, name)}
        config = dataclasses.replace(
            self.config, trainer=dataclasses.replace(self.config.trainer, **trainer), **changes
        )
        return dataclasses.replace(self, config=config)

    def setup(self, *, afresh: bool = False, learned: Mapping[str, Tensor] | None = None) -> Setup:
        """Return the run before its first update. `afresh`: data and features are loaded and fitted again."""
        return Setup.build(self.config, Shared() if afresh or learned else self.shared, learned)

    def trained(self, *, state: int = 0, afresh: bool = False) -> Setup:
        """Return the run after its last update. `state` is the state of all generators that are not deeprob's."""
        with generators(state):
            setup = self.setup(afresh=afresh)
            make_updates(setup)
        return setup


@dataclass(frozen=True)
class Clause:
    """One sentence of the contract of a group, and the function that tries whether a part keeps it.

    Attributes
    ----------
    text
        The sentence.
    check
        The function. It raises `Broken` if the part does not keep the clause, and `LeftOut` if the clause does not
        concern the part.
    """

    text: str
    check: Callable[[PartTrial], None]


def clause(clauses: list[Clause], text: str) -> Callable[[Callable[[PartTrial], None]], Callable[[PartTrial], None]]:
    """Return a decorator that adds a clause to a list."""

    def add(check: Callable[[PartTrial], None]) -> Callable[[PartTrial], None]:
        clauses.append(Clause(text, check))
        return check

    return add


def make_updates(setup: Setup, updates: int | None = None) -> None:
    """Train a run to its end, or until it has made `updates` more updates."""
    count = itertools.count(1)
    for record in setup.train(lambda: next(count) == updates):
        if record.epoch_metrics is not None:
            setup.end_epoch(record)


@contextlib.contextmanager
def generators(state: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python inside this context, and restore their states afterwards.

    deeprob draws nothing from them. So what is computed with two states must be the same.
    """
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(state)
    np.random.seed(state)
    random.seed(state)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


def states_of_generators() -> list[Any]:
    """Return the states of the global generators of torch, NumPy and Python."""
    return [torch.get_rng_state(), [*map(str, np.random.get_state())], random.getstate()]


def first_difference(one: Any, other: Any, place: str = "") -> str | None:
    """Return where two values first differ, such as ``model.layer.weight``; None if they are equal, bit for bit.

    The text is empty if the values have no parts.
    """
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return None if alike and torch.equal(one.nan_to_num(), other.nan_to_num()) else place
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{place} ({', '.join(sorted(map(str, one.keys() ^ other.keys())))})".strip()
        pairs = ((f"{place}.{key}".lstrip("."), one[key], other[key]) for key in one)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return place
        names = (f"{place}[{number}]" if place else f"number {number}" for number in range(len(one)))
        pairs = ((name, *pair) for name, *pair in zip(names, one, other, strict=True))
    else:
        return None if type(one) is type(other) and bool(one == other) else place
    found = (first_difference(first, second, where) for where, first, second in pairs)
    return next((where for where in found if where is not None), None)


def state_bits(setup: Setup) -> dict[str, Any]:
    """Return all that later updates of a run depend on: parameters, buffers, optimizer and schedule."""
    state = setup.state.state_dict()
    return {name: state[name] for name in ("model", "optimizer", "schedule", "step")}


def expect_same(one: Any, other: Any, when: str) -> None:
    """Raise `Broken` unless two values are equal, bit for bit. `when` says what the values have in common."""
    where = first_difference(one, other)
    expect(where is None, f"the same bits {when}", f"others in {where}" if where else "others")


def expect_near(one: Tensor, other: Tensor, expected: str) -> None:
    """Raise `Broken` unless two tensors are equal up to rounding."""
    expect(one.shape == other.shape, expected, f"shapes {list(one.shape)} and {list(other.shape)}")
    scale = other.abs().max().clamp(min=1).item() if other.numel() else 1.0
    error = (one - other).abs().max().item() / scale if other.numel() else 0.0
    expect(error < (1e-9 if other.dtype == torch.float64 else 1e-4), expected, f"a difference of {error:.2g}")


def expect_slopes(
    loss: Loss, point: Parameters, gradient: Gradient | None = None, formula: Gradient | None = None
) -> None:
    """Raise `Broken` unless a gradient is that of `loss` at `point`, by differences in float64.

    Parameters
    ----------
    loss, point
        The function, and the values at which its gradient is checked.
    gradient
        The gradient. None: by autograd.
    formula
        The gradient by formulas, which is checked too. None: there is none.
    """
    claim = gradient or (lambda values: analytic(loss, values))
    for entry in check_entries(loss, claim, point, formula, entries=12, tolerance=TOLERANCE):
        if entry.verdict == "wrong":
            name = next(name for name, check in entry.checks.items() if check.verdict == "wrong")
            worst = entry.checks[name]
            expected = f"the slope {worst.numeric:.6g} at {entry.where}, as by differences"
            expect(False, expected, f"{worst.analytic:.6g} by {name}")


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype, such as ``float32``."""
    return str(dtype).removeprefix("torch.")


def normal(shape: Sequence[int], name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return standard normal numbers. The same shape and name always give the same numbers."""
    return torch.randn(*shape, generator=generator(0, name), dtype=torch.float64).to(dtype)
