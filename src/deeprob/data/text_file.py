"""Read a table from a text file, such as CSV: pyarrow parses it, and what pyarrow would read otherwise goes by csv."""

import codecs
import csv
import functools
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deeprob.data.cells import MISSING, spelled
from deeprob.data.columns import Codes, Column, Numbers, Table, column_of_texts
from deeprob.data.dialect import Asked, Dialect, find_dialect, number_columns, sep_line, text_lines, text_rows, word_for
from deeprob.data.frames import values_of
from deeprob.errors import UserError

SAMPLE, _LINES, _LONGEST = 2**18, 20, 2**26  # bytes whose lines tell the dialect; more if they are fewer lines
_CHUNK = 2**20  # bytes that are parsed together: small beside the numbers, large beside the cost of a call
_BLOCK = 2**19  # bytes that one thread parses
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufffe]")
_UTF_8 = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class _OtherReading(Exception):
    """pyarrow and the module csv may read this file differently, or it is malformed."""


def read_text_file(path: Path, asked: Asked) -> Table:
    """Read the table in a text file.

    Columns whose cells are all numbers or missing become float64. All others become codes.

    Raises
    ------
    UserError
        If the file is no table, or if it can be read in two ways.
    """
    with path.open("rb") as file:
        head = file.read(SAMPLE)
        while len(head) < _LONGEST and head.count(b"\n") < _LINES and (more := file.read(len(head))):
            head += more
        whole = not file.read(1)
        encoding = _encoding(path, head, asked.encoding)
        dialect = None
        if encoding.startswith("utf-8"):
            cut = head if whole else head[: head.rfind(b"\n") + 1]
            with suppress(UnicodeError):  # after the first lines: then the encoding is another one
                sample = cut.decode("utf-8-sig")
                _check_text(path, sample)
                dialect = find_dialect(str(path), sample, asked)
                with suppress(_OtherReading):
                    columns, count = _fast(file, dialect, sample)
                    return _table(path, dialect, columns, "utf-8", count)
    text, encoding = _decoded(path, encoding, asked.encoding)
    dialect = find_dialect(str(path), text[: _line_end(text, SAMPLE)], asked)
    columns, count = _slow(path, text, dialect)
    return _table(path, dialect, columns, encoding, count)


def _encoding(path: Path, head: bytes, asked: str | None) -> str:
    """Return the encoding that the user gives, or that a byte-order mark tells; else UTF-8."""
    if asked is not None:
        try:
            return codecs.lookup(asked).name
        except LookupError as error:
            raise UserError(
                f"dataset.encoding={asked}: no such encoding; known are utf-8, utf-16, cp1252, …"
            ) from error
    return next((name for mark, name in _BOMS.items() if head.startswith(mark)), "utf-8")


_OTHER_FILES = (
    (b"PK\x03\x04", "a workbook or another zip archive", "save the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old workbook of Excel", "save the table as CSV"),
    (b"\x1f\x8b", "a compressed file", "decompress it first"),
)
"""First bytes of files that are often taken for text, what they are, and what to do."""


def _decoded(path: Path, encoding: str, asked: str | None) -> tuple[str, str]:
    """Return the whole text of a file, and its encoding. Text that is no UTF-8 is read as cp1252."""
    content = path.read_bytes()
    for magic, kind, advice in _OTHER_FILES:
        if content.startswith(magic):
            raise UserError(f"{path}: {kind}; {advice}")
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (LookupError, UnicodeError) as error:
        if asked is not None or encoding != "utf-8":
            raise UserError(
                f"{path}: not a text file in {encoding}; set dataset.encoding, or save it as UTF-8"
            ) from error
        try:
            text, encoding = content.decode("cp1252"), "cp1252"
        except UnicodeError:
            raise _no_text(path) from error
        if _UTF_8.search(content):  # one invalid byte in a text in UTF-8
            raise _no_text(path) from error
    _check_text(path, text)
    return text, encoding


