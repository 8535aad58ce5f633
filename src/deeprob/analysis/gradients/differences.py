"""Check the gradient of L(W) against finite differences, entry by entry."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import tee

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.analysis.gradients.slopes import STEP, Ray, Slopes, examine, relative

Parameters = Mapping[str, Tensor]
"""float64 tensors by name."""

Loss = Callable[[Parameters], Tensor]
"""A function that returns L(W) as a 0-d tensor."""

Gradient = Callable[[Parameters], Parameters]
"""A function that returns ∇L(W) by the names of the parameters."""

AROUND, NEARBY = 64, 1e-4
"""If a slope seems wrong, up to `AROUND` nearby points are checked too, at relative distances of at most `NEARBY`."""


@dataclass(frozen=True)
class SlopeCheck:
    """The check of one claimed slope of L against finite differences.

    Attributes
    ----------
    ray
        L on a line through the checked point, and the claimed slope for this line.
    first, best
        The finite differences with the first step h, and the finite differences on which the verdict is based.
    tolerance, verdict
        See `deeprob.analysis.gradients.slopes.examine`.
    """

    ray: Ray
    first: Slopes
    best: Slopes
    tolerance: float
    verdict: str

    @property
    def analytic(self) -> float:
        """The claimed slope."""
        return self.ray.slope

    @property
    def numeric(self) -> float:
        """The central difference."""
        return self.best.central

    @property
    def floor(self) -> float:
        """The smallest divisor of a relative error (see `deeprob.analysis.gradients.slopes.relative`)."""
        return self.best.noise / self.tolerance

    @property
    def error(self) -> float:
        """The relative error of the claimed slope against the central difference."""
        return relative(self.numeric, self.analytic, self.floor)

    @property
    def one_sided_error(self) -> float:
        """The relative error of the lecture's one-sided difference with the first step h."""
        return relative(self.first.right, self.analytic, self.first.noise / self.tolerance)


@dataclass(frozen=True)
class EntryCheck:
    """The checks of the slopes of L if one entry of a tensor moves, or if all entries move together.

    Attributes
    ----------
    tensor, place
        The name of the tensor, and the index of the entry. If all entries move together, each with a random sign, the
        index is None.
    scale
        The factor of the step h: max(1, |w|) for an entry w, 1 for all entries at once.
    autograd, formula
        The checks of the slope by autograd and of the slope by formulas. None: there are no formulas.
    """

    tensor: str
    place: tuple[int, ...] | None
    scale: float
    autograd: SlopeCheck
    formula: SlopeCheck | None = None

    @property
    def checks(self) -> dict[str, SlopeCheck]:
        """The checks by the name of the gradient."""
        return {"autograd": self.autograd} | ({} if self.formula is None else {"formula": self.formula})

    @property
    def verdict(self) -> str:
        """``wrong`` if a slope is wrong, else ``kink`` if a slope is at a kink, else ``ok``."""
        verdicts = {check.verdict for check in self.checks.values()}
        return next(verdict for verdict in ("wrong", "kink", "ok") if verdict in verdicts)

    @property
    def at_kink(self) -> bool:
        """Whether a slope is at a kink. There autograd and the formulas may give different subgradients."""
        return any(check.verdict == "kink" for check in self.checks.values())

    @property
    def worst(self) -> SlopeCheck:
        """If only one slope is wrong, the check of this slope; else the check with the larger error."""
        return max(self.checks.values(), key=lambda check: (check.verdict == "wrong", check.error))

    @property
    def error(self) -> float:
        """The relative error of `worst`."""
        return self.worst.error

    @property
    def apart(self) -> float:
        """The relative difference between the slope by formulas and the slope by autograd; 0 without formulas."""
        if self.formula is None:
            return 0.0
        return relative(self.formula.analytic, self.autograd.analytic, self.autograd.floor)

    @property
    def where(self) -> str:
        """The name of the tensor and the index of the entry, as text."""
        return f"{self.tensor} (all entries at once)" if self.place is None else f"{self.tensor}{list(self.place)}"


