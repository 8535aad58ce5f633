"""Files with tables: what is read of odd ones, what is told, and what the cache keeps."""

import gzip
import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from deeprob.data import CSVConfig, table_file
from deeprob.data.dialect import Asked
from deeprob.data.table_file import read_table_file
from deeprob.errors import UserError


class Odd(NamedTuple):
    """A file, and what is right: the rows (inputs, then class), or words of the error; then words of what is told."""

    content: bytes
    right: list[tuple[Any, ...]] | str
    told: str = ""
    fields: dict[str, Any] = {}  # noqa: RUF012
    name: str = "table.csv"


def text(lines: str, encoding: str = "utf-8", ending: str = "\n") -> bytes:
    """Return the bytes of a text; ``/`` ends a line."""
    return (ending.join(lines.split("/")) + ending).encode(encoding)


def with_quotes(lines: str) -> bytes:
    return text(lines).replace(b"'", b'"')


def parquet_of(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def npy_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz_of(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


AB = [(1.5, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")]
PLAIN = "x,kind/1.5,a/2,b/3,a/4,b/5,a"
XY = [(1.5, 9, "a"), (2, 8, "b"), (3, 7, "a"), (4, 6, "b"), (5, 5, "a")]
ONE_HOT = [(1, 0, "a"), (0, 1, "b"), (1, 0, "a"), (0, 1, "b"), (1, 0, "a")]
NOT_FINITE = "is not a finite number"

ODD = {
    # signs between cells
    "semicolons": Odd(text(PLAIN.replace(",", ";")), AB, "semicolon between cells"),
    "tabs": Odd(text(PLAIN.replace(",", "\t")), AB, "tab between cells"),
    "pipes": Odd(text(PLAIN.replace(",", "|")), AB, "pipe between cells"),
    "colons": Odd(text(PLAIN.replace(",", ":")), AB, "colon between cells"),
    "runs of blanks": Odd(text("x   kind/  1.5  a/2 b/3\t a /4    b/5 a"), AB, "space between cells"),
    "blanks in the header of a CSV": Odd(text("leaf length (cm),kind/1.5,a/2,b/3,a/4,b/5,a"), AB, "comma between"),
    "a line sep=": Odd(text("sep=;/" + PLAIN.replace(",", ";")), AB, "semicolon between cells"),
    "a line sep= and no header": Odd(text("sep=;/1.5;a/2;b/3;a/4;b/5;a"), AB, "no line has names"),
    "semicolons within a cell": Odd(
        text("x,kind/1.5,a;b/2,c;d/3,a;b/4,c;d/5,a;b"),
        [(1.5, "a;b"), (2, "c;d"), (3, "a;b"), (4, "c;d"), (5, "a;b")],
        "comma between",
    ),
    "points that may separate thousands": Odd(
        text("m;rent;kind/40;2.142;b/43;540;a/84;1.210;b/50;700;a"),
        "1.210 may be 1.210 or 1210; set dataset.decimal=point for the first, or take the points out",
    ),
    "points that are said to be decimal": Odd(
        text("rent;kind/2.142;b/540;a/1.210;b"), [(2.142, "b"), (540, "a"), (1.21, "b")], fields={"decimal": "point"}
    ),
    "three decimals in each row": Odd(
        text("x;kind/2.142;b/5.401;a/1.210;b"), [(2.142, "b"), (5.401, "a"), (1.21, "b")]
    ),
    "thousands with points and decimal commas": Odd(
        text("a;b;kind/1.100;0,25;a/2.300;0,5;b/1.500;0,75;a"),
        "column a: '1.100' is not a finite number; write it without",
        fields={"decimal": "comma"},
    ),
    "several unusable columns, one with other letters": Odd(
        text("Straße,day,x,kind/" + "/".join(f"road {n},2026-01-{n + 10},{n},{'ab'[n % 2]}" for n in range(50))),
        'or \'dataset.categorical=["Straße","day"]\' if it is a category; day cannot be used either',
    ),
    "times beside commas": Odd(
        text("t,x,kind/12:30,1,a/12:31,2,b/12:32,3,a/12:33,4,b/12:34,5,a"),
        "column t has dates or times, such as 12:30; set dataset.drop=[t], or dataset.categorical=[t]",
    ),
    "a delimiter at each line's end": Odd(text("x,kind,/1.5,a,/2,b,/3,a,/4,b,/5,a,"), AB, "a column without a name"),
    "a delimiter at some lines' ends": Odd(
        text("x,kind/1.5,a/2,b,/3,a/4,b/5,a"), "line 3: 3 cells, but the first row has 2 (cells end at a comma)"
    ),
    "row names of R": Odd(
        text("x kind/r1 1.5 a/r2 2 b/r3 3 a/r4 4 b/r5 5 a"),
        "line 2: 3 cells, but the first row has 2 (cells end at a space); correct the line, or set dataset.delimiter",
    ),
    "the wrong delimiter": Odd(text(PLAIN), "only one column; a table needs two or more", fields={"delimiter": "tab"}),
    # decimal signs
    "decimal commas": Odd(text("x;kind/1,5;a/2;b/3;a/4;b/5;a"), AB, "decimal commas"),
    "decimal commas in quotes": Odd(with_quotes("x,kind/'1,5',a/2,b/3,a/4,b/5,a"), AB, "decimal commas"),
    "decimal commas and blanks": Odd(text("1,5 9,0 a/2,0 8,0 b/3,0 7,0 a/4,0 6,0 b/5,0 5,0 a"), XY, "decimal commas"),
    "thousands or decimals": Odd(
        text("x;kind/1,500;a/2,250;b/3,125;a/4,500;b"),
        "1,500 may be 1500 or 1.500; set dataset.decimal=comma for the second",
    ),
    "three decimals, set": Odd(
        text("x;kind/1,500;a/2,000;b/3,000;a/4,000;b/5,000;a"), AB, "decimal commas", {"decimal": "comma"}
    ),
    "thousands in quotes": Odd(
        with_quotes("x,kind/'1,500.5',a/2,b/3,a/4,b/5,a"),
        f"line 2, column x: '1,500.5' {NOT_FINITE}; write it without signs between or after the digits",
    ),
    "a point and a comma": Odd(text("x;kind/1.234,5;a/2,5;b/3,5;a/4,5;b"), f"line 2, column x: '1.234,5' {NOT_FINITE}"),
    "points and commas": Odd(text("x;kind/1.5;a/2,5;b/3.5;a/4.5;b"), f"line 3, column x: '2,5' {NOT_FINITE}"),
    "a point for thousands": Odd(
        text("x;y;kind/1.500;1,5;a/2.000;2,5;b/3.000;1,5;a/4.000;2,5;b"), f"line 2, column y: '1,5' {NOT_FINITE}"
    ),
    "percents": Odd(text("x,kind/15%,a/20%,b/30%,a/40%,b"), f"line 2, column x: '15%' {NOT_FINITE}"),
    "money": Odd(text("x,kind/$15,a/$20,b/$30,a/$40,b"), f"line 2, column x: '$15' {NOT_FINITE}"),
    "underscores": Odd(text("x,kind/1_0,a/2,b/3,a/4,b"), f"line 2, column x: '1_0' {NOT_FINITE}"),
    "plus signs and blanks": Odd(text("x,kind/ +1.5,a/+2 ,b/3,a/4,b/5.,a"), AB),
    "exponents": Odd(text("x,kind/15e-1,a/2E0,b/.3e+1,a/4,b/5,a"), AB),
    "hexadecimal": Odd(text("x,kind/0x10,a/2,b/3,a/4,b"), f"line 2, column x: '0x10' {NOT_FINITE}"),
    "infinity": Odd(text("x,kind/1,a/-inf,b/3,a/4,b"), f"line 3, column x: '-inf' {NOT_FINITE}"),
    "too large": Odd(text("x,kind/1,a/1e39,b/3,a/4,b"), f"line 3, column x: '1e39' {NOT_FINITE} (up to 3e38)"),
    # quotes
    "every cell in quotes": Odd(with_quotes("'x','kind'/'1.5','a'/'2','b'/'3','a'/'4','b'/'5','a'"), AB),
    "a delimiter in quotes": Odd(with_quotes("'x, cm',kind/1.5,a/2,b/3,a/4,b/5,a"), AB, "numbers     x, cm"),
    "a line break in quotes": Odd(
        with_quotes("x,kind/1.5,'a+b'/2,c/3,'a+b'/4,c/5,c").replace(b"+", b"\n"),
        [(1.5, "a\nb"), (2, "c"), (3, "a\nb"), (4, "c"), (5, "c")],
    ),
    "doubled quotes": Odd(
        with_quotes("x,kind/1.5,'a''b'/2,c/3,'a''b'/4,c/5,c"),
        [(1.5, 'a"b'), (2, "c"), (3, 'a"b'), (4, "c"), (5, "c")],
    ),
    "blanks before quotes": Odd(
        with_quotes("x, 'kind'/1.5, 'a,'/2, b/3, 'a,'/4, b/5, b"),
        [(1.5, "a,"), (2, "b"), (3, "a,"), (4, "b"), (5, "b")],
    ),
    "inches": Odd(
        with_quotes("x,kind/1.5,5'/2,6'/3,5'/4,6'/5,5'"),
        [(1.5, '5"'), (2, '6"'), (3, '5"'), (4, '6"'), (5, '5"')],
    ),
    "an open quote": Odd(with_quotes("x,kind/1,a/2,'b/3,a/4,b"), "line 5: not CSV (unexpected end of data); correct"),
    "a letter after a quote": Odd(with_quotes("x,kind/1,a/2,'b'c/3,a/4,b"), "line 3: not CSV ("),
    # comments, blank lines, ends of lines
    "comment lines": Odd(text("# made by hand/# on Monday/" + PLAIN), AB, "comment lines begin with #"),
    "names in a comment": Odd(text("# x kind/1.5 a/2 b/3 a/4 b/5 a"), AB, "names from the last comment line"),
    "a comment that may be a row": Odd(
        text("x,kind/1,a/#2,b/3,a/4,b"),
        "line 3: '#2,b' may be a comment or a row; set dataset.comment=hash or dataset.comment=none",
    ),
    "that comment, set": Odd(text("x,kind/1.5,a/#9,b/2,b/3,a/4,b/5,a"), AB, fields={"comment": "hash"}),
    "percent comments, set": Odd(text("% by hand/" + PLAIN), AB, "begin with %", {"comment": "percent"}),
    "labels with #": Odd(
        text("kind,x/#1,1.5/#2,2/#1,3/#2,4/#1,5"),
        [(1.5, "#1"), (2, "#2"), (3, "#1"), (4, "#2"), (5, "#1")],
        fields={"targets": ["kind"]},
    ),
    "blank lines": Odd(text("//x,kind/1.5,a//2,b/  /3,a/4,b/5,a///"), AB),
    "rows without any value": Odd(text(PLAIN + "/,/,"), AB, "2 row(s) without any value left out"),
    "ends of Windows": Odd(text(PLAIN, ending="\r\n"), AB),
    "ends of old Macs": Odd(text(PLAIN, ending="\r"), AB),
    "no end of the last line": Odd(text(PLAIN)[:-1], AB),
    "control-Z at the end": Odd(text(PLAIN) + b"\x1a", "not a text file in UTF-8"),
    # encodings
    "a byte-order mark": Odd(text(PLAIN, "utf-8-sig"), AB, "numbers     x"),
    "UTF-16": Odd(text(PLAIN, "utf-16"), AB, "read as utf-16"),
    "cp1252": Odd(
        text(PLAIN.replace("a", "ä"), "cp1252"), [(x, kind.replace("a", "ä")) for x, kind in AB], "read as cp1252"
    ),
    "one bad byte in UTF-8": Odd(text("x,kind/1,ä/2,ö/3,ä/4,ö") + b"5,\xe4\n", "not a text file in UTF-8"),
    "an encoding, set": Odd(
        text(PLAIN.replace("a", "ж"), "cp1251"),
        [(x, kind.replace("a", "ж")) for x, kind in AB],
        "read as cp1251",
        {"encoding": "cp1251"},
    ),
    "an unknown encoding": Odd(text(PLAIN), "dataset.encoding=utf-9: no such encoding", fields={"encoding": "utf-9"}),
    "an archive": Odd(
        b"PK\x03\x04\x14\x00\x08\x08\x80\x93\xff\xfe", "a workbook or another zip archive; save the table"
    ),
    "an old workbook": Odd(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an old workbook of Excel; save the table"),
    "a compressed file": Odd(gzip.compress(text(PLAIN)), "a compressed file; decompress it first"),
    # headers and names
    "years as names": Odd(text("2019,2020,kind/1.5,9,a/2,8,b/3,7,a/4,6,b/5,5,a"), XY, "first line has the names"),
    "no header": Odd(text("1.5,a/2,b/3,a/4,b/5,a"), AB, "no line has names"),
    "names over texts alone": Odd(text("c,kind/u,a/v,b/u,a/v,b/u,a"), ONE_HOT, "first line has the names"),
    "texts without a header": Odd(text("u,a/v,b/u,a/v,b/u,a"), ONE_HOT, "no line has names"),
    "a class in the first line alone": Odd(
        text("1,a/2,b/3,c/4,b/5,c"), "the first line may hold names or data; set dataset.header=true or false"
    ),
    "texts that never occur again": Odd(text("a,b/c,d/e,f"), "set dataset.header=true or false"),
    "a number with a comma first": Odd(with_quotes("'1,500.5',a/2,b/3,a/4,b"), "set dataset.header=true or false"),
    "a name twice": Odd(text("x,x,kind/1,2,a/3,4,b/5,6,a"), "column 2 has the name x again; each column needs its own"),
    "no name": Odd(text(",x,kind/0,1.5,a/1,2,b/2,3,a/3,4,b/4,5,a"), AB, "left out    a column without a name"),
    # missing cells
    "an empty cell": Odd(
        text("x,kind/1,a/,b/3,a"),
        "line 3, column x: '' is missing; fill it in, leave the row out, or set dataset.missing=mean or",
    ),
    "missing cells, the mean": Odd(
        text("x,kind/1,a/NA,b/3,a/4,b/4,a/?,b/3,a"), "", "missing     x 2", {"missing": "mean"}
    ),
    "a column without a cell": Odd(
        text("x,y,kind/,1,a/,2,b/,3,a/,4,b/,5,a"), "column x has no number in the training", fields={"missing": "mean"}
    ),
    "a missing category": Odd(text("c,kind/u,a/v,b/,a/v,b/u,a"), "line 4, column c: '' is missing"),
    "a missing class": Odd(
        text("x,kind/1,0/2,1/3,NA/4,1"),
        "line 4, column kind: 'NA' is missing; 1 row(s) have no class; the classes are 0 (1), 1 (2)",
    ),
    "classes + and -": Odd(text("x,kind/1.5,+/2,-/3,+/4,-/5,+"), [(1.5, "+"), (2, "-"), (3, "+"), (4, "-"), (5, "+")]),
    # kinds of columns
    "one word among numbers": Odd(text("x,kind/1,a/2,b/many,a/4,b"), f"line 4, column x: 'many' {NOT_FINITE}; correct"),
    "codes of numbers and letters": Odd(text("c,kind/1,a/K,b/1.0,a/K,b/1,a"), ONE_HOT),
    "true and false": Odd(
        text("c,kind/true,a/false,b/true,a/false,b/true,a"), [(y, x, kind) for x, y, kind in ONE_HOT]
    ),
    "dates": Odd(
        text("d,kind/2026-01-31,a/2026-02-01,b/2026-02-02,a/2026-02-03,b"),
        "column d has dates or times, such as 2026-01-31; set dataset.drop=[d], or dataset.categorical=[d]",
    ),
    "German dates": Odd(text("d;kind/31.01.2026;a/01.02.2026;b/02.02.2026;a"), "column d has dates or times"),
    "names of persons": Odd(
        text("n,kind/" + "/".join(f"person {n},{'ab'[n % 2]}" for n in range(50))),
        "column n has 50 different texts in 50 rows, too many for categories; set dataset.drop=[n]",
    ),
    "equal numbers as classes": Odd(
        text("x,kind/1.5,0/2,1/3,0.0/4,1.0/5,0"), [(1.5, "0"), (2, "1"), (3, "0"), (4, "1"), (5, "0")]
    ),
    "long numbers as classes": Odd(
        text("x,kind/1,9007199254740993/2,9007199254740992/3,9007199254740993"),
        "column kind: whole numbers from 2^53 on are not exact",
    ),
    "one class": Odd(text("x,kind/1,a/2,a/3,a"), "column kind has one class only, a"),
    "as many classes as rows": Odd(
        text("x,kind/1,1/2,2/3,3/4,4/5,5/6,6"), "column kind has 6 different values in 6 rows, too many for classes"
    ),
    "numbers listed as categories": Odd(
        text("c,kind/7,a/9,b/7,a/9,b/7,a"), ONE_HOT, "category    c: 7", {"categorical": ["c"]}
    ),
    "a target listed as category": Odd(
        text(PLAIN), "dataset.categorical: kind is not an input; name only inputs", fields={"categorical": ["kind"]}
    ),
    "a column dropped": Odd(text("id,x,kind/p,1.5,a/q,2,b/r,3,a/s,4,b/t,5,a"), AB, "left out    id", {"drop": ["id"]}),
    "an input dropped": Odd(
        text(PLAIN),
        "dataset.drop: x is a target or an input; a column is one or the other",
        fields={"drop": ["x"], "inputs": ["x"]},
    ),
    # other formats
    "Parquet": Odd(parquet_of(x=[1.5, 2, 3, 4, 5], kind=list("ababa")), AB, "a Parquet file", name="t.parquet"),
    "Parquet with whole numbers and booleans": Odd(
        parquet_of(x=[1, 2, 3, 4], kind=[True, False, True, False]),
        [(1, "true"), (2, "false"), (3, "true"), (4, "false")],
        name="t.parquet",
    ),
    "Parquet with a null": Odd(
        parquet_of(x=[1, None, 3], kind=list("aba")), "row 1, column x: the cell is missing", name="t.parquet"
    ),
    "Parquet with a list that is dropped": Odd(
        parquet_of(x=[1.5, 2, 3, 4, 5], y=[[1]] * 5, kind=list("ababa")), AB, name="t.parquet", fields={"drop": ["y"]}
    ),
    "Parquet with durations": Odd(
        parquet_of(t=np.array([1, 2, 3], "m8[s]"), kind=list("aba")), "column t: values of duration", name="t.parquet"
    ),
    "Parquet with the index of pandas": Odd(
        parquet_of(x=[1.5, 2, 3, 4, 5], kind=list("ababa"), __index_level_0__=[9, 8, 7, 6, 5]),
        AB,
        "a column without a name",
        name="t.parquet",
    ),
    "NPZ with a name twice": Odd(
        npz_of(**{"x": np.zeros((3, 2)), "x 0": np.arange(3), "k": np.arange(3)}),
        "two columns with the name x 0",
        name="t.npz",
    ),
    "an array in a file called NPZ": Odd(npy_of(np.arange(3)), "not an NPZ file", name="t.npz"),
    "an infinite number in a column of numbers": Odd(text("1,a/inf,b/2,a/3,b"), "'inf' is not a finite number"),
    "another minus": Odd(text("x,kind/−1,a/2,b/3,a"), "'−1' is not a finite number; write it without signs"),
    "months": Odd(text("m,kind/2026-01,a/2026-02,b/2026-03,a"), "column m has dates or times, such as 2026-01"),
    "large whole numbers beside a text": Odd(
        text("x,kind/1,90071992547409920/2,90071992547409921/3,z/4,90071992547409920/5,90071992547409921/6,z"),
        [(n, level) for n, level in enumerate(("90071992547409920", "90071992547409921", "z") * 2, 1)],
    ),
    "Parquet with lists": Odd(parquet_of(x=[[1], [2]], kind=list("ab")), "column x: values of list<", name="t.parquet"),
    "Parquet with times": Odd(
        parquet_of(t=np.array(["2026-01-01", "2026-01-02"], "M8[s]"), kind=list("ab")),
        "column t has dates or times, such as 2026-01-01",
        name="t.parquet",
    ),
    "text named like Parquet": Odd(text(PLAIN), "t.parquet: not a Parquet file, or damaged", name="t.parquet"),
    "NPZ": Odd(npz_of(x=np.array([1.5, 2, 3, 4, 5]), kind=np.array(list("ababa"))), AB, "an NPZ file", name="t.npz"),
    "NPZ with a matrix": Odd(
        npz_of(X=np.array([row[:2] for row in XY]), y=np.array([row[2] for row in XY])),
        XY,
        "numbers     X 0, X 1",
        name="t.npz",
    ),
    "NPZ of different lengths": Odd(
        npz_of(x=np.arange(3), y=np.arange(4)), "t.npz: columns of different lengths", name="t.npz"
    ),
    "NPZ with objects": Odd(
        npz_of(x=np.array([1, None, "a"], object), y=np.arange(3)), "not an NPZ file of numbers", name="t.npz"
    ),
    "text named like NPZ": Odd(text(PLAIN), "t.npz: not an NPZ file of numbers and texts, or damaged", name="t.npz"),
}


def rows(splits) -> list[tuple]:
    """All rows of both splits, each with its class."""
    parts = (splits.train, splits.test)
    pairs = [(x, y) for part in parts for x, y in zip(part.inputs.tolist(), part.targets.tolist(), strict=True)]
    return sorted((*x, splits.classes[y]) for x, y in pairs)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_table_is_read_right_or_refused(name, tmp_path):
    odd = ODD[name]
    path = tmp_path / odd.name
    path.write_bytes(odd.content)
    config = CSVConfig(root=str(path), test_fraction=0.25, **odd.fields)
    if isinstance(odd.right, str) and odd.right:
        with pytest.raises(UserError) as caught:
            config.load()
        assert odd.right in str(caught.value)
        assert odd.name in str(caught.value) or str(caught.value).startswith("dataset.")
        return
    splits = config.load()
    assert odd.told in "\n".join(splits.told)
    if odd.right:
        assert rows(splits) == sorted(odd.right)


LARGE = "a,b,c,kind\n" + "".join(f"{n},{n / 7:.12f},{'uvw'[n % 3]},{n % 2}\n" for n in range(40_000))


@pytest.fixture
def large(tmp_path, monkeypatch) -> Path:
    """A file that is worth keeping, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "large.csv"
    path.write_text(LARGE)
    assert path.stat().st_size > table_file.WORTHWHILE
    monkeypatch.setattr(table_file, "stamp", lambda found, now: (found.st_size, found.st_mtime_ns, 0, 0))
    return path


def test_a_large_table_is_not_parsed_again(large, monkeypatch):
    first = read_table_file(large, Asked())
    monkeypatch.setattr(table_file, "read_text_file", lambda path, asked: pytest.fail("parsed again"))
    again = read_table_file(large, Asked())
    assert (again.names, again.notes, again.header) == (first.names, first.notes, first.header)
    for one, two in zip(first.columns, again.columns, strict=True):
        assert one.levels == two.levels
        np.testing.assert_array_equal(*[x.codes if x.numbers is None else x.numbers for x in (one, two)])


def test_a_table_that_was_kept_still_names_the_line_of_an_error(large):
    large.write_text(LARGE.replace("\n39000,", "\nNA,"))
    config = CSVConfig(root=str(large))
    for _ in range(2):
        with pytest.raises(UserError, match="line 39002, column a: 'NA' is missing"):
            config.load()


def test_a_table_that_changed_or_is_read_otherwise_is_parsed_again(large):
    read_table_file(large, Asked())
    assert len(read_table_file(large, Asked(header=False))) == 40_001
    large.write_text(LARGE.replace("1,", "2,"))
    os.utime(large, ns=(1, 1))
    assert read_table_file(large, Asked())["a"].numbers[1] == 2


def test_a_damaged_cache_is_told_and_not_used(large, tmp_path, capsys):
    read_table_file(large, Asked())
    (kept,) = (tmp_path / "cache" / "deeprob" / "tables").glob("*.tensors")
    kept.write_bytes(kept.read_bytes()[:-1000])
    assert len(read_table_file(large, Asked())) == 40_000
    assert "damaged" in capsys.readouterr().err


def test_small_tables_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "small.csv"
    path.write_bytes(text(PLAIN))
    read_table_file(path, Asked())
    assert not (tmp_path / "cache").exists()
