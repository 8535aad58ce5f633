"""The clauses of an optimizer."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from deeprob.parts.part_trial import (
    Clause,
    PartTrial,
    clause,
    concerns,
    expect,
    expect_same,
    generators,
    normal,
)

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

STEPS = 5


def _parameters_of() -> list[nn.Parameter]:
    """Return two weight matrices and a bias, always with the same numbers."""
    shapes = {"first": (4, 3), "bias": (4,), "last": (2, 4)}
    return [nn.Parameter(normal(shape, name, torch.float32)) for name, shape in shapes.items()]


def _optimizer_of(trial: PartTrial, parameters: list[nn.Parameter]) -> Optimizer:
    """Return the optimizer of a trial for these parameters."""
    built: Optimizer = trial.part.build(iter(parameters))
    expect(isinstance(built, Optimizer), "build() to return a torch.optim.Optimizer", type(built).__name__)
    return built


def _closure_of(parameters: list[nn.Parameter], calls: list[bool] | None = None) -> Callable[[], Any]:
    """Return the closure of a step: it computes L = Σ w²/2 of all parameters and its gradient, and returns L.

    Each call adds to `calls` whether autograd was on.
    """

    def closure() -> Tensor:
        if calls is not None:
            calls.append(torch.is_grad_enabled())
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        return torch.stack([parameter.detach().square().sum() / 2 for parameter in parameters]).sum()

    return closure


def _stepped(trial: PartTrial, parameters: list[nn.Parameter], steps: int = STEPS) -> Optimizer:
    """Make steps with a new optimizer, and return it."""
    optimizer = _optimizer_of(trial, parameters)
    for _ in range(steps):
        optimizer.step(_closure_of(parameters))
    return optimizer


@clause(CLAUSES, "build(params) returns an Optimizer with each parameter in one group, and lr in each group")
def _groups(trial: PartTrial) -> None:
    parameters = _parameters_of()
    optimizer = _optimizer_of(trial, parameters)
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    expect(
        sorted(held) == sorted(map(id, parameters)), "each parameter in one group", f"{len(held)} of {len(parameters)}"
    )
    for group in optimizer.param_groups:
        expect(isinstance(group.get("lr"), float), "a number lr in each group", group.get("lr", "none"))


@clause(CLAUSES, "step(closure) calls the closure, with autograd on")
def _closure(trial: PartTrial) -> None:
    parameters, calls = _parameters_of(), list[bool]()
    _optimizer_of(trial, parameters).step(_closure_of(parameters, calls))
    expect(bool(calls), "a call of the closure, which computes the gradient", "none")
    expect(all(calls), "the closure to be called under torch.enable_grad()", "without")


@clause(CLAUSES, "The first step goes against the gradient, and a few steps lower L(W)")
def _downhill(trial: PartTrial) -> None:
    parameters = _parameters_of()
    before = torch.cat([p.detach().flatten() for p in parameters])
    optimizer = _optimizer_of(trial, parameters)
    optimizer.step(_closure_of(parameters))
    step = torch.cat([p.detach().flatten() for p in parameters]) - before
    expect(
        (step @ before).item() < 0,
        "a step against the gradient",
        f"a slope of {(step @ before).item():.2g} along the step",
    )
    for _ in range(STEPS):
        optimizer.step(_closure_of(parameters))
    now = torch.cat([p.detach().flatten() for p in parameters])
    lower = now.norm() < before.norm()
    expect(
        bool(lower),
        f"a lower L(W) after {STEPS + 1} steps",
        f"{now.square().sum() / 2:.4g} after {before.square().sum() / 2:.4g}",
    )


@clause(CLAUSES, "A step writes into the parameters in place: they are views of tensors that runs of a stack share")
def _in_place(trial: PartTrial) -> None:
    parameters = _parameters_of()
    before = [parameter.data_ptr() for parameter in parameters]
    _stepped(trial, parameters)
    expect([parameter.data_ptr() for parameter in parameters] == before, "the same memory after a step", "other memory")


@clause(CLAUSES, "A parameter without a gradient stays as it is")
def _without_gradient(trial: PartTrial) -> None:
    parameters = _parameters_of()
    still, moving = parameters[0], parameters[1:]
    before = still.detach().clone()
    optimizer = _optimizer_of(trial, parameters)
    for _ in range(STEPS):
        optimizer.step(_closure_of(moving))
    expect_same(still.detach(), before, "of a parameter whose grad is None")


@clause(CLAUSES, "The lr of the groups counts, because the schedule changes it: with lr=0 nothing moves")
def _rate(trial: PartTrial) -> None:
    concerns(trial.part.scheduled, "the schedule does not change its step")
    parameters = _parameters_of()
    optimizer = _optimizer_of(trial, parameters)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step(_closure_of(parameters))
    before = [parameter.detach() for parameter in _parameters_of()]
    expect_same([p.detach() for p in parameters], before, "of the parameters after a step with group['lr'] = 0")


@clause(CLAUSES, "Weight decay acts on weight matrices, not on biases")
def _decay(trial: PartTrial) -> None:
    concerns("weight_decay" in {f.name for f in dataclasses.fields(trial.part)}, "it has no weight_decay")
    strong = dataclasses.replace(trial.part, weight_decay=0.5)
    optimizer = strong.build(parameters := _parameters_of())
    rates = {p.dim(): group.get("weight_decay") for group in optimizer.param_groups for p in group["params"]}
    expect(rates.get(1, 0) == 0, "weight_decay=0 in the group of biases (see deeprob.parts.decay_groups)", rates.get(1))
    expect(bool(parameters) and rates.get(2) != 0, "weight_decay > 0 in the group of weights", rates.get(2))


@clause(CLAUSES, "Its state is complete: a new optimizer that loads state_dict() goes on with the same bits")
def _state(trial: PartTrial) -> None:
    whole, parted = _parameters_of(), _parameters_of()
    first = _stepped(trial, whole)
    saved = copy.deepcopy(first.state_dict())
    with torch.no_grad():
        for parameter, reached in zip(parted, whole, strict=True):
            parameter.copy_(reached)
    second = _optimizer_of(trial, parted)
    second.load_state_dict(saved)
    for optimizer, parameters in ((first, whole), (second, parted)):
        for _ in range(STEPS):
            optimizer.step(_closure_of(parameters))
    expect_same(
        [p.detach() for p in parted],
        [p.detach() for p in whole],
        "of the parameters after load_state_dict(): keep all state in self.state",
    )


@clause(CLAUSES, "Two optimizers make the same steps, whatever the state of the global generators is")
def _generators_stay(trial: PartTrial) -> None:
    found = []
    for seed in (1, 2):
        parameters = _parameters_of()
        with generators(seed):
            _stepped(trial, parameters)
        found.append([parameter.detach() for parameter in parameters])
    expect_same(found[0], found[1], "of the parameters after the same steps")
