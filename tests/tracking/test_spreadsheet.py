import csv
import io

import pytest

from deeprob.tracking.spreadsheet import escaped, unescaped


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+x", "'+x"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1+1'", "''=1+1'"),  # as Hydra quotes it: told from =1+1 when it is read
        ("-1", "-1"),
        ("+1e-3", "+1e-3"),
        ("-inf", "-inf"),
        ("0.5", "0.5"),
        ("adam", "adam"),
        ("'a b'", "'a b'"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_texts_that_a_spreadsheet_would_compute_have_an_apostrophe_and_come_back(cell, written):
    row = escaped({"key": cell, "loss": -0.5, "steps": 3, "folder": None})
    assert row == {"key": written, "loss": -0.5, "steps": 3, "folder": None}
    file = io.StringIO(newline="")
    csv.writer(file).writerow([row["key"]])
    (back,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert unescaped({"key": back[0] if back else ""}) == {"key": cell}


def test_what_was_written_without_apostrophes_is_read_as_it_is():
    row = {"a": "=1+1", "b": "'quoted'", "c": "'", "d": ""}
    assert unescaped(row) == row
