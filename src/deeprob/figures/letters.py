"""Draw letters that the usual font lacks.

The letters are taken from other fonts on this machine. If no font has a letter, a box replaces the letter.
"""

import contextlib
import dataclasses
import unicodedata
from collections.abc import Iterator, Sequence, Set

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from deeprob.tracking.console import note

BOX = "□"
"""The replacement of a letter that no font on this machine has."""

NAMED = 10
"""The largest number of missing letters that the note lists."""

WEIGHTS = {400, 700}
"""The font weights of texts in figures: normal and bold."""

_families: dict[str, str] = {}
"""The font family that has each letter. The name is empty if no font on this machine has the letter."""

_told: set[str] = set()
"""The letters that the note was about. It is empty until the note is printed."""


def make_legible(figure: Figure) -> None:
    """Add fonts to the texts of a figure, so that all letters can be drawn.

    If no font on this machine has a letter, a box replaces the letter. A note about such letters is printed once per
    process.
    """
    parts = list(_parts(figure))
    missing = {part: letters for part in parts if isinstance(part, Text) and (letters := _missing(part))}
    _look_for(set().union(*missing.values()) - _families.keys())
    nowhere: set[str] = set()
    for text, letters in missing.items():
        others = {_families[letter] for letter in letters} - {""}
        text.set_fontfamily([*text.get_fontfamily(), *sorted(others)])
        weight, lacking = text.get_fontweight(), _missing(text)
        text.set_fontweight("normal")  # bold fonts have fewer letters
        if _missing(text) == lacking:
            text.set_fontweight(weight)
        nowhere |= _missing(text)
    if nowhere:
        _box(parts, nowhere)


def _parts(artist: Artist) -> Iterator[Text | Axis]:
    """Yield all texts of a figure, and each axis that has names at its ticks.

    To save time, numbers at ticks are skipped. They contain no unusual letters.
    """
    if isinstance(artist, Text):
        yield artist
    elif isinstance(artist, Axis):
        yield artist.label
        if isinstance(artist.get_major_locator(), FixedLocator):
            yield artist
            yield from artist.get_majorticklabels()
    else:
        for part in artist.get_children():
            yield from _parts(part)


def _missing(text: Text) -> set[str]:
    """Return the letters of a text that are missing in all fonts of the text."""
    missing = {letter for letter in text.get_text() if not letter.isascii()}
    for family in text.get_fontfamily() if missing else ():
        font = text.get_fontproperties().copy()
        font.set_family(family)
        missing -= _had(missing, findfont(font))
    return missing


def _had(letters: Set[str], path: str) -> set[str]:
    """Return the `letters` that a font file contains. If the file is missing or damaged, return none."""
    try:
        face = FT2Font(path)
    except (OSError, RuntimeError):
        return set()
    return {letter for letter in letters if face.get_char_index(ord(letter))}


def _look_for(letters: Set[str]) -> None:
    """Find a font family on this machine for each letter, and record it in `_families`.

    The family that has most of the letters is used first. If several families have the same number of letters, the
    plainest family is used.
    """
    if not letters:
        return
    for path in set(findSystemFonts()) - {entry.fname for entry in fontManager.ttflist}:
        with contextlib.suppress(Exception):  # add fonts that matplotlib's list lacks; some fail to load
            fontManager.addfont(path)
    plainest: dict[str, FontEntry] = {}
    for entry in sorted(fontManager.ttflist, key=_oddity):
        if "lastresort" not in entry.name.replace(" ", "").lower():  # a font that has only boxes
            plainest.setdefault(entry.name, entry)
    had = {family: _had(letters, entry.fname) for family, entry in plainest.items()}
    left = set(letters)
    _families.update(dict.fromkeys(letters, ""))
    while found := had[family := max(had, key=lambda name: len(had[name] & left))] & left:
        _families.update(dict.fromkeys(found, family))
        _complete(plainest[family])
        left -= found


def _complete(entry: FontEntry) -> None:
    """Register a font also as normal and bold if its family lacks these. This avoids a warning of matplotlib."""
    there = {other.weight for other in fontManager.ttflist if other.name == entry.name}
    for weight in WEIGHTS - there:
        fontManager.ttflist.append(dataclasses.replace(entry, weight=weight))


def _oddity(entry: FontEntry) -> tuple[bool, bool, bool, str]:
    """Return a sort key of a font. Plain fonts come first: upright, without serifs, and neither bold nor light."""
    serifs = "Sans" not in entry.name or "Mono" in entry.name
    return entry.style != "normal", serifs, entry.weight not in (400, "normal"), entry.fname


def _box(parts: Sequence[Text | Axis], letters: Set[str]) -> None:
    """Replace missing letters by boxes. The first call of a process also prints a note."""
    shapeless = {letter for letter in letters if unicodedata.category(letter) == "Cf"}  # such as a joiner
    table = str.maketrans(dict.fromkeys(letters, BOX) | dict.fromkeys(shapeless, ""))
    for part in parts:
        if isinstance(part, Text):
            part.set_text(part.get_text().translate(table))
        else:
            part.set_ticklabels([label.get_text().translate(table) for label in part.get_majorticklabels()])
    if (boxed := sorted(letters - shapeless)) and not _told:
        _told.update(boxed)
        some = ", ".join(boxed[:NAMED]) + (", …" if len(boxed) > NAMED else "")
        note(f"no font here has {some}; figures show boxes in place of such letters (install one, such as a Noto font)")
