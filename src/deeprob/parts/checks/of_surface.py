"""The clauses of a surface."""

import torch

from deeprob.analysis.surfaces import SurfaceConfig, descend, racers_of
from deeprob.parts.part_trial import (
    Clause,
    PartTrial,
    clause,
    dtype_name,
    expect,
    expect_near,
    expect_same,
    expect_slopes,
    normal,
)

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""

GRID = 201


def _surface_of(trial: PartTrial) -> SurfaceConfig:
    """Return the surface of a trial."""
    surface: SurfaceConfig = trial.part
    return surface


def _points_of(trial: PartTrial, count: int = GRID) -> torch.Tensor:
    """Return a grid of points (count, count, 2) within the limits."""
    left, right, bottom, top = _surface_of(trial).limits
    x, y = (torch.linspace(*ends, count, dtype=torch.float64) for ends in ((left, right), (bottom, top)))
    return torch.stack(torch.meshgrid(x, y, indexing="ij"), -1)


@clause(
    CLAUSES,
    "value() returns finite numbers (…) at points (…, 2), and does not change the points",
)
def _shape(trial: PartTrial) -> None:
    surface, points = _surface_of(trial), _points_of(trial)
    before = points.clone()
    found = surface.value(points)
    expect_same(points, before, "of the points after the call")
    expect(found.shape == points.shape[:-1], f"values (…) = {list(points.shape[:-1])}", list(found.shape))
    expect(bool(found.isfinite().all()), "finite values within the limits", "NaN or infinity")
    expect(found.dtype == points.dtype, "float64 of float64 points", dtype_name(found.dtype))
    expect_near(surface.value(points[3, 5]), found[3, 5], "the same value at a point (2,) alone")


@clause(CLAUSES, "Its gradient by autograd is that of differences in float64")
def _gradient(trial: PartTrial) -> None:
    left, right, bottom, top = _surface_of(trial).limits
    low, size = (
        torch.tensor([left, bottom], dtype=torch.float64),
        torch.tensor([right - left, top - bottom], dtype=torch.float64),
    )
    places = low + size * normal((5, 2), "places").sigmoid()
    expect_slopes(lambda point: _surface_of(trial).value(point["point"]).sum(), {"point": places})


@clause(CLAUSES, "minima() are where f is lowest and flat, and one of them lies within the limits")
def _minima(trial: PartTrial) -> None:
    surface = _surface_of(trial)
    lowest, grid = surface.lowest(), surface.value(_points_of(trial))
    margin = 1e-9 * (grid.max() - grid.min()).item()
    below = grid.min().item()
    expect(below >= lowest - margin, f"no point lower than the minimum, f = {lowest:.6g}", f"f = {below:.6g}")
    left, right, bottom, top = surface.limits
    seen = [left <= x <= right and bottom <= y <= top for x, y in surface.minima()]
    expect(any(seen), f"a minimum within the limits {surface.limits}", surface.minima())
    for x, y in surface.minima():
        point = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
        value = surface.value(point)
        expect(
            abs(value.item() - lowest) <= margin, f"f = {lowest:.6g} at each minimum", f"{value.item():.6g} at {(x, y)}"
        )
        (slope,) = torch.autograd.grad(value, point)
        steep = slope.norm().item() * max(right - left, top - bottom) / (grid.max() - grid.min()).item()
        expect(steep < 1e-3, f"a slope of 0 at the minimum {(x, y)}", slope.tolist())


@clause(CLAUSES, "The start lies within the limits, and not at a minimum")
def _start(trial: PartTrial) -> None:
    surface = _surface_of(trial)
    (x, y), (left, right, bottom, top) = surface.start, surface.limits
    expect(left <= x <= right and bottom <= y <= top, f"a start within the limits {surface.limits}", surface.start)
    expect(
        surface.value(torch.tensor([x, y], dtype=torch.float64)).item() > surface.lowest(),
        "a start above the minimum",
        surface.start,
    )


@clause(CLAUSES, "Each optimizer of lrs is known, and ends lower than it starts")
def _race(trial: PartTrial) -> None:
    surface = _surface_of(trial)
    for racer in racers_of(surface.race()):
        descent = descend(surface, racer, surface.start, steps=surface.steps)
        first, last = descent.losses[0], descent.losses[-1]
        expect(
            not descent.diverged and last < first,
            f"a lower f after {surface.steps} updates of {racer.words}",
            f"{last:.4g} after {first:.4g}",
        )
