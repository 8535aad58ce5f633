"""Tables of any kind: what is read is trained on, measured, drawn and used; what cannot be read is refused."""

import csv
import io
import random
from pathlib import Path

from fuzzing.draw import Draw, quoted
from fuzzing.words import right_words
from test_malformed_datasets import TABLES

WORDS = [
    "a", "b", "yes", "no", "True", "1", "01", "1.0", "null", "None", "NA", "inf", "é", "猫", "🐈", "ﬁ", "İ",
    "$", "$x$", "$x", "\\frac", "${seed}", "${", "a_b^2", "%s", "{}", "{x}", "[bold]", "[/bold]", "[red]x",
    "e\u0301", "=1+1", "@x", "+1", "-", "#", "a,b", "a;b", "a b", 'a"b', "a'b", "a\tb", "a\nb", "\u202eabc",
    "\u200b", "<script>alert(1)</script>", "a&b", "a=b", "a/b", "../x", "a" * 300, "ä" * 60, "x" * 2000,
    "\x1b[31m", "\\[b]", "\xa0", "_", "_x", "C:\\x", ":smile:", "train", "mean", "fused", "class", "target",
    "0", "-0.0", "1e3",
]  # fmt: skip
NUMBERS = ["0", "-0", "1", "-1", "3.14", "1e3", "1E-3", ".5", "5.", "+2", "1e38", "-3e38", "1e-40", "1e-300", "1e30",
           "123456789012345678901234567890", "16777217", "0.1"]  # fmt: skip
ODD = ["", "nan", "NaN", "inf", "-inf", "1e39", "1e999", "x", "1,5", "1_000", "0x10", "1 000", "--", "٣", "１", "½"]
NAMES = ["table.csv", "t", "a b.csv", "ünï.csv", "$x.csv", "[1].csv", "a=b,c.csv", "=1.csv", "'.csv", "%20{}.csv", "-x"]


def column(rng: random.Random, rows: int) -> list[str]:
    """Draw a column of numbers."""
    kind = rng.choice(["normal"] * 8 + ["whole", "whole", "few", "constant", "large", "tiny", "any"])
    if kind == "constant":
        return [rng.choice(NUMBERS)] * rows
    if kind == "any":
        return [rng.choice(NUMBERS) for _ in range(rows)]
    if kind in ("whole", "few"):
        most = 100 if kind == "whole" else 1
        return [str(rng.randint(0, most)) for _ in range(rows)]
    scale = {"normal": 1.0, "large": 1e30, "tiny": 1e-35}[kind]
    shift = rng.choice([0, 0, 0, 1e6])
    return [repr(scale * (shift + rng.gauss(0, 1))) for _ in range(rows)]


def labels(rng: random.Random, rows: int) -> list[str]:
    """Draw a column of classes."""
    names = rng.sample(WORDS, 1 if rng.random() < 0.04 else rng.choice([2, 2, 2, 3, 3, 5, 12]))
    return [rng.choice(names) for _ in range(rows)]


def content(rng: random.Random) -> tuple[bytes, list[str]]:
    """Draw a file, and words about how it is to be read."""
    rows = rng.choice([0, 1, 2, 3, 5]) if rng.random() < 0.1 else rng.choice([12, 30, 30, 60])
    columns = [column(rng, rows) for _ in range(0 if rng.random() < 0.03 else rng.choice([1, 1, 2, 2, 3, 5, 9]))]
    regression = rng.random() < 0.2
    columns.append(column(rng, rows) if regression else labels(rng, rows))
    names = [f"c{place}" for place in range(len(columns))]
    if rng.random() < 0.4:
        names = rng.sample(WORDS, len(columns))
    header = rng.random() < 0.8
    words = ["dataset.task=regression", "loss=squared_error"] if regression else []
    if not header:
        names = [str(place) for place in range(len(columns))]
    order = rng.sample(range(len(columns)), len(columns)) if rng.random() < 0.25 else range(len(columns))
    if [*order] != sorted(order) or rng.random() < 0.1:
        words.append(f"dataset.targets=[{quoted_all(names[-1:])}]")
    if rng.random() < 0.1:
        words.append(f"dataset.inputs=[{quoted_all(rng.sample(names, min(len(names), 2)))}]")
    table = [[columns[place][row] for place in order] for row in range(rows)]
    if header:
        table.insert(0, [names[place] for place in order])
    if table and rng.random() < 0.15:
        spoil(rng, table)
    return encoded(rng, table), words


