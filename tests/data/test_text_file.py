"""Text files: pyarrow and the module csv read the same; chunks, late texts and late faults."""

import csv
import io
import random

import numpy as np
import pytest

from deeprob.data import text_file
from deeprob.data.dialect import Asked
from deeprob.data.text_file import read_text_file
from deeprob.errors import UserError


def cells_of(table) -> list[list]:
    """The cells of each column: numbers, texts, and None where a cell is missing."""
    return [
        [None if gone else value for gone, value in zip(column.missing, values(column), strict=True)]
        for column in table.columns
    ]


def values(column) -> list:
    if column.numbers is not None:
        return column.numbers.tolist()
    return [column.levels[code] for code in column.codes]


@pytest.fixture
def read(tmp_path):
    def read(content: str | bytes, **asked):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_text_file(path, Asked(**asked))

    return read


TEXTS = [
    "a",
    "b c",
    "",
    "NA",
    "?",
    "-",
    "+",
    "é",
    "猫",
    'a"b',
    '5"',
    "x,y",
    "x;y",
    "a\nb",
    " a ",
    "1e5x",
    "# no",
    "$1a",
]
NUMBERS = [
    "0",
    "-1.5",
    "+2",
    "1e3",
    ".5",
    "5.",
    " 7 ",
    "",
    "NA",
    "123456789012345678901234567890",
    "0.1",
    "-0",
    "1e-320",
]


def test_the_module_csv_reads_the_same_as_pyarrow(read, monkeypatch):
    rng = random.Random(0)
    used = []
    slow = text_file._slow
    for _ in range(150):
        names = [f"c{place}" for place in range(rng.choice([2, 3, 5]))]
        pools = [rng.choice([NUMBERS, TEXTS]) for _ in names]
        rows = [[rng.choice(pool) for pool in pools] for _ in range(rng.choice([1, 3, 30]))]
        delimiter = rng.choice([",", ";", "\t", "|"])
        file = io.StringIO(newline="")
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
        ending = rng.choice(["\n", "\r\n"])
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=ending).writerows([names, *rows])
        asked = {"delimiter": delimiter, "header": True, "comment": "", "decimal": "."}
        with monkeypatch.context() as patch:
            patch.setattr(text_file, "_CHUNK", 64)
            patch.setattr(text_file, "_slow", lambda *parts: used.append(1) or slow(*parts))
            fast = read(file.getvalue(), **asked)
        with monkeypatch.context() as patch:
            patch.setattr(text_file, "_fast", lambda *parts: (_ for _ in ()).throw(text_file._OtherReading))
            assert cells_of(read(file.getvalue(), **asked)) == cells_of(fast)
    assert used == []  # pyarrow reads all that csv writes


def test_numbers_are_those_of_python(read):
    rng = random.Random(1)
    texts = [repr(rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)) for _ in range(2000)]
    table = read("x,y\n" + "".join(f"{one},{place}\n" for place, one in enumerate(texts)))
    np.testing.assert_array_equal(table["x"].numbers, np.array([float(one) for one in texts]))


def test_a_text_after_the_first_lines_turns_a_column_of_numbers_into_one_of_texts(read):
    lines = 3 * text_file.SAMPLE // 8
    body = "".join(f"{n % 7},{n % 3}.0\n" for n in range(lines))
    table = read("c,x\n" + body + "K,+1\n" + ",1\n")
    assert table["x"].numbers[-3:].tolist() == [(lines - 1) % 3, 1, 1]
    codes, levels = table["c"].codes, table["c"].levels
    assert [levels[code] for code in codes[:8]] == ["0", "1", "2", "3", "4", "5", "6", "0"]
    assert (levels[codes[-2]], codes[-1], len(codes)) == ("K", -1, lines + 2)


@pytest.mark.parametrize(("late", "expected"), [("+", "-"), ("a", None)])
def test_a_minus_alone_is_a_level_beside_a_plus_in_a_later_chunk(read, monkeypatch, late, expected):
    monkeypatch.setattr(text_file, "_CHUNK", 100)
    monkeypatch.setattr(text_file, "SAMPLE", 100)
    table = read("x,sign\n" + "1,-\n" * 500 + f"2,{late}\n" * 500)
    assert cells_of(table)[1] == [expected] * 500 + [late] * 500


def test_large_whole_numbers_beside_a_late_text_stay_apart(read, monkeypatch):
    monkeypatch.setattr(text_file, "_CHUNK", 100)
    monkeypatch.setattr(text_file, "SAMPLE", 100)
    table = read("x,id\n" + "1,90071992547409920\n2,90071992547409921\n" * 200 + "3,z\n")
    assert set(table.columns[1].levels) == {"90071992547409920", "90071992547409921", "z"}


def test_a_fault_after_the_first_lines_names_its_line(read):
    lines = text_file.SAMPLE // 4 + 5
    body = "".join(f"{n % 10},{n % 3}\n" for n in range(lines))
    with pytest.raises(UserError, match=f"line {lines + 2}: 3 cells, but the first row has 2"):
        read("x,y\n" + body + "1,2,3\n")
    table = read("x,y\n" + body + "\n,2\n")
    assert table.locate(lines) == (f"line {lines + 3}", ["", "2"])


def test_a_line_break_in_quotes_may_lie_between_chunks(read, monkeypatch):
    monkeypatch.setattr(text_file, "_CHUNK", 16)
    monkeypatch.setattr(text_file, "_slow", lambda *parts: pytest.fail("read by the module csv"))
    table = read("x,y\n" + "".join(f'{n},"a\nb{n % 2}"\n' for n in range(50)))
    assert table["x"].numbers.tolist() == list(range(50))
    assert table["y"].levels == ("a\nb0", "a\nb1")


def test_a_byte_that_is_not_utf_8_after_the_first_lines(read):
    lines = text_file.SAMPLE // 4
    body = "x,y\n" + "".join(f"{n % 10},b\n" for n in range(lines))
    table = read(body.encode() + "1,ä\n".encode("cp1252"))
    assert table["y"].levels == ("b", "ä")
    assert "read as cp1252" in table.notes


def test_a_line_longer_than_the_sample(read, monkeypatch):
    monkeypatch.setattr(text_file, "SAMPLE", 2**12)
    wide = text_file.SAMPLE // 4
    names = ",".join(f"n{place}" for place in range(wide))
    table = read(names + "\n" + 3 * (",".join(["1.5"] * wide) + "\n"))
    assert (len(table.names), len(table)) == (wide, 3)
    assert table.columns[-1].numbers.tolist() == [1.5] * 3


def test_more_rows_than_the_first_lines_let_expect(read):
    long = "".join(f"{n}.{'0' * 40},1\n" for n in range(9000))
    short = "".join("7,1\n" for _ in range(90_000))
    table = read("x,y\n" + long + short)
    assert len(table) == 99_000
    assert table["x"].numbers.sum() == sum(range(9000)) + 7 * 90_000
