"""Tables that are written batch by batch."""

import io
import json

import numpy as np
import pytest
from pyarrow import parquet

from deeprob.tracking.rows_file import rows_file

NAMES = ["row", "class", "p(a)"]
BATCHES = [([0, 1], np.array(["a", 'b,"c"']), np.array([1 / 3, 1e-20])), ([2], np.array(["ä"]), np.array([1.0]))]


def written(target):
    with rows_file(target, NAMES, 5) as file:
        for batch in BATCHES:
            file.add(batch)
    return target


def test_csv(tmp_path):
    expected = 'row,class,p(a)\n0,a,0.33333\n1,"b,""c""",1e-20\n2,ä,1\n'
    assert written(tmp_path / "a.csv").read_text(encoding="utf-8") == expected
    assert written(io.StringIO()).getvalue() == expected

    stream = io.StringIO()
    with rows_file(stream, NAMES, 5):
        assert stream.getvalue() == ""  # an error before the first row leaves nothing behind
    assert stream.getvalue() == "row,class,p(a)\n"


def test_lines_of_json(tmp_path):
    lines = written(tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"row": 0, "class": "a", "p(a)": 0.33333},
        {"row": 1, "class": 'b,"c"', "p(a)": 1e-20},
        {"row": 2, "class": "ä", "p(a)": 1.0},
    ]


def test_parquet_keeps_all_digits(tmp_path):
    assert parquet.read_table(written(tmp_path / "a.parquet")).to_pydict() == {
        "row": [0, 1, 2],
        "class": ["a", 'b,"c"', "ä"],
        "p(a)": [1 / 3, 1e-20, 1.0],
    }
    with rows_file(tmp_path / "empty.parquet", NAMES, 5):
        pass
    assert parquet.read_table(tmp_path / "empty.parquet").column_names == NAMES


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_fails_leaves_the_file_of_before(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_text("before")
    with pytest.raises(KeyError), rows_file(path, NAMES, 5) as file:  # noqa: PT012
        file.add(BATCHES[0])
        raise KeyError
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