def spoil(rng: random.Random, table: list[list[str]]) -> None:
    """Let a cell be odd, or a row too long or too short."""
    row = rng.choice(table)
    kind = rng.choice(["cell", "cell", "cell", "long", "short", "none"])
    if kind == "cell" and row:
        row[rng.randrange(len(row))] = rng.choice(ODD)
    elif kind == "long":
        row.append(rng.choice(["", "1", "x"]))
    elif kind == "short" and row:
        row.pop()
    else:
        row.clear()


def encoded(rng: random.Random, table: list[list[str]]) -> bytes:
    """Write a table in any of the ways in which tables are written."""
    text = io.StringIO()
    end = rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    delimiter = rng.choice([",", ",", ",", ";", "\t", " "]) if rng.random() < 0.97 else "|"
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(table)
    lines = text.getvalue()
    if rng.random() < 0.2:
        odd = [lines.rstrip(), lines + end * 3, end + lines, lines.replace(end, end * 2), "# remark" + end + lines]
        lines = rng.choice([*odd, lines.replace(delimiter, delimiter + " ")])
    coding = rng.choice(["utf-8", "utf-8", "utf-8-sig"]) if rng.random() < 0.95 else rng.choice(["utf-16", "latin-1"])
    data = lines.encode(coding, errors="replace")
    if data and rng.random() < 0.03:
        place = rng.randrange(len(data))
        data = data[:place] + rng.randbytes(3) + data[place + 1 :]
    return rng.randbytes(rng.randrange(2000)) if rng.random() < 0.02 else data


def choices(rng: random.Random) -> list[str]:
    """Draw more words about how a table is read."""
    drawn = {
        f"dataset.header={rng.choice(['true', 'false', 'null'])}": 0.05,
        f"dataset.delimiter={rng.choice(['auto', 'comma', 'semicolon', 'tab', 'space'])}": 0.05,
        f"dataset.test_fraction={rng.choice([0.01, 0.1, 0.5, 0.9, 0.99])}": 0.2,
        f"dataset.limit={rng.choice([1, 2, 7, 1000])}": 0.2,
    }
    return [word for word, share in drawn.items() if rng.random() < share]


def quoted_all(texts: list[str]) -> str:
    """Return texts as a list's values."""
    return ",".join('"' + quoted(text).strip('"') + '"' for text in texts)


def tables(draw: Draw) -> None:
    """Train on a table, and look at the run in every way."""
    rng = draw.rng
    if rng.random() < 0.1:
        root = draw.data
        path = root / "table.csv"
        path.write_text("x,y\n" + "1,a\n2,b\n" * 10)
        TABLES[rng.choice([*TABLES])](root)
        words = []
    else:
        data, words = content(rng)
        path = draw.data / rng.choice(NAMES)
        path.write_bytes(data)
    words = [*words, *choices(rng), *right_words(draw, rng.choice([0, 0, 1, 2]), ["dataset", "loss", "features"])]
    words = [word for word in words if not word.startswith("dataset.points") and "test_points" not in word]
    result = draw.run("dataset=csv", f"dataset.root={quoted(str(path))}", *words, "hydra.run.dir=run")
    if result.status == 0 and (draw.work / "run/summary.json").exists():
        look_at(draw, Path("run"))


def look_at(draw: Draw, run: Path) -> None:
    """Draw a run's figures, and compare it with itself."""
    if draw.rng.random() < 0.4:
        draw.run(f"run={run}", command="visualize")
    elif draw.rng.random() < 0.5:
        draw.run(f"run={run}", f"figure={draw.rng.choice(['confusion', 'mistakes', 'templates', 'learning_curves'])}",
                 command="visualize")  # fmt: skip
    if draw.rng.random() < 0.3:
        draw.run("sweep=.", command="compare")
        page = draw.work / "compare.html"
        if page.exists() and "<script>alert" in page.read_text():
            draw.find("no name of the data is a part of the page's code", "<script>alert")