def analytic(loss: Loss, parameters: Parameters) -> dict[str, Tensor]:
    """Return the gradient of L at `parameters`, by automatic differentiation."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
    with torch.enable_grad():
        value = loss(leaves)
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def check_entries(
    loss: Loss,
    gradient: Gradient,
    parameters: Parameters,
    formula: Gradient | None = None,
    *,
    entries: int | None = None,
    step: float = STEP,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Iterator[EntryCheck]:
    """Check the entries of a gradient, tensor by tensor, and yield the results.

    Parameters
    ----------
    loss, gradient, parameters
        L(W), the gradient to check (by autograd), and the point at which it is checked.
    formula
        The gradient by formulas, which is checked too. None: there is none.
    entries
        The number of entries to check per tensor; None for all entries. In a tensor with more entries, random entries
        are checked. One more check then moves all entries of the tensor at once. It detects errors in the entries that
        were not drawn.
    step
        The step h for an entry w is `step` · max(1, |w|).
    tolerance
        The largest relative error of a correct slope.
    seed
        The seed of all random choices: the entries, the signs, and the nearby points.
    """
    point = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in parameters.items()}
    claims = [gradient] if formula is None else [gradient, formula]
    value, gradients = loss_at(loss, point), [claim(point) for claim in claims]
    for number, (name, tensor) in enumerate(point.items()):
        stream = randomness.fold(randomness.key(seed, "gradient check"), number)
        for way in ways(stream, name, tensor.numel(), entries):
            place, scale = None, 1.0
            if way.entry is not None:
                place = tuple(int(index) for index in torch.unravel_index(torch.tensor(way.entry), tensor.shape))
                scale = max(1.0, abs(tensor[place].item()))
            along = way.line(loss, point)
            nearby = tee(
                ((other, way.line(loss, other), loss_at(loss, other)) for other in points_around(point, seed)),
                len(claims),
            )
            checks = []
            for claim, here, others in zip(claims, gradients, nearby, strict=True):
                ray = Ray(along, value, way.slope(here))
                around = (Ray(line, height, way.slope(claim(other))) for other, line, height in others)
                checks.append(checked(ray, around, step * scale, tolerance))
            yield EntryCheck(name, place, scale, *checks)


def checked(ray: Ray, around: Iterable[Ray], step: float, tolerance: float) -> SlopeCheck:
    """Check the claimed slope of a ray (see `deeprob.analysis.gradients.slopes.examine`)."""
    first, best, verdict = examine(ray, around, step, tolerance)
    return SlopeCheck(ray, first, best, tolerance, verdict)


def loss_at(loss: Loss, point: Parameters) -> float:
    """Return L at a point, as a float."""
    with torch.no_grad():
        return loss(point).item()


def points_around(point: Parameters, seed: int) -> Iterator[dict[str, Tensor]]:
    """Yield random points near `point`. Every entry differs from `point`.

    If L has a kink at `point`, it has no kink at most of the new points.
    """
    rng = randomness.generator(seed, "points around")
    for _ in range(AROUND):
        yield {
            name: tensor
            + NEARBY * tensor.abs().clamp(min=1) * tensor.new_empty(tensor.shape).uniform_(-1, 1, generator=rng)
            for name, tensor in point.items()
        }


@dataclass(frozen=True)
class Way:
    """A direction in which a slope is checked: one entry of a tensor moves, or all entries move together.

    Attributes
    ----------
    tensor
        The name of the tensor.
    entry
        The index of the entry in the flattened tensor; None for all entries.
    signs
        The direction's components, +1 or −1, one for each entry that moves.
    """

    tensor: str
    entry: int | None
    signs: Tensor

    def line(self, loss: Loss, point: Parameters) -> Callable[[float], float]:
        """Return L on the line through `point` in this direction. The function remembers its values."""
        moved = point[self.tensor].view(-1)[self._spot]
        centre = moved.clone()

        @cache
        def along(distance: float) -> float:
            try:
                moved.copy_(centre + distance * self.signs)
                return loss_at(loss, point)
            finally:
                moved.copy_(centre)

        return along

    def slope(self, gradients: Parameters) -> float:
        """Return the slope in this direction that `gradients` give."""
        return (gradients[self.tensor].flatten()[self._spot] @ self.signs).item()

    @property
    def _spot(self) -> slice:
        """The entries that move, in the flattened tensor."""
        return slice(None) if self.entry is None else slice(self.entry, self.entry + 1)


def ways(stream: Tensor, name: str, count: int, entries: int | None) -> Iterator[Way]:
    """Yield the directions to check for a tensor with `count` entries.

    If `entries` is smaller than `count`, yield one direction for each of `entries` random entries, then one direction
    in which all entries move. If not, yield one direction for every entry.
    """
    sampled = entries is not None and entries < count
    drawn = randomness.permutation(stream, count)[:entries].sort().values if sampled else torch.arange(count)
    for entry in drawn.tolist():
        yield Way(name, entry, torch.ones(1, dtype=torch.float64))
    if sampled:
        yield Way(name, None, 1.0 - 2.0 * (randomness.bits(randomness.fold(stream, 0), count) & 1).double())
