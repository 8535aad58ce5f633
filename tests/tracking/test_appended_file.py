import os
import time

from deeprob.tracking.appended_file import AppendedFile
from deeprob.tracking.files import synced_together


def test_content_waits_until_it_is_written(tmp_path):
    file = AppendedFile(tmp_path / "x")
    file.append(b"one ")
    assert not file.path.exists()
    file.flush()
    file.append(b"two")
    assert file.path.read_bytes() == b"one "
    file.write()
    file.write()
    assert file.path.read_bytes() == b"one two"


def test_a_flush_soon_after_a_write_waits(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = AppendedFile(tmp_path / "x", every=2.0)
    sizes = []
    for now[0] in (100.0, 101.0, 102.0, 102.5):
        file.append(b"a")
        file.flush()
        sizes.append(file.path.stat().st_size)
    assert sizes == [1, 1, 3, 3]


def test_a_file_is_cut_to_a_length(tmp_path):
    file = AppendedFile(tmp_path / "x")
    file.cut(3)
    assert not file.path.exists()
    assert file.synced_length() == 0
    file.append(b"abcdef")
    assert file.synced_length() == 6
    for length in (9, 3):
        file.cut(length)
    assert file.path.read_bytes() == b"abc"
    file.append(b"d")
    file.discard()
    assert file.synced_length() == 3


def test_the_length_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    file = AppendedFile(tmp_path / "x")
    file.append(b"abc")
    assert (file.synced_length(), synced) == (3, [3])
    with synced_together():
        file.append(b"d")
        assert file.synced_length() == 4
        assert synced == [3]
    assert synced == [3, 4]
