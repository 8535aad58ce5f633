"""The dialect of a text file with a table: the sign between cells, the decimal sign, comments, and the header."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deeprob.data.cells import (
    MISSING,
    has_decimal_comma,
    has_decimal_point,
    looks_like_number,
    may_be_thousands,
    number_in,
)
from deeprob.errors import UserError

DELIMITERS = {"tab": "\t", "semicolon": ";", "comma": ",", "pipe": "|", "colon": ":", "space": " "}
"""The signs between cells. ``space`` stands for runs of spaces and tabs."""
DECIMALS = {"point": ".", "comma": ","}
COMMENTS = {"none": "", "hash": "#", "percent": "%"}

_STRONG = ("\t", ";", ",", "|")  # the other signs are often part of cells
_CELLS, _ROWS = 20_000, 2000  # cells and rows that are looked at


@dataclass(frozen=True)
class Asked:
    """What the user says about a text file; None where it is to be found out.

    Attributes
    ----------
    delimiter, decimal, comment
        The signs. An empty `comment` means that there are no comments.
    header
        Whether the first line holds the names of the columns.
    encoding
        The name of the encoding.
    least
        The least number of columns that a table has. New inputs of a run may be a single column.
    """

    delimiter: str | None = None
    decimal: str | None = None
    comment: str | None = None
    header: bool | None = None
    encoding: str | None = None
    least: int = 2


@dataclass(frozen=True)
class Dialect:
    """How a text file holds a table.

    Attributes
    ----------
    delimiter, decimal
        The sign between cells, and the decimal sign. A space as `delimiter` stands for runs of blanks.
    comment
        The sign that begins a comment line; empty if there are no comments.
    names
        The names of the columns. If the file has no header, they are ``0``, ``1``, ….
    header
        Whether the first row holds the names.
    named_by_comment
        Whether the last comment line before the data holds the names.
    """

    delimiter: str
    decimal: str = "."
    comment: str = ""
    names: tuple[str, ...] = ()
    header: bool = False
    named_by_comment: bool = False

    def told(self) -> tuple[str, ...]:
        """Return words that say what was found out."""
        words = [f"{word_for(self.delimiter)} between cells"]
        if self.decimal == ",":
            words.append("decimal commas")
        if self.comment:
            words.append(f"comment lines begin with {self.comment}")
        names = "first line has the names" if self.header else "no line has names: columns 0, 1, …"
        words.append("names from the last comment line" if self.named_by_comment else names)
        return tuple(words)


def word_for(delimiter: str) -> str:
    """Return the word for a delimiter, such as ``comma``."""
    return next(word for word, sign in DELIMITERS.items() if sign == delimiter)


def text_rows(text: str, delimiter: str, comment: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the line number at which each row ends, and the cells of the row without outer blanks.

    Blank lines, comment lines and a first line such as ``sep=;`` are left out.

    Raises
    ------
    csv.Error
        If a cell in quotes is malformed.
    """
    count, begins = 0, True

    def lines() -> Iterator[str]:
        nonlocal count, begins
        for line in text_lines(text):
            count += 1
            plain = line.strip()
            if begins and (not plain or (comment and plain.startswith(comment)) or (count == 1 and sep_line(plain))):
                continue
            begins = False
            yield line.replace("\t", " ").strip() + "\n" if delimiter == " " else line

    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            begins = True
            yield count, [cell.strip() for cell in row]
    except csv.Error as error:
        raise csv.Error(f"line {count}: not CSV ({error})") from error


def text_lines(text: str) -> Iterator[str]:
    r"""Yield the lines of a text. Lines end with ``\n``, ``\r\n`` or ``\r``, which become ``\n``."""
    start = 0
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def sep_line(line: str) -> str:
    """Return the delimiter that a line such as ``sep=;`` gives, as Excel writes it; empty for other lines."""
    plain = line.strip("\r\n")
    return plain[4] if len(plain) == 5 and plain[:4].lower() == "sep=" and plain[4] in DELIMITERS.values() else ""