def _check_text(path: Path, text: str) -> None:
    if _NOT_TEXT.search(text):
        raise _no_text(path)


def _no_text(path: Path) -> UserError:
    return UserError(f"{path}: not a text file in UTF-8; save the table as CSV in UTF-8, or set dataset.encoding")


def _line_end(text: str, start: int) -> int:
    """Return the end of the line at the position `start`."""
    return text.find("\n", start) + 1 or len(text)


def _table(path: Path, dialect: Dialect, columns: list[Column], encoding: str, count: int) -> Table:
    """Return the table of the columns, without rows that have no value at all."""
    notes = list(dialect.told())
    if encoding != "utf-8":
        notes.append(f"read as {encoding}")
    if count == 0:
        return Table(str(path), dialect.names, tuple(columns), _named(dialect), tuple(notes))
    empty = np.logical_and.reduce([column.missing for column in columns])
    kept: Any = None
    if empty.any():
        kept = np.flatnonzero(~empty)
        columns = [column.take(kept) for column in columns]
        notes.append(f"{int(empty.sum())} row(s) without any value left out")
    return Table(
        str(path),
        dialect.names,
        tuple(columns),
        _named(dialect),
        tuple(notes),
        functools.partial(locate, path, dialect, encoding, kept),
    )


def _named(dialect: Dialect) -> bool:
    return dialect.header or dialect.named_by_comment


def locate(path: Path, dialect: Dialect, encoding: str, kept: Any, row: int) -> tuple[str, Sequence[str]]:
    """Return the place of a row, such as ``line 7``, and its cells. `kept` are the rows of the file that are kept."""
    place = row if kept is None else int(kept[row])
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        rows = text_rows(file.read(), dialect.delimiter, dialect.comment)
        number, cells = next(itertools.islice(rows, place + dialect.header, None))
    return f"line {number}", cells


class _Columns:
    """The columns of a file while its chunks are read.

    Numbers are written into one array for all columns. Its size is an estimate; memory that is not written to costs
    nothing.
    """

    def __init__(self, numeric: Sequence[bool], rows: int) -> None:
        self.count = 0
        self.place = {column: place for place, column in enumerate(np.flatnonzero(numeric).tolist())}
        self.numbers = np.empty((len(self.place), rows))
        self.index: dict[int, dict[str, int]] = {}
        self.codes: dict[int, list[Codes]] = {}
        self.unsure: set[int] = set()
        for column in np.flatnonzero(~np.asarray(numeric, bool)).tolist():
            self.index[column], self.codes[column] = {}, []

    def room_for(self, rows: int) -> None:
        """Make room for further rows."""
        if self.count + rows > self.numbers.shape[1]:
            larger = np.empty((len(self.place), int(1.5 * (self.count + rows))))
            larger[:, : self.count] = self.numbers[:, : self.count]
            self.numbers = larger

    def write(self, column: int, values: Numbers, start: int) -> None:
        """Write numbers (n,) of a column, beginning at the row `start`."""
        self.numbers[self.place[column], start : start + len(values)] = values

    def add_texts(self, column: int, codes: Codes, texts: Sequence[str]) -> None:
        """Add the cells ``texts[codes]`` to a column of texts."""
        index = self.index[column]
        places = np.array([index.setdefault(text, len(index)) for text in texts], np.int32)
        self.codes[column].append(places[codes])

    def to_texts(self, column: int) -> None:
        """Turn the numbers of a column so far into texts."""
        values, codes = np.unique(self.numbers[self.place.pop(column), : self.count], return_inverse=True)
        if np.isnan(values).any():
            self.unsure.add(column)
        if not np.nanmax(np.abs(values), initial=0) < 2.0**53:
            raise _OtherReading  # larger whole numbers are not exact
        self.index[column], self.codes[column] = {}, []
        texts = ["" if np.isnan(value) else spelled(float(value)) for value in values]
        self.add_texts(column, codes.astype(np.int32), texts)

    def columns(self, decimal: str) -> list[Column]:
        """Return the columns."""
        whole: dict[int, Column] = {}
        for column, place in self.place.items():
            whole[column] = Column(numbers=self.numbers[place, : self.count])
        for column, index in self.index.items():
            if column in self.unsure and "+" in {text.strip() for text in index}:
                raise _OtherReading  # beside +, the sign - is a level, and it was taken for a missing number
            codes = np.concatenate(self.codes[column]) if self.codes[column] else np.zeros(0, np.int32)
            whole[column] = column_of_texts(codes, list(index), decimal)
        return [whole[column] for column in range(len(whole))]


