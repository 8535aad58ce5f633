"""Tensors kept on the disk: the same again, and nothing that is not what was written."""

import fcntl
import os
import stat
from pathlib import Path

import pytest
import torch

from deeprob.tracking import cache
from deeprob.tracking.cache import Cache, Damaged, fingerprint, user_cache

TENSORS = {
    "floats": torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3),
    "bytes": torch.arange(7, dtype=torch.uint8),
    "turned": torch.arange(6.0).view(2, 3).T,
    "one": torch.tensor(3),
    "none": torch.empty(0, 4),
    "truth": torch.tensor([True, False]),
    "short": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
}


@pytest.fixture
def store(tmp_path) -> Cache:
    return Cache(tmp_path / "above" / "cache")


def test_tensors_come_back_as_they_were(store):
    assert store.get("k") is None
    store.put("k", TENSORS)
    read = store.get("k")
    assert list(read) == list(TENSORS)
    for name, tensor in TENSORS.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(read[name], tensor)


def test_a_file_is_replaced_and_everyone_may_read_it(store):
    store.put("k", {"x": torch.zeros(3)})
    before = store.get("k")
    store.put("k", {"x": torch.ones(3)})
    assert store.get("k")["x"].tolist() == [1, 1, 1]
    assert before["x"].tolist() == [0, 0, 0]  # mapped from the file that was there
    assert stat.S_IMODE(store.path("k").stat().st_mode) == 0o644
    assert list(store.folder.iterdir()) == [store.path("k")]


def test_writing_to_a_tensor_does_not_change_the_file(store):
    store.put("k", {"x": torch.ones(3)})
    store.get("k")["x"].zero_()
    assert store.get("k")["x"].tolist() == [1, 1, 1]


def other_header(whole: bytes) -> bytes:
    return whole.replace(b'"floats"', b'"floaty"')


