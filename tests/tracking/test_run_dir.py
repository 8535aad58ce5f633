import errno
import fcntl
import json
import os
import signal
from pathlib import Path

import pytest

from deeprob.errors import UserError
from deeprob.tracking.run_dir import COLUMNS, RunDirectory, is_column, named_errors


def test_names(tmp_path):
    files = RunDirectory(tmp_path / "a" / "b")
    assert files.config == tmp_path / "a" / "b" / "config.yaml"
    assert files.checkpoints == tmp_path / "a" / "b" / "checkpoints"


def test_a_directory_has_one_owner_at_a_time(tmp_path):
    with RunDirectory(tmp_path / "run"):
        with pytest.raises(UserError) as caught, RunDirectory(tmp_path / "run", resume=True):
            pass
        assert str(caught.value).startswith(f"{tmp_path / 'run'} is in use by process {os.getpid()} on ")
    with RunDirectory(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_lock_goes_with_its_process(tmp_path):
    child = os.fork()
    if child == 0:
        RunDirectory(tmp_path).__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / ".owner").read_text().startswith(f"process {child} on ")
    with RunDirectory(tmp_path):
        assert (tmp_path / ".owner").read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_that_its_owner_removed_is_not_the_lock(tmp_path, monkeypatch):
    first, flock, calls = RunDirectory(tmp_path), fcntl.flock, []
    first.__enter__()

    def after_the_owner_has_gone(descriptor, operation):
        if not calls:
            calls.append(1)
            first.__exit__(None, None, None)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_owner_has_gone)
    with RunDirectory(tmp_path) as second, pytest.raises(UserError, match="in use"), RunDirectory(tmp_path):
        assert second


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "metrics.csv",
        "metrics.jsonl",
        "provenance.json",
        "summary.json",
        "events.out.tfevents.1",
        "checkpoints/a.pt",
    ],
)
def test_files_of_another_run_are_not_written_over(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("days of work")
    with pytest.raises(UserError, match="exists already"), RunDirectory(tmp_path):
        pass
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_what_is_no_runs_is_left_alone(tmp_path):
    for name in ("deeprob.log", ".hydra/config.yaml", "thesis.txt", "checkpoints/config.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of Hydra, or years of work")
    with RunDirectory(tmp_path) as files:
        files.write_json("provenance", {})
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"deeprob.log", ".hydra/config.yaml", "thesis.txt", "checkpoints/config.yaml", "provenance.json"}


def test_provenance_of_every_session(tmp_path):
    files = RunDirectory(tmp_path)
    files.write_json("provenance", {"command": "a"})
    files.add_provenance({"command": "b"})
    files.add_provenance({"command": "c"})
    assert files.read_json("provenance") == {"command": "a", "resumed": [{"command": "b"}, {"command": "c"}]}


def test_json_is_written_whole(tmp_path):
    files = RunDirectory(tmp_path)
    files.write_json("summary", {"status": "completed"})
    files.write_json("summary", {"status": "stopped"})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"status": "stopped"}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_which_columns_there_may_be():
    assert all(map(is_column, [*COLUMNS, "val/recall/a/b"]))
    assert not any(map(is_column, ["test/loss", "train/recall/a", "val/recall/", "val/f2"]))


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
