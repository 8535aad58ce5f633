"""Limits that keep figures readable and fast to draw, and texts that say which part of the data a figure shows."""

SIDE = 26.0
"""The largest width and height of a figure in inches. In the file, this is 3,900 pixels."""

RUNS = 12
"""The largest number of runs that are shown side by side in a figure."""

CURVES = 6
"""The default limit for the number of curves on the same axes. Runs that differ only in their seeds share one curve."""

CLASSES = 100
"""The largest number of classes that a figure can show. If there are more, the figure leaves something out."""

UNITS = 128
"""The largest number of units of a layer that are shown. Each piece of a maxout unit counts as one unit."""

LAYERS = 9
"""The largest number of layers that are shown. Each layer has its own axes."""

STAGES = 31
"""The largest number of stages after the input. A linear part and an activation count as two stages."""

FILM = 2e8
"""The largest number of pixels of a film, summed over all its frames."""

NUMBERS = 10_000_000
"""The largest number of values in memory at once.

The values are the scores of points. A linear probe, which is a linear classifier of a layer's units, counts as
examples × units × classes values.
"""


def some_of(shown: int, total: int, what: str, which: str = "") -> str:
    """Return a text such as ``24 of 1,000 classes (the first)``. If everything is shown, the text is empty.

    In this example, `what` is ``classes``, and `which` is ``the first``.
    """
    if shown >= total:
        return ""
    return f"{shown:,} of {total:,} {what}" + (f" ({which})" if which else "")


def evenly(count: int, most: int) -> list[int]:
    """Return at most `most` equally spaced indices from 0 to count − 1.

    Example: if `count` is 5 and `most` is 3, the indices are 0, 2 and 4.
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(1, most - 1)) for place in range(most)]


def in_words(*parts: str) -> str:
    """Join texts with semicolons. Empty texts are left out, and equal texts are written once."""
    return "; ".join(dict.fromkeys(filter(None, parts)))


def rows_within(height: float, head: float = 0.0) -> int:
    """Return the number of rows that fit into the largest figure. It is at least 1.

    `height` is the height of a row, and `head` is the height of the space above all rows, both in inches.
    """
    return max(1, int((SIDE - head) / height))