DAMAGE = {
    "empty": lambda whole: b"",
    "a letter": lambda whole: b"x",
    "only the first line": lambda whole: whole[:16],
    "half": lambda whole: whole[: len(whole) // 2],
    "another first line": lambda whole: b"D" + whole[1:],
    "a byte of a tensor": lambda whole: whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:],
    "a byte of the header": other_header,
    "a length without end": lambda whole: whole[:32] + b"\xff" * 8 + whole[40:],
    "text": lambda whole: b"not a cache at all\n" * 100,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_noticed(store, how):
    store.put("k", {"floats": torch.arange(64.0), "last": torch.arange(32.0)})
    whole = store.path("k").read_bytes()
    spoilt = DAMAGE[how](whole)
    assert spoilt != whole
    store.path("k").write_bytes(spoilt)
    with pytest.raises(Damaged, match=r"k\.tensors: damaged, or not a file of deeprob"):
        store.get("k")
    store.put("k", {"x": torch.ones(1)})
    assert store.get("k")["x"].tolist() == [1]


def test_the_file_of_another_key_is_noticed(store):
    store.put("k", TENSORS)
    store.path("k").rename(store.path("other"))
    with pytest.raises(Damaged):
        store.get("other")


def test_what_is_no_file_is_noticed(store):
    store.path("k").mkdir(parents=True)
    with pytest.raises(Damaged, match=r"k\.tensors: not a file"):
        store.get("k")
    with pytest.raises(OSError, match="directory"):
        store.put("k", TENSORS)
    os.mkfifo(store.path("pipe"))  # reading it would wait for ever
    with pytest.raises(Damaged):
        store.get("pipe")
    assert {path.name for path in store.folder.iterdir()} == {"k.tensors", "pipe.tensors"}


def test_a_folder_that_cannot_be_made_is_an_error_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Cache(tmp_path / "file").put("k", TENSORS)
    assert Cache(tmp_path / "file").get("k") is None


def test_a_full_disk_leaves_nothing(store, monkeypatch):
    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    store.put("k", {"x": torch.ones(1)})
    monkeypatch.setattr(Path, "chmod", full)
    with pytest.raises(OSError, match="No space left"):
        store.put("l", TENSORS)
    assert list(store.folder.iterdir()) == [store.path("k")]


def test_those_read_least_recently_make_room(tmp_path):
    def kilobyte(number: int) -> dict[str, torch.Tensor]:
        return {"x": torch.full((1024,), number, dtype=torch.uint8)}

    store = Cache(tmp_path, limit=4000)  # three of them, with their headers
    for number in range(3):
        store.put(str(number), kilobyte(number))
        os.utime(store.path(str(number)), (1000 + number, 1000 + number))
    store.get("0")
    (tmp_path / "foreign.txt").write_text("x" * 9000)
    store.put("3", kilobyte(3))
    assert [key for key in "0123" if store.get(key) is not None] == ["0", "2", "3"]
    with pytest.raises(OSError, match="larger than the limit of the cache"):
        store.put("4", {"x": torch.zeros(4000, dtype=torch.uint8)})
    assert [key for key in "0123" if store.get(key) is not None] == ["0", "2", "3"]
    assert (tmp_path / "foreign.txt").exists()


def test_what_a_killed_process_left_goes_at_once(store):
    store.put("k", {"x": torch.ones(1)})
    (store.folder / ".left.tmp").write_text("half")
    with (store.folder / ".written.tmp").open("w") as file:  # by a process that is alive
        fcntl.flock(file, fcntl.LOCK_EX)
        store.put("l", {"x": torch.ones(1)})
        assert {path.name for path in store.folder.iterdir()} == {"k.tensors", "l.tensors", ".written.tmp"}
    store.put("m", {"x": torch.ones(1)})
    assert {path.name for path in store.folder.iterdir()} == {"k.tensors", "l.tensors", "m.tensors"}


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(store, monkeypatch):
    lock, locked = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not locked:
            next(store.folder.glob(".*.tmp")).unlink()
        locked.append(how)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    store.put("k", {"x": torch.ones(1)})
    assert store.get("k")["x"].tolist() == [1]
    assert len(locked) == 2
    assert list(store.folder.iterdir()) == [store.path("k")]


def test_a_file_system_without_locks_will_do(store, monkeypatch):
    def missing(*words: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    store.put("k", {"x": torch.ones(1)})
    (store.folder / ".other.tmp").write_text("half")  # nobody can tell whether it is abandoned
    store.put("k", {"x": torch.zeros(1)})
    assert store.get("k")["x"].tolist() == [0]
    assert {path.name for path in store.folder.iterdir()} == {"k.tensors", ".other.tmp"}


def test_a_fingerprint_tells_type_shape_and_values_apart(monkeypatch):
    zeros = torch.zeros(2, 3)
    others = [torch.zeros(3, 2), torch.zeros(6), torch.zeros(2, 3, dtype=torch.int32), torch.tensor(0.0), -zeros]
    changed = zeros.clone()
    changed[1, 2] = 1e-30
    prints = [fingerprint(tensor) for tensor in (zeros, *others, changed)]
    assert len(set(prints)) == len(prints)
    assert fingerprint(torch.zeros(3, 2).T) == fingerprint(zeros)
    long = torch.arange(1000)
    monkeypatch.setattr(cache, "_BLOCK", 64)
    blocks = fingerprint(long)
    assert blocks == fingerprint(long.clone())
    long[[3, 900]] = long[[900, 3]]
    assert blocks != fingerprint(long)


def test_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "deeprob"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "deeprob"


def test_a_user_without_a_home_has_a_folder_that_takes_nothing(monkeypatch, capsys):
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # whom the system does not know
    cache._note_no_home.cache_clear()
    folder = user_cache()
    assert Cache(folder).get("a") is None
    with pytest.raises(OSError, match="Not a directory"):
        Cache(folder / "features").put("a", {"x": torch.zeros(1)})
    user_cache()
    assert capsys.readouterr().err.splitlines() == [
        "note: no home directory: nothing is kept for later runs; set HOME, or XDG_CACHE_HOME to a folder for it"
    ]
