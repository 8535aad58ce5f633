"""A test of convexity: search for two points between which a function rises above its chord.

f is convex if f(t·x₁ + (1 − t)·x₂) ≤ t·f(x₁) + (1 − t)·f(x₂) for all x₁, x₂ and t in [0, 1]. The right side is the
chord: the straight line between two points of the graph of f. One violation proves that f is not convex. If a search
finds no violation, f may still be non-convex. So the number of checked inequalities is reported too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

TOLERANCE = 1e-9
"""A value counts as above its chord if its `excess` is larger than this number. Rounding errors cause an excess of only
about 1e-13, for a mean over some thousand examples in float64."""


class Violation(NamedTuple):
    """Three points on a line that violate convexity: at the middle point, the function is above its chord.

    Attributes
    ----------
    line
        The number of the line, counted from 0.
    left, middle, right
        The positions of three points on the line: x₂, the middle point t·x₁ + (1 − t)·x₂, and x₁.
    ends
        f(x₂) and f(x₁).
    t
        The position of the middle point relative to x₂ (t = 0) and x₁ (t = 1).
    value, chord
        At the middle point, the value of the function is f(t·x₁ + (1 − t)·x₂). The value of the chord is
        t·f(x₁) + (1 − t)·f(x₂).
    excess
        (`value` − `chord`) / (the largest |f| on the line).
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
    """Check all triples of points on each line, and return the violation with the largest `excess`.

    Return None if there is no violation.

    Parameters
    ----------
    positions
        (P,) ascending positions, the same on every line.
    values
        (L, P) values of f on each line. Lines with infinite or NaN values are ignored.
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
    """Return the number of inequalities that `worst_violation` checks on `lines` lines."""
    count = len(positions)
    return lines * count * (count - 1) * (count - 2) // 6
