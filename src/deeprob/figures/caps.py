"""Limits that keep figures readable and fast to draw, and functions that describe which part a figure shows."""

SIDE = 26.0
"""The largest width and height of a figure in inches. In the file, this is 3,900 pixels."""

RUNS = 12
"""The most runs that are shown side by side in a figure."""

CURVES = 6
"""The default for the most curves on the same axes. Runs that differ only in their seeds share one curve."""

CLASSES = 100
"""The most classes that a figure can show. If there are more, the figure leaves something out."""

UNITS = 128
"""The most units of a layer that are shown. Each piece of a maxout unit counts as one unit."""

LAYERS = 9
"""The most layers of a network that are shown, each on its own axes."""

STAGES = 31
"""The most stages after the input that are shown. A linear part and an activation count as two stages."""

FILM = 2e8
"""The most pixels of a film, summed over all its frames."""

NUMBERS = 10_000_000
"""The most numbers in memory at once: the scores of points, or examples × units × classes for a linear probe."""


def some_of(shown: int, total: int, what: str, which: str = "") -> str:
    """Return the number of things that are shown as a text, such as ``24 of 1,000 classes (the first)``.

    `what` names the things, and `which` describes those that are shown. The text is empty if all are shown.
    """
    if shown >= total:
        return ""
    return f"{shown:,} of {total:,} {what}" + (f" ({which})" if which else "")


def evenly(count: int, most: int) -> list[int]:
    """Return up to `most` of the indices 0 … count − 1, at even distances. The first and the last index are included.

    Example: if `count` is 5 and `most` is 3, the indices are 0, 2 and 4.
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(1, most - 1)) for place in range(most)]


def in_words(*parts: str) -> str:
    """Return the parts as one text, joined by semicolons, without empty and repeated parts."""
    return "; ".join(dict.fromkeys(filter(None, parts)))


def rows_within(height: float, head: float = 0.0) -> int:
    """Return the number of rows that fit into a figure below its head, at least 1.

    `height` is the height of a row, and `head` is the height of the head, both in inches.
    """
    return max(1, int((SIDE - head) / height))
