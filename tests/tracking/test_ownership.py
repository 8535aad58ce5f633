"""Who owns a directory; see also test_run_dir.py."""

import os
import socket
import subprocess
import sys

import pytest

from deeprob.errors import UserError
from deeprob.tracking import ownership
from deeprob.tracking.ownership import LOCK, OWNER, Ownership, owned


def test_it_is_of_one_at_a_time_and_leaves_nothing(tmp_path):
    folder = tmp_path / "new" / "folder"
    with Ownership(folder):
        assert owned(folder)
        assert {path.name for path in folder.iterdir()} == {LOCK, OWNER}
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on {socket.gethostname()}; wait"):
            Ownership(folder).take()
        (folder / "file").touch()
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert not owned(folder)


def test_the_name_that_a_dead_process_left_is_replaced_and_not_written_over(tmp_path):
    (tmp_path / "elsewhere").write_text("as before")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / OWNER).hardlink_to(tmp_path / "elsewhere")
    with Ownership(tmp_path / "run"):
        assert owned(tmp_path / "run")
    assert (tmp_path / "elsewhere").read_text() == "as before"


def test_an_owner_that_has_not_said_its_name_yet_is_waited_for(tmp_path, monkeypatch):
    waits = []
    first = Ownership(tmp_path)
    first.take()
    (tmp_path / OWNER).unlink()
    monkeypatch.setattr(ownership.time, "sleep", waits.append)
    with pytest.raises(UserError, match="in use by another process; wait"):
        Ownership(tmp_path).take()
    assert len(waits) == ownership.ATTEMPTS - 1
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: first.give_up() if first._lock.is_locked else None)
    with Ownership(tmp_path):
        pass


def test_the_folder_of_a_process_that_died_may_be_taken(tmp_path):
    line = f"""
import os, pathlib
from deeprob.tracking.ownership import Ownership
owner = Ownership(pathlib.Path({str(tmp_path)!r}))
owner.take()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 9
    assert (tmp_path / OWNER).exists()
    assert not owned(tmp_path)
    with Ownership(tmp_path):
        assert owned(tmp_path)
