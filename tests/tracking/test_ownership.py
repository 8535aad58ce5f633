"""Who owns a directory; see also test_run_dir.py."""

import fcntl
import os
import socket
import subprocess
import sys

import pytest

from deeprob.errors import Superseded, UserError
from deeprob.tracking import ownership
from deeprob.tracking.ownership import LOCK, OWNER, Owner, Ownership, owned


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
    assert len(waits) == ownership.TRIALS - 1
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


def test_a_start_that_cannot_write_its_name_leaves_nothing(tmp_path, monkeypatch):
    def full(path, target):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ownership.Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            Ownership(tmp_path).take()
    assert list(tmp_path.iterdir()) == []
    with Ownership(tmp_path):
        pass


# ---------------------------------------------------------------- attempts

HERE = f"process {os.getpid()} on {socket.gethostname()}"


def test_an_owner_is_read_as_it_was_written(tmp_path):
    for owner, text in (
        (Owner(12, "host"), "process 12 on host"),
        (Owner(12, "a host, far away", 2), "process 12 on a host, far away, attempt 2"),
    ):
        assert str(owner) == text
        (tmp_path / OWNER).write_text(text)
        assert Owner.of(tmp_path) == owner
    for text in ("", "process 12 on ", "process x on host", "process 12 on host\n"):
        (tmp_path / OWNER).write_text(text)
        assert Owner.of(tmp_path) is None
    assert Owner.of(tmp_path / "missing") is None


def test_a_newer_attempt_takes_over_and_the_older_one_notices(tmp_path):
    older, newer = Ownership(tmp_path), Ownership(tmp_path, attempt=2)
    older.take()
    older.check()
    newer.take()
    assert (tmp_path / OWNER).read_text() == f"{HERE}, attempt 2"
    with pytest.raises(Superseded) as caught:
        older.check()
    assert str(caught.value) == f"{tmp_path} now belongs to {HERE}, attempt 2; this older attempt stops"
    older.give_up()
    newer.check()
    assert owned(tmp_path)
    for attempt in (0, 1, 2):
        with pytest.raises(UserError, match=f"is in use by {HERE}, attempt 2; wait"):
            Ownership(tmp_path, attempt).take()
    newer.check()
    newer.give_up()
    assert list(tmp_path.iterdir()) == []


def test_an_older_attempt_notices_a_newer_one_that_has_ended_already(tmp_path):
    older = Ownership(tmp_path)
    older.take()
    with Ownership(tmp_path, attempt=1):
        pass
    with pytest.raises(Superseded, match="now belongs to another process, or was removed; this older attempt stops"):
        older.check()
    with Ownership(tmp_path, attempt=2) as third:
        older.give_up()
        third.check()


def test_an_owner_whose_name_a_person_removed_stays_the_owner(tmp_path):
    with Ownership(tmp_path) as owner:
        (tmp_path / OWNER).unlink()
        owner.check()
        (tmp_path / OWNER).touch()
        owner.check()
    assert list(tmp_path.iterdir()) == []


def test_an_older_attempt_in_another_process_notices(tmp_path):
    line = f"""
import pathlib
from deeprob.tracking.ownership import Ownership
with Ownership(pathlib.Path({str(tmp_path)!r}), 1) as older:
    older.check()
    print("owns", flush=True)
    input()
    older.check()
"""
    words = [sys.executable, "-c", line]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"owns\n"
        with pytest.raises(UserError, match=f"process {process.pid} on .+, attempt 1"):
            Ownership(tmp_path, 1).take()
        with Ownership(tmp_path, 2) as newer:
            _, err = process.communicate(b"\n", timeout=60)
            assert f"now belongs to {HERE}, attempt 2; this older attempt stops" in err.decode()
            newer.check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("attempt", [0, 1])
def test_where_machines_share_no_locks_the_attempts_decide(tmp_path, monkeypatch, attempt):
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)  # every lock is granted
    older, newer = Ownership(tmp_path, attempt), Ownership(tmp_path, 2)
    older.take()
    newer.take()
    with pytest.raises(Superseded, match=f"now belongs to {HERE}, attempt 2"):
        older.check()
    older.give_up()
    newer.check()
    (tmp_path / OWNER).write_text("process 12 on another-machine, attempt 2")
    with pytest.raises(UserError) as caught:  # the older worker goes on with its next run
        Ownership(tmp_path, attempt).take()
    assert str(caught.value) == (
        f"{tmp_path} is in use by process 12 on another-machine, attempt 2; "
        f"wait for it, or remove {tmp_path / OWNER} if that process has ended"
    )
    newer.give_up()
    assert (tmp_path / OWNER).exists()


@pytest.mark.parametrize(
    ("left", "attempt"),
    [
        ("process 12 on another-machine", 0),
        ("process 12 on another-machine, attempt 2", 2),
        ("process 12 on another-machine, attempt 2", 3),
        (f"process 12 on {socket.gethostname()}, attempt 2", 0),
    ],
)
def test_the_directory_of_an_owner_that_was_killed_is_taken(tmp_path, left, attempt):
    (tmp_path / LOCK).touch()
    (tmp_path / OWNER).write_text(left)
    with Ownership(tmp_path, attempt) as owner:
        owner.check()
        assert Owner.of(tmp_path) == Owner(os.getpid(), socket.gethostname(), attempt)
    assert list(tmp_path.iterdir()) == []
