"""Escape the cells of a table, so that a spreadsheet computes no formulas. Restore the cells when a table is read."""

import re
from collections.abc import Mapping
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Matches the start of a formula after any number of apostrophes. After an apostrophe, a formula is only text."""


def escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with an apostrophe before each formula: ``=1+2`` becomes ``'=1+2``. Numbers are not changed."""
    return {name: f"'{cell}" if _computed(cell) else cell for name, cell in row.items()}


def unescaped(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row without the apostrophes that `escaped` added."""
    return {name: cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for name, cell in row.items()}


def _computed(cell: Any) -> bool:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