def find_dialect(source: str, sample: str, asked: Asked) -> Dialect:
    """Find out the dialect of a file from its first lines.

    Parameters
    ----------
    source
        The path of the file, for messages.
    sample
        The first lines of the file. All lines are whole.
    asked
        What the user says.

    Raises
    ------
    UserError
        If two readings are possible. The message names the key that decides.
    """
    comment = _comment(sample) if asked.comment is None else asked.comment
    delimiter = asked.delimiter or sep_line(next(text_lines(sample), "")) or _delimiter(sample, comment)
    rows = _some_rows(sample, delimiter, comment)
    if not rows:
        raise UserError(f"{source}: empty; expected a table")
    if len(rows[0]) < asked.least:
        raise UserError(
            f"{source}: only one column; a table needs two or more (dataset.delimiter sets the sign between them)"
        )
    _check_comments(source, sample, delimiter, comment, len(rows[0]), asked)
    decimal = asked.decimal or _decimal(source, rows, delimiter)
    found = Dialect(delimiter, decimal, comment)
    if asked.header is None and (names := _named_by_comment(sample, found, rows)):
        return replace(found, names=names, named_by_comment=True)
    header = _has_header(source, rows, decimal) if asked.header is None else asked.header
    names = tuple(rows[0]) if header else tuple(str(place) for place in range(len(rows[0])))
    return replace(found, names=names, header=header)


def number_columns(sample: str, dialect: Dialect) -> list[bool]:
    """Return for each column whether all its cells in the first lines of a file are numbers or missing."""
    rows = _some_rows(sample, dialect.delimiter, dialect.comment)[dialect.header :]
    return [
        all(cell in MISSING or not np.isnan(number_in(cell, dialect.decimal)) for cell in column)
        for column in zip(*(row for row in rows if len(row) == len(dialect.names)), strict=True)
    ] or [True] * len(dialect.names)


def _some_rows(sample: str, delimiter: str, comment: str) -> list[list[str]]:
    """Return the first rows; those before the first malformed cell if there is one."""
    rows: list[list[str]] = []
    cells = 0
    try:
        for _, row in text_rows(sample, delimiter, comment):
            rows.append(row)
            cells += len(row)
            if len(rows) >= (20 if cells > _CELLS else _ROWS):
                break
    except csv.Error:
        pass
    return rows


def _comment(sample: str) -> str:
    """Return ``#`` if the first lines begin with it, or some others; but not if most others do."""
    begin = [line.lstrip().startswith("#") for line in text_lines(sample) if line.strip()]
    others = begin[begin.index(False) :] if False in begin else []
    return "#" if any(begin) and 2 * sum(others) < len(others) else ""


def _delimiter(sample: str, comment: str) -> str:
    """Return the sign under which all rows have the same number of cells, two or more."""
    found = {sign: _some_rows(sample, sign, comment) for sign in DELIMITERS.values()}
    even = {
        sign: rows
        for sign, rows in found.items()
        if rows and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)
    }

    def numeric(sign: str) -> float:
        """Return the share of cells that are numbers."""
        cells = [cell for row in even[sign] for cell in row]
        whole = (number_in(cell) == number_in(cell) or (sign != "," and has_decimal_comma(cell)) for cell in cells)
        return sum(whole) / len(cells)

    strong = [sign for sign in _STRONG if sign in even]
    best = max(strong, key=numeric, default="")
    if best == "," and " " in even and numeric(" ") > numeric(","):  # 1,5 2,5 a
        return " "
    if best or even:
        return best or next(iter(even))

    def sameness(sign: str) -> tuple[int, int]:
        """Return how many rows have the most frequent number of cells, and how many lines have the sign."""
        counts = Counter(len(row) for row in found[sign] if len(row) > 1)
        return max(counts.values(), default=0), sum(sign in line for line in text_lines(sample))

    return max(DELIMITERS.values(), key=sameness)


