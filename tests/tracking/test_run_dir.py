import errno
import json
import os
from pathlib import Path

import pytest

from deeprob.tracking.run_dir import COLUMNS, RunDirectory, named_errors


def test_names(tmp_path):
    files = RunDirectory(tmp_path / "a" / "b")
    assert files.path.is_dir()
    assert files.config == tmp_path / "a" / "b" / "config.yaml"
    assert files.checkpoints == tmp_path / "a" / "b" / "checkpoints"


def test_json_is_written_whole(tmp_path):
    files = RunDirectory(tmp_path)
    files.write_json("summary", {"status": "completed"})
    files.write_json("summary", {"status": "stopped"})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"status": "stopped"}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_metrics_are_appended_under_one_header(tmp_path):
    files = RunDirectory(tmp_path)
    files.append_metrics({"epoch": 1, "step": 10, "train/loss": 0.5})
    files.append_metrics({"epoch": 2, "step": 20, "train/loss": 0.25, "val/loss": 1.0})
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1].startswith("1,10,0.5,,,,,,")
    assert lines[2].startswith("2,20,0.25,,,,1.0,")


def test_an_error_of_a_full_disk_names_the_directory(tmp_path):
    with (
        pytest.raises(OSError, match="No space left") as caught,
        named_errors(tmp_path),
        Path("/dev/full").open("w") as file,
    ):
        file.write("x")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_an_error_that_names_a_file_stays(tmp_path):
    with pytest.raises(OSError, match="x") as caught, named_errors(tmp_path):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "x")
    assert caught.value.filename == "x"
