"""The clauses of a regularizer."""

import torch
from torch import Tensor

from deeprob.objective import Regularizer
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

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

SHAPES = ((4, 3), (2, 4))
"""The shapes of two weight matrices."""


def _regularizer_of(trial: PartTrial) -> Regularizer:
    """Return the regularizer of a trial."""
    built: Regularizer = trial.part.build()
    expect(isinstance(built, Regularizer), "build() to return a deeprob.parts.Regularizer", type(built).__name__)
    return built


def _matrices(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Return two random weight matrices by name."""
    return {f"layer {number}": normal(shape, f"weight {number}", dtype) for number, shape in enumerate(SHAPES)}


@clause(CLAUSES, "λR(W) is one finite number (0-d) of the dtype of the weights, or None")
def _value(trial: PartTrial) -> None:
    for dtype in (torch.float32, torch.float64):
        found = _regularizer_of(trial)(_matrices(dtype).values())
        if found is None:
            return
        expect(found.shape == (), "a 0-d tensor", list(found.shape))
        expect(found.dtype == dtype, dtype_name(dtype), dtype_name(found.dtype))
        expect(bool(found.isfinite()), "a finite number", found.item())


@clause(CLAUSES, "R(W) does not change the weights")
def _weights_stay(trial: PartTrial) -> None:
    weights = _matrices()
    _regularizer_of(trial)(weights.values())
    expect_same(weights, _matrices(), "of the weights after the call")


@clause(CLAUSES, "Its gradient, by autograd and by a formula, is that of differences in float64")
def _gradient(trial: PartTrial) -> None:
    regularizer, weights = _regularizer_of(trial), _matrices()
    concerns(regularizer(weights.values()) is not None, "there is no penalty")
    concerns(not trial.part.has_proximal_step, "a proximal step takes the place of the gradient")

    def cost(point: dict[str, Tensor]) -> Tensor:
        found = regularizer(point.values())
        assert found is not None
        return found

    def by_formula(point: dict[str, Tensor]) -> dict[str, Tensor]:
        flat = torch.cat([weight.flatten() for weight in point.values()])
        start = torch.ones_like(flat)  # a formula adds to what is there
        regularizer.with_gradient(flat, start)
        parts = torch.split(start - 1, [weight.numel() for weight in point.values()])
        return {name: part.view(point[name].shape) for name, part in zip(point, parts, strict=True)}

    formula = by_formula if regularizer.has_formula else None
    expect_slopes(cost, weights, formula=formula)  # type: ignore[arg-type]
    if regularizer.has_formula:
        flat = torch.cat([weight.flatten() for weight in weights.values()])
        found = regularizer.with_gradient(flat, torch.zeros_like(flat))
        expect(found is not None, "with_gradient() to return λR(W)", None)
        expect_near(found, cost(weights), "the same λR(W) of with_gradient()")  # type: ignore[arg-type]


@clause(
    CLAUSES,
    "shrink() does nothing with lr=0, and has_proximal_step says whether it does anything",
)
def _proximal(trial: PartTrial) -> None:
    regularizer = _regularizer_of(trial)
    weight = _matrices()["layer 0"]
    before = weight.clone()
    shrunk = regularizer.shrink(weight, 0.1)
    expect_same(weight, before, "of the weights that shrink() is given")
    expect(shrunk.shape == weight.shape, f"weights {list(weight.shape)} from shrink()", list(shrunk.shape))
    acts = not torch.equal(shrunk, weight)
    expect(
        acts == trial.part.has_proximal_step,
        f"has_proximal_step={acts}, because shrink() {'acts' if acts else 'does nothing'}",
    )
    expect_near(regularizer.shrink(weight, 0.0), weight, "the same weights with lr=0")
