"""Rows of a table that spreadsheets may open: no cell is a formula there, and each is read back as it was."""

import re
from collections.abc import Mapping
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet computes, behind any apostrophes: one before it makes it a text."""


def escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with an apostrophe before each text that a spreadsheet would compute; numbers stay as they are."""
    return {name: f"'{cell}" if _computed(cell) else cell for name, cell in row.items()}


def unescaped(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row without the apostrophes of `escaped`."""
    return {name: cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for name, cell in row.items()}


def _computed(cell: Any) -> bool:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
