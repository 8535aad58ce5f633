"""The cells of a table: which texts are numbers, which are missing, and which are neither but look like numbers."""

import math
import re

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None", "?", "-", "<NA>", "#N/A", "NaT")
)
"""The texts of cells without a value."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_WITH_POINT = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[,.]\d{3}", re.ASCII)
_LIKE_A_NUMBER = re.compile(
    r"'?\(?[-+\u2212]?[$€£¥]?\s*[-+\u2212]?\d[\d.,' \u00a0\u202f_]*([eEdD][+-]?\d+)?\s*[%$€£¥]?\)?'?", re.ASCII
)
_DATE = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?([T ]\d\d?:\d\d.*)?"  # 2026-01-31, 2026-01-31 12:00
    r"|\d\d?[-/.]\d\d?[-/.](\d{4}|\d\d)( \d\d?:\d\d.*)?"  # 31.01.2026, 1/31/26
    r"|\d{4}[-/](0[1-9]|1[0-2])"  # 2026-01
    r"|\d\d?:\d\d(:\d\d(\.\d+)?)?( ?[aApP][mM])?",  # 12:30, 12:30:00
    re.ASCII,
)


def number_in(cell: str, decimal: str = ".") -> float:
    """Return the number in a cell without outer blanks, or NaN if the cell holds no number.

    `decimal` is the decimal sign: ``.`` or ``,``. With a comma, a cell with a point is no number, since the point could
    separate thousands.
    """
    if decimal == ",":
        cell = "x" if "." in cell else cell.replace(",", ".", 1)
    return float(cell) if _NUMBER.fullmatch(cell) else math.nan


def is_number(cell: str) -> bool:
    """Return whether a cell holds a number with a decimal point, or none."""
    return not math.isnan(number_in(cell))


def is_date(cell: str) -> bool:
    """Return whether a cell looks like a date or a time."""
    return _DATE.fullmatch(cell) is not None


def looks_like_number(cell: str) -> bool:
    """Return whether a reader might take a cell for a number: ``1,234``, ``1 000``, ``12 %``, ``$5``, ``1_0``."""
    return _LIKE_A_NUMBER.fullmatch(cell) is not None


def has_decimal_comma(cell: str) -> bool:
    """Return whether a cell is a number with one comma and no point."""
    return _WITH_COMMA.fullmatch(cell) is not None


def has_decimal_point(cell: str) -> bool:
    """Return whether a cell is a number with one point and no comma."""
    return _WITH_POINT.fullmatch(cell) is not None


def may_be_thousands(cell: str) -> bool:
    """Return whether the comma or point in a number may separate thousands, as in ``1,234``."""
    return _THOUSANDS.fullmatch(cell) is not None


def spelled(number: float) -> str:
    """Return a number as a text: ``1`` for 1.0, ``0.5`` for 0.5. Equal numbers have equal texts."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