def _fast(file: BinaryIO, dialect: Dialect, sample: str) -> tuple[list[Column], int]:
    """Read a file of UTF-8 with pyarrow, in chunks.

    Raises
    ------
    _OtherReading
        If the file is malformed, or has what pyarrow reads differently: runs of blanks, comments, blanks before quotes,
        and quotes inside of cells.
    UnicodeError
        If the file is not in UTF-8.
    """
    if dialect.delimiter == " " or dialect.comment or "\r" in sample.replace("\r\n", ""):
        raise _OtherReading
    numeric = number_columns(sample, dialect)
    columns = None
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(_end_of_lines(file, _lines_before_data(sample, dialect)))
    for chunk in _chunks(file, dialect.delimiter):
        if columns is None:
            head = chunk[: 2**16]
            columns = _Columns(numeric, 16 + int(1.1 * size * (head.count(b"\n") + 1) / len(head)))
        _parse(chunk, dialect, columns)
    if columns is None:  # only lines of blanks follow the header
        return [Column(numbers=np.empty(0)) for _ in dialect.names], 0
    return columns.columns(dialect.decimal), columns.count


def _lines_before_data(sample: str, dialect: Dialect) -> int:
    """Return the number of lines up to the header, or up to a first line ``sep=;``."""
    if dialect.header:
        return next(text_rows(sample, dialect.delimiter))[0]
    return 1 if sep_line(next(text_lines(sample), "")) else 0


def _end_of_lines(file: BinaryIO, count: int) -> int:
    """Return the position in a file behind a byte-order mark and the first `count` lines."""
    file.seek(0)
    if not count:
        return len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
    for _ in range(count):
        file.readline()
    return file.tell()