def _decimal(source: str, rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """Return the decimal sign of the numbers in some rows.

    Raises
    ------
    UserError
        If the signs may separate thousands. Commas may if all are before three digits. Points may if the sign between
        cells is no comma, and all points of a column are before three digits, and it also has numbers below 1,000
        without a point, as in 540 and 1.210.
    """
    for column in zip(*(row for row in rows if len(row) == len(rows[-1])), strict=True) if delimiter != "," else ():
        points = {cell for cell in column if has_decimal_point(cell)}
        whole = any(cell.isdecimal() and len(cell) <= 3 for cell in column)
        if whole and points and all(may_be_thousands(cell) for cell in points):
            cell = min(points)
            raise UserError(
                f"{source}: {cell} may be {cell} or {cell.replace('.', '')}; set dataset.decimal=point for the first, "
                "or take the points out for the second"
            )
    commas = {cell for row in rows for cell in row if has_decimal_comma(cell)}
    if not commas or any(has_decimal_point(cell) for row in rows for cell in row):
        return "."
    if all(may_be_thousands(cell) for cell in commas):
        cell = min(commas)
        raise UserError(
            f"{source}: {cell} may be {cell.replace(',', '')} or {cell.replace(',', '.')}; set dataset.decimal=comma "
            "for the second, or take the commas out for the first"
        )
    return ","


def _check_comments(source: str, sample: str, delimiter: str, comment: str, cells: int, asked: Asked) -> None:
    """Raise a `UserError` if a comment line between rows may as well be a row."""
    if not comment or asked.comment is not None:
        return
    begun = False
    for number, line in enumerate(text_lines(sample), 1):
        plain = line.strip()
        if not plain.startswith(comment):
            begun = begun or bool(plain)
        elif begun and len(next(iter(_some_rows(plain, delimiter, "")), [])) == cells:
            raise UserError(
                f"{source}, line {number}: {plain[:40]!r} may be a comment or a row; set dataset.comment=hash or "
                "dataset.comment=none"
            )


def _named_by_comment(sample: str, dialect: Dialect, rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names in the last comment line before the data, if it has one for each column and no number."""
    last = ""
    for line in text_lines(sample):
        plain = line.strip()
        if dialect.comment and plain.startswith(dialect.comment):
            last = plain.lstrip(dialect.comment)
        elif plain:
            break
    first, *_ = [*_some_rows(last, dialect.delimiter, ""), []]
    plain_names = [name for name in first if name and np.isnan(number_in(name, dialect.decimal))]
    fits = 1 < len(rows[0]) == len(plain_names) == len(first) == len(set(first))
    if fits and _numeric_row(rows[0], dialect.decimal):
        return tuple(first)
    return ()


def _numeric_row(row: Sequence[str], decimal: str) -> bool:
    return any(not np.isnan(number_in(cell, decimal)) for cell in row)


def _like(number: float, others: npt.NDArray[np.float64]) -> bool:
    """Return whether a number is near other numbers (n,), some of which may be NaN: 1 is like 2 to 5, 2019 is not."""
    low, high = np.nanmin(others), np.nanmax(others)
    if not np.isfinite([number, low, high]).all():
        return True
    margin = max(high - low, abs(high))
    return bool(low - margin <= number <= high + margin)


def _has_header(source: str, rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Return whether the first row holds the names of the columns.

    A text over a column of numbers tells a header. A text that occurs again in its column tells that there is none. A
    text that occurs once tells a header too, if the other texts of its column occur several times or are mostly
    numbers, and if the first row has no number that is like those of its column.

    Raises
    ------
    UserError
        If both readings are possible.
    """
    first, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not body:
        return not _numeric_row(first, decimal)
    over_numbers = again = alone = number = within = unclear = False
    for cell, column in zip(first, zip(*body, strict=True), strict=True):
        texts = [text for text in column if text not in MISSING]
        values = [number_in(text, decimal) for text in texts]
        numbers = len(values) - int(np.isnan(values).sum())
        if cell in MISSING:
            continue
        if not np.isnan(own := number_in(cell, decimal)):
            within |= numbers > 0 and _like(own, np.array(values))
            number |= numbers > 0
        elif texts and numbers == len(texts):
            # 1,234 over numbers is a number with a separator, not a name
            unclear |= looks_like_number(cell)
            over_numbers |= not looks_like_number(cell)
        elif cell in texts:
            again = True
        elif len(set(texts)) < len(texts) or 0 < len(texts) <= 2 * numbers:
            alone = True
    doubt = f"{source}: the first line may hold names or data; set dataset.header=true or false"
    if (over_numbers and again) or (alone and within and not over_numbers) or unclear:
        raise UserError(doubt)
    if over_numbers or (alone and not again):
        return True
    if again or number:
        return False
    raise UserError(doubt)
