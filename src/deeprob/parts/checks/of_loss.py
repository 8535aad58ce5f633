"""The clauses of a loss."""

import copy
import dataclasses

import torch
from torch import Tensor

from deeprob.objective import Loss, Objective
from deeprob.objective.regularizers import NoRegularizer
from deeprob.parts.part_trial import (
    Clause,
    PartTrial,
    clause,
    concerns,
    dtype_name,
    expect,
    expect_near,
    expect_same,
    expect_slopes,
    normal,
)
from deeprob.training.gradient import stacked

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

EXAMPLES = 9


def _loss_of(trial: PartTrial) -> Loss:
    """Return the loss of a trial without class weights."""
    built: Loss = trial.part.build()
    expect(isinstance(built, Loss), "build() to return a deeprob.parts.Loss", type(built).__name__)
    return built


def _example_of(trial: PartTrial, dtype: torch.dtype = torch.float64, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return random scores (B, C) and targets of the kind that the trial's dataset has."""
    splits = trial.setup().splits
    scores = size * normal((EXAMPLES, splits.outputs), "scores", dtype)
    if splits.classes:
        return scores, torch.arange(EXAMPLES) % splits.outputs
    return scores, size * normal(scores.shape, "targets", dtype)


@clause(CLAUSES, "Losses are one number per example (B,), finite, and of the dtype of the scores")
def _shape(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    for dtype in (torch.float32, torch.float64):
        scores, targets = _example_of(trial, dtype)
        losses = loss(scores, targets)
        expect(losses.shape == (EXAMPLES,), f"losses (B,) = [{EXAMPLES}]", list(losses.shape))
        expect(losses.dtype == dtype, f"losses of {dtype_name(dtype)}", dtype_name(losses.dtype))
        expect(bool(losses.isfinite().all()), "finite losses", losses.tolist())


@clause(CLAUSES, "Losses and slopes of scores up to 1,000 are finite in float32")
def _large_scores(trial: PartTrial) -> None:
    scores, targets = _example_of(trial, torch.float32)
    scores = (1000 * scores / scores.abs().max()).requires_grad_()
    losses = _loss_of(trial)(scores, targets)
    (slopes,) = torch.autograd.grad(losses.sum(), scores)
    for name, values in (("losses", losses), ("slopes", slopes)):
        wrong = int((~values.isfinite()).sum())
        expect(not wrong, f"finite {name} of scores up to 1,000", f"{wrong} NaN or infinite")


@clause(CLAUSES, "The loss of an example does not depend on the rest of the batch")
def _each_by_itself(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    scores, targets = _example_of(trial)
    alone = torch.cat([loss(scores[i : i + 1], targets[i : i + 1]) for i in range(EXAMPLES)])
    expect_near(alone, loss(scores, targets), "the same losses alone and in a batch")


@clause(CLAUSES, "The loss does not change its arguments")
def _arguments_stay(trial: PartTrial) -> None:
    scores, targets = _example_of(trial)
    before = scores.clone(), targets.clone()
    _loss_of(trial)(scores, targets)
    expect_same((scores, targets), before, "of scores and targets after the call")


@clause(CLAUSES, "Its slopes, by autograd and by a formula, are those of differences in float64")
def _gradient(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    scores, targets = _example_of(trial)
    formula = None
    if loss.has_formula:
        formula = lambda point: {"scores": loss.with_slopes(point["scores"].clone(), targets)[1]}  # noqa: E731
        expect_near(loss.with_slopes(scores.clone(), targets)[0], loss(scores, targets), "the losses of losses()")
    expect_slopes(lambda point: loss(point["scores"], targets).sum(), {"scores": scores}, formula=formula)


@clause(CLAUSES, "A better score lowers the loss: a higher one of the right class, or one nearer to the target")
def _right_way(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    scores, targets = _example_of(trial)
    if targets.is_floating_point():
        nearer = scores + 0.5 * (targets - scores)
        expect(bool((loss(nearer, targets) <= loss(scores, targets)).all()), "a smaller loss halfway to the target")
        return
    equal = torch.zeros_like(scores)
    better = equal.scatter(1, targets[:, None], 0.1)
    expect(
        bool((loss(better, targets) < loss(equal, targets)).all()),
        "a higher score of the right class to lower the loss",
    )


@clause(CLAUSES, "Weights of examples multiply their losses")
def _example_weights(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    scores, targets = _example_of(trial)
    weights = torch.arange(EXAMPLES, dtype=torch.float64)
    expect_near(loss(scores, targets, weights), weights * loss(scores, targets), "the weight times the loss")


@clause(CLAUSES, "Class weights multiply the losses of their class")
def _weights(trial: PartTrial) -> None:
    concerns("class_weights" in {f.name for f in dataclasses.fields(trial.part)}, "it has no class_weights")
    scores, targets = _example_of(trial)
    concerns(not targets.is_floating_point(), "the targets are numbers")
    counts = torch.ones(scores.shape[1], dtype=torch.int64)
    given = [1.0 + number for number in range(scores.shape[1])]
    weighted = dataclasses.replace(trial.part, class_weights=given).build(counts)
    factors = torch.tensor(given, dtype=torch.float64) / (sum(given) / len(given))
    expect_near(weighted(scores, targets), _loss_of(trial)(scores, targets) * factors[targets], "w_y times the loss")


@clause(CLAUSES, "The attributes in `numbers` are numbers, and may be one number per run")
def _stack(trial: PartTrial) -> None:
    loss = _loss_of(trial)
    concerns(bool(loss.numbers), "it has no numbers")
    scores, targets = _example_of(trial)
    others = [copy.copy(loss) for _ in range(2)]
    for name in loss.numbers:
        value = getattr(loss, name)
        expect(isinstance(value, int | float), f"{name} to be a number", type(value).__name__)
        setattr(others[1], name, 0.5 * value + 0.1)
    concerns(loss.has_formula, "it has no formula for stacks")
    joined = stacked([Objective(one, NoRegularizer()) for one in others], scores).loss
    both = joined.with_slopes(torch.stack([scores, scores]), torch.stack([targets, targets]))
    for run, one in enumerate(others):
        alone = one.with_slopes(scores.clone(), targets)
        for found, wanted in zip(both, alone, strict=True):
            expect_near(found[run], wanted, f"the loss of run {run} alone and in a stack")