def _chunks(file: BinaryIO, delimiter: str) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks of whole rows, which end at a line break outside of quotes."""
    sign, blank = re.escape(delimiter).encode(), b" " if delimiter == "\t" else rb"[ \t]"
    # a quote with neither a delimiter nor a quote beside it, and two quotes after a blank
    odd = re.compile(rb'"(?:(?<=[^\r\n"%b]")(?=[^\r\n"%b])|(?<=%b")(?="))' % (sign, sign, blank))
    decoder = codecs.getincrementaldecoder("utf-8")()

    def checked(chunk: bytes) -> bytes:
        if b"\0" in chunk or (b"\r" in chunk and b"\r" in chunk.replace(b"\r\n", b"")):
            raise _OtherReading
        if not chunk.isascii():
            decoder.decode(chunk, final=True)
        if b'"' in chunk and (odd.search(chunk) or chunk.count(b'"') % 2):
            raise _OtherReading
        return chunk

    rest = file.read(_CHUNK)
    while rest:
        more = file.read(_CHUNK)
        cut = rest.rfind(b"\n") + 1 if more else len(rest)
        if more and rest.count(b'"', 0, cut) % 2:
            cut = 0
        if cut:
            yield checked(rest[:cut])
        rest = rest[cut:] + more


def _parse(chunk: bytes, dialect: Dialect, columns: _Columns) -> None:
    """Parse whole lines, and add their cells to the columns."""
    import pyarrow as pa

    try:
        table = _arrow(chunk, dialect, frozenset(columns.place))
    except pa.ArrowInvalid:
        texts = _arrow_or_other(chunk, dialect)
        columns.room_for(texts.num_rows)
        for column in list(columns.place):
            codes, levels = _dictionary(texts.column(column))
            found = column_of_texts(codes, levels, dialect.decimal)
            if found.numbers is None:
                columns.to_texts(column)
            else:
                columns.write(column, found.numbers, columns.count)
        for column in columns.index:
            columns.add_texts(column, *_dictionary(texts.column(column)))
        columns.count += texts.num_rows
        return
    columns.room_for(table.num_rows)
    for column in columns.place:
        start = columns.count
        for piece in table.column(column).chunks:
            columns.write(column, values_of(piece, np.float64), start)
            start += len(piece)
    for column in columns.index:
        columns.add_texts(column, *_dictionary(table.column(column)))
    columns.count += table.num_rows


def _arrow_or_other(chunk: bytes, dialect: Dialect) -> Any:
    import pyarrow as pa

    try:
        return _arrow(chunk, dialect, frozenset())
    except pa.ArrowInvalid as error:
        raise _OtherReading from error


def _arrow(chunk: bytes, dialect: Dialect, numeric: frozenset[int]) -> Any:
    """Return pyarrow's table of whole lines, with the columns in `numeric` as float64 and all others as dictionaries.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a row has another number of cells, or if a cell of a numeric column is no number.
    """
    import pyarrow as pa
    from pyarrow import csv as pacsv

    text = pa.dictionary(pa.int32(), pa.string())
    names = [str(place) for place in range(len(dialect.names))]
    return pacsv.read_csv(
        pa.py_buffer(chunk),
        # beside torch, pyarrow's threads sometimes abort the process when it ends
        read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter,
            newlines_in_values=b'"' in chunk,
            invalid_row_handler=lambda row: "error" if row.text.strip() else "skip",
        ),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.float64() if int(name) in numeric else text for name in names},
            null_values=sorted(MISSING),
            strings_can_be_null=False,
            decimal_point=dialect.decimal,
        ),
        memory_pool=pa.system_memory_pool(),
    )


def _dictionary(column: Any) -> tuple[Codes, list[str]]:
    """Return the codes (n,) and the texts of a column of dictionaries."""
    whole = column.unify_dictionaries()
    codes = [values_of(piece.indices, np.int32) for piece in whole.chunks]
    return np.concatenate([np.zeros(0, np.int32), *codes]), whole.chunk(0).dictionary.to_pylist() if codes else []


def _slow(path: Path, text: str, dialect: Dialect) -> tuple[list[Column], int]:
    """Read a text with the module csv.

    Raises
    ------
    UserError
        If the text is malformed. The message names the line.
    """
    expected = len(dialect.names)
    index: list[dict[str, int]] = [{} for _ in range(expected)]
    codes: list[list[int]] = [[] for _ in range(expected)]
    count = 0
    try:
        for place, (number, cells) in enumerate(text_rows(text, dialect.delimiter, dialect.comment)):
            if len(cells) != expected:
                first = "the names" if dialect.named_by_comment else "the first row"
                raise UserError(
                    f"{path}, line {number}: {len(cells)} cells, but {first} has {expected} (cells end at a "
                    f"{word_for(dialect.delimiter)}); correct the line, or set dataset.delimiter"
                )
            if place == 0 and dialect.header:
                continue
            count += 1
            for cell, known, coded in zip(cells, index, codes, strict=True):
                coded.append(known.setdefault(cell, len(known)))
    except csv.Error as error:
        raise UserError(f"{path}, {error}; correct the line, or set dataset.delimiter") from error
    return [
        column_of_texts(np.array(coded, np.int32), list(known), dialect.decimal)
        for known, coded in zip(index, codes, strict=True)
    ], count
