"""Numbers of several seeds as one."""

import pytest

from deeprob.compare.sweep_tables import read_table
from deeprob.sweeps.table import SweepTable, spread


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("test/accuracy", [0.5, 0.52, 0.54], "52.00 ± 2.00 %"),
        ("time/seconds", [1.0, 3.0], "2.00 ± 1.41 s"),
        ("train/loss", [0.25, 0.75], "0.5000 ± 0.3536"),
        ("features/count", [9, 9, 9], "9"),
        ("test/accuracy", [0.5], "50.00 %"),
        ("test/accuracy", [], ""),
    ],
)
def test_mean_and_deviation(name, values, text):
    assert spread(name, values) == text


def test_no_cell_of_the_file_is_a_formula(tmp_path, capsys):
    jobs = [["model.width=8", f"dataset.root={root}"] for root in ("+1;2", "-1", "'=1+1'", "data")]
    table = SweepTable(jobs, ["dataset.root"], [], ["train/loss"])
    table.set_outcome(0, {"status": "failed", "error": "=cmd|'/C calc'!A0: no such folder"})
    table.set_outcome(3, {"status": "completed", "train/loss": -0.5})
    table.write(tmp_path / "summary.csv")
    rows = [line.split(",")[:4] for line in (tmp_path / "summary.csv").read_text().splitlines()]
    assert rows == [
        ["dataset.root", "status", "error", "train/loss"],
        ["'+1;2", "failed", "'=cmd|'/C calc'!A0: no such folder", ""],
        ["-1", "", "", ""],
        ["''=1+1'", "", "", ""],
        ["data", "completed", "", "-0.5"],
    ]
    table.print_job(0)
    assert "0    +1;2" in capsys.readouterr().out  # people see what they typed
    keys, read = read_table(tmp_path)
    assert [row[key] for row in read for key in keys] == ["+1;2", "-1", "'=1+1'", "data"]
    assert read[0]["error"] == "=cmd|'/C calc'!A0: no such folder"
