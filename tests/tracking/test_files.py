"""Files appear whole or not at all, keep the generation before, and are synced: each, or all together."""

import errno
import os
from pathlib import Path

import pytest

from deeprob.tracking.files import also, sync_folder, synced_together, write_whole


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def syncs(monkeypatch) -> list[str]:
    """What is synced, in order: the name of a file or folder."""
    done: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
    )
    return done


def test_a_file_is_synced_under_another_name_and_its_folder_after_it_has_its_own(tmp_path, syncs):
    write_whole(tmp_path / "x", b"new")
    assert contents(tmp_path) == {"x": "new"}
    assert syncs == ["x.tmp", tmp_path.name]


def test_the_previous_name_is_of_the_file_before(tmp_path):
    for content in (b"1", b"2", b"3"):
        write_whole(tmp_path / "x", content, previous=tmp_path / "x.prev")
        if content == b"1":
            assert contents(tmp_path) == {"x": "1"}
    assert contents(tmp_path) == {"x": "3", "x.prev": "2"}


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_what_fails_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, step):
    write_whole(tmp_path / "x", b"old")

    def full(*words, **named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "something else")

    if step == "link":  # a file system without hard links, on which there is no space for the copy
        monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr(Path if step == "replace" else os, step, full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "x", b"new", previous=tmp_path / "x.prev")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "x"))
    assert contents(tmp_path)["x"] == "old"
    assert "x.tmp" not in contents(tmp_path)


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_replaces_what_bore_it_and_stays_when_the_first_gets_a_new_file(tmp_path, monkeypatch, links):
    def refuse(*words):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("in the way")
    for _ in range(2):  # the second time both are names of one file already
        also(tmp_path / "a", tmp_path / "b")
        assert contents(tmp_path) == {"a": "1", "b": "1"}
    assert (tmp_path / "a").samefile(tmp_path / "b") == links
    write_whole(tmp_path / "a", b"2")
    assert contents(tmp_path) == {"a": "2", "b": "1"}


def test_files_written_together_are_synced_at_the_end_under_their_last_names(tmp_path, syncs):
    with synced_together():
        for name in "ab":
            write_whole(tmp_path / name, b"")
        write_whole(tmp_path / "gone", b"")
        (tmp_path / "gone").unlink()
        assert syncs == []
    assert sorted(syncs) == sorted(["a", "b", tmp_path.name])  # each once, whatever is synced at the same time
    write_whole(tmp_path / "c", b"")
    assert syncs[3:] == ["c.tmp", tmp_path.name]


def test_nothing_written_is_nothing_to_sync(syncs):
    with synced_together():
        pass
    assert syncs == []


def test_what_was_written_before_an_error_is_synced_too(tmp_path, syncs):
    @synced_together()
    def fail():
        write_whole(tmp_path / "a", b"")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert sorted(syncs) == sorted(["a", tmp_path.name])


def test_a_file_that_cannot_be_synced_with_others_is_named(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    @synced_together()
    def write():
        write_whole(tmp_path / "a", b"")
        monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="Input/output error") as caught:
        write()
    assert caught.value.filename in (str(tmp_path / "a"), str(tmp_path))


def test_a_folder_is_synced_and_closed(tmp_path, syncs):
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    sync_folder(tmp_path)
    assert syncs == [tmp_path.name]
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_each_file_that_cannot_be_synced_is_handed_over(tmp_path, monkeypatch):
    fsync, failed = os.fsync, []

    def bad(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name in ("a", "c"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    with synced_together(failed.append):
        for name in "abc":
            write_whole(tmp_path / name, b"")
        monkeypatch.setattr(os, "fsync", bad)
    assert [(error.errno, error.filename) for error in failed] == [(errno.EIO, str(tmp_path / name)) for name in "ac"]
