"""How much a picture shows at most, so that it stays readable and quick, and the words that say what it leaves out."""

SIDE = 26.0
"""Inches a side: 3,900 pixels of a file."""

RUNS = 12
"""Runs side by side."""

CURVES = 6
"""Groups of runs that differ in seeds alone, as curves on the same axes, unless a figure is told otherwise."""

CLASSES = 100
"""Classes."""

UNITS = 128
"""Units of a layer, the pieces of a maxout unit counted apart."""

LAYERS = 9
"""Layers that have axes each."""

STAGES = 31
"""Stages of a network, linear parts and activations counted apart, after its input."""

FILM = 2e8
"""Pixels of all pictures of a film."""

NUMBERS = 10_000_000
"""Numbers held at once: scores of points, or what a linear probe is fitted to, examples × units × classes."""


def some_of(shown: int, total: int, what: str, which: str = "") -> str:
    """Say how many of what are shown, such as ``24 of 1,000 classes (the first)``; nothing where all are."""
    if shown >= total:
        return ""
    return f"{shown:,} of {total:,} {what}" + (f" ({which})" if which else "")


def evenly(count: int, most: int) -> list[int]:
    """Return up to so many of the places 0 … count − 1 at even distances, the first and the last among them.

    Small: of 5 places 3 are 0, 2 and 4.
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(1, most - 1)) for place in range(most)]


def in_words(*parts: str) -> str:
    """Return what a picture says of the parts that it shows; nothing where it shows all."""
    return "; ".join(dict.fromkeys(filter(None, parts)))


def rows_within(height: float, head: float = 0.0) -> int:
    """Return how many rows of a height fit below a head, in inches; one at least."""
    return max(1, int((SIDE - head) / height))
