"""The claims of a sweep: checked sentences about its results, such as ``train/accuracy rises with model.width``.

METRIC is a column of the sweep's table, and KEY is a swept key. A claim has one of four forms:

- ``METRIC rises with KEY`` or ``METRIC falls with KEY``: for each value of KEY, the median of METRIC over the jobs with
  this value is computed. In the order of the jobs, each median is strictly higher (or lower) than the previous median.
- ``METRIC of KEY=VALUE exceeds KEY=VALUE``: METRIC is higher in every job with the first value than in
  every job with the second value.
- ``METRIC of KEY=VALUE equals KEY=VALUE``: the jobs with the first value and the jobs with the second value form pairs,
  in the order of the jobs. In each pair, METRIC agrees to six digits.
- ``METRIC >= NUMBER`` (or ``<=``, ``>``, ``<``): the median over all jobs satisfies this inequality. With ``for
  KEY=VALUE`` at the end, the median is taken over the jobs with this value.

Several KEY=VALUE may be joined by ``and``. Example: ``params/norm of optimizer=adam and regularizer=l2 exceeds …``.
"""

import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from deeprob.errors import UserError

Row = Mapping[str, Any]
Verdict = bool | None
"""True if a claim holds, False if it fails, None if the sweep has too few jobs to check it."""

_METRIC, _VALUE = r"(?P<metric>\S+)", r"\S+=\S+(?: and \S+=\S+)*"
_TREND = re.compile(rf"{_METRIC} (?P<trend>rises|falls) with (?P<key>\S+)")
_ORDER = re.compile(rf"{_METRIC} of (?P<upper>{_VALUE}) exceeds (?P<lower>{_VALUE})")
_EQUAL = re.compile(rf"{_METRIC} of (?P<one>{_VALUE}) equals (?P<other>{_VALUE})")
_BOUND = re.compile(rf"{_METRIC} (?P<sign>>=|<=|>|<) (?P<bound>\S+)(?: for (?P<chosen>{_VALUE}))?")
EQUAL = 1e-6
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Finding(NamedTuple):
    """The result of checking a claim.

    Attributes
    ----------
    claim
        The text of the claim.
    holds
        See `Verdict`.
    measured
        A description and the value of each number that was compared.
    """

    claim: str
    holds: Verdict
    measured: list[tuple[str, float]]


@dataclass(frozen=True)
class Claim:
    """A claim in parsed form.

    Attributes
    ----------
    text
        The text of the claim.
    metric
        The column of the table that the claim is about.
    keys
        The swept keys in the claim.
    check
        A function that takes the rows of the table, checks the claim, and returns a finding.
    """

    text: str
    metric: str
    keys: tuple[str, ...]
    check: Callable[[Sequence[Row]], Finding]


def read(text: str) -> Claim:
    """Return the claim that a text describes.

    Raises
    ------
    UserError
        If the text has none of the four forms.
    """
    if match := _TREND.fullmatch(text):
        return _trend(text, match["metric"], match["trend"] == "rises", match["key"])
    if match := _ORDER.fullmatch(text):
        return _order(text, match["metric"], match["upper"], match["lower"])
    if match := _EQUAL.fullmatch(text):
        return _equal(text, match["metric"], match["one"], match["other"])
    if (match := _BOUND.fullmatch(text)) and _is_number(match["bound"]):
        return _bound(text, match["metric"], match["sign"], float(match["bound"]), match["chosen"])
    raise UserError(
        f"sweep.claims: {text!r} is not a claim; write METRIC rises with KEY, METRIC falls with KEY, "
        "METRIC of KEY=VALUE exceeds KEY=VALUE, METRIC of KEY=VALUE equals KEY=VALUE, or METRIC >= NUMBER for KEY=VALUE"
    )


def _trend(text: str, metric: str, rises: bool, key: str) -> Claim:
    def check(rows: Sequence[Row]) -> Finding:
        values = list(dict.fromkeys(row[key] for row in rows if key in row and metric in row))
        measured = [(f"{key}={value}", _median(rows, metric, f"{key}={value}")) for value in values]
        goes = operator.lt if rises else operator.gt
        holds = all(goes(one, other) for (_, one), (_, other) in pairwise(measured))
        return Finding(text, holds if len(measured) > 1 else None, measured)

    return Claim(text, metric, (key,), check)


def _order(text: str, metric: str, upper: str, lower: str) -> Claim:
    def check(rows: Sequence[Row]) -> Finding:
        above, below = _numbers(rows, metric, upper), _numbers(rows, metric, lower)
        if not above or not below:
            return Finding(text, None, [])
        measured = [(f"least of {upper}", min(above)), (f"most of {lower}", max(below))]
        return Finding(text, min(above) > max(below), measured)

    return Claim(text, metric, (*keys_in(upper), *keys_in(lower)), check)


def _equal(text: str, metric: str, one: str, other: str) -> Claim:
    def check(rows: Sequence[Row]) -> Finding:
        pairs = list(zip(_numbers(rows, metric, one), _numbers(rows, metric, other), strict=False))
        if not pairs:
            return Finding(text, None, [])
        apart = max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)
        return Finding(text, apart <= EQUAL, [("largest relative difference", apart)])

    return Claim(text, metric, (*keys_in(one), *keys_in(other)), check)


def _bound(text: str, metric: str, sign: str, bound: float, chosen: str | None) -> Claim:
    def check(rows: Sequence[Row]) -> Finding:
        if not _numbers(rows, metric, chosen):
            return Finding(text, None, [])
        median = _median(rows, metric, chosen)
        return Finding(text, _SIGNS[sign](median, bound), [(chosen or "all", median)])

    return Claim(text, metric, keys_in(chosen) if chosen else (), check)


def conditions(chosen: str) -> dict[str, str]:
    """Return a dictionary from key to value for a condition such as ``a=1 and b=2``."""
    return dict(word.split("=", 1) for word in chosen.split(" and "))


def keys_in(chosen: str) -> tuple[str, ...]:
    """Return the keys of a condition such as ``a=1 and b=2``."""
    return tuple(conditions(chosen))


def _numbers(rows: Sequence[Row], metric: str, chosen: str | None) -> list[float]:
    """Return the values of a metric. If the condition `chosen` is given, use only the rows that satisfy it."""
    wanted = conditions(chosen) if chosen else {}
    return [row[metric] for row in rows if metric in row and all(_same(row.get(key), wanted[key]) for key in wanted)]


def _same(value: str | None, wanted: str) -> bool:
    """Return whether two values are the same text or the same number."""
    if value is None or not _is_number(value) or not _is_number(wanted):
        return value == wanted
    return float(value) == float(wanted)


def _median(rows: Sequence[Row], metric: str, chosen: str | None) -> float:
    return statistics.median(_numbers(rows, metric, chosen))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
