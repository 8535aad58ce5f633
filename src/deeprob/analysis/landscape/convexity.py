"""Is it convex? A search for two points between which a function rises above its chord.

f is convex if f(t·x₁ + (1 − t)·x₂) ≤ t·f(x₁) + (1 − t)·f(x₂) for all x₁, x₂ and t in [0, 1]. One violation proves that
it is not; a search that finds none proves nothing, but says in how many places it looked.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

TOLERANCE = 1e-9
"""A value is above its chord if it is by more than this share of the largest magnitude on the line: a mean over some
thousand examples in float64 is right to about 1e-13 of it."""


class Violation(NamedTuple):
    """Where a function on a line is above its chord.

    Attributes
    ----------
    line
        The line's number.
    left, middle, right
        Positions on the line: x₂, the point between, and x₁.
    ends
        f(x₂) and f(x₁).
    t
        How far the point has gone from x₂ to x₁.
    value, chord
        f(t·x₁ + (1 − t)·x₂), and t·f(x₁) + (1 − t)·f(x₂).
    excess
        Their difference, as a share of the largest |f| on the line.
    """

    line: int
    left: float
    middle: float
    right: float
    ends: tuple[float, float]
    t: float
    value: float
    chord: float
    excess: float


def worst_violation(positions: Numbers, values: Numbers) -> Violation | None:
    """Return where lines rise highest above their chords, relative to their largest magnitude; None if none does.

    Every three points of each line are looked at.

    Parameters
    ----------
    positions
        (P,) ascending positions, the same on every line.
    values
        (L, P) values; a line that has one that is not finite is left out.
    """
    finite: npt.NDArray[np.bool_] = np.all(np.isfinite(values), axis=1, keepdims=True)
    size = np.abs(np.where(finite, values, 0.0)).max(axis=1, keepdims=True)
    best: Violation | None = None
    for left in range(len(positions) - 2):
        for right in range(left + 2, len(positions)):
            between = slice(left + 1, right)
            t = (positions[between] - positions[left]) / (positions[right] - positions[left])
            chords = t * values[:, right, None] + (1 - t) * values[:, left, None]
            with np.errstate(invalid="ignore"):
                excess = np.where(finite, values[:, between] - chords, 0.0) / np.where(size > 0, size, 1.0)
            line, place = np.unravel_index(int(excess.argmax()), excess.shape)
            found = float(excess[line, place])
            if found > max(TOLERANCE, best.excess if best else 0.0):
                middle = left + 1 + int(place)
                best = Violation(
                    int(line),
                    float(positions[left]),
                    float(positions[middle]),
                    float(positions[right]),
                    (float(values[line, left]), float(values[line, right])),
                    float(t[place]),
                    float(values[line, middle]),
                    float(chords[line, place]),
                    found,
                )
    return best


def triples(positions: Sequence[float] | Numbers, lines: int) -> int:
    """Return how many inequalities `worst_violation` looks at."""
    count = len(positions)
    return lines * count * (count - 1) * (count - 2) // 6
