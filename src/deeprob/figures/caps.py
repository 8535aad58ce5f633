"""Limits that keep figures readable and quick, and the words that say what a figure leaves out."""

SIDE = 26.0
"""The longest side of a figure in inches: 3,900 pixels of its file."""

RUNS = 12
"""The most runs side by side."""

CURVES = 6
"""The default for the most curves on the same axes. Runs that differ only in seeds share a curve."""

CLASSES = 100
"""The most classes."""

UNITS = 128
"""The most units of a layer. Each piece of a maxout unit counts."""

LAYERS = 9
"""The most layers with their own axes."""

STAGES = 31
"""The most stages of a network after its input. Linear parts and activations count separately."""

FILM = 2e8
"""The most pixels of all frames of a film together."""

NUMBERS = 10_000_000
"""The most numbers held at once: the scores of points, or examples × units × classes for a linear probe."""


def some_of(shown: int, total: int, what: str, which: str = "") -> str:
    """Return how many things are shown, such as ``24 of 1,000 classes (the first)``; empty if all are shown."""
    if shown >= total:
        return ""
    return f"{shown:,} of {total:,} {what}" + (f" ({which})" if which else "")


def evenly(count: int, most: int) -> list[int]:
    """Return up to `most` of the indices 0 … count − 1 at even distances, with the first and the last.

    Example: 3 of 5 indices are 0, 2 and 4.
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(1, most - 1)) for place in range(most)]


def in_words(*parts: str) -> str:
    """Return the different nonempty parts, joined by semicolons."""
    return "; ".join(dict.fromkeys(filter(None, parts)))


def rows_within(height: float, head: float = 0.0) -> int:
    """Return how many rows of a height fit below a head, at least one. Both heights are in inches."""
    return max(1, int((SIDE - head) / height))
