import errno
import io
import os
import sys
from pathlib import Path

import pytest

from deeprob.tracking.streams import guarded


def test_a_full_output_has_a_name_and_does_not_fail_again(monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left") as caught, guarded():
            print("lost", flush=True)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "standard output")
        print("what waits leads nowhere now", file=full)  # and closing it raises nothing


def test_an_output_that_nobody_reads_is_a_broken_pipe(monkeypatch):
    nobody, end = os.pipe()
    os.close(nobody)
    with os.fdopen(end, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(BrokenPipeError, match="standard output"), guarded():
            print("lost", flush=True)


def test_what_standard_error_does_not_take_is_lost(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with guarded():
            print("lost", file=sys.stderr, flush=True)
            print("told")
    assert capsys.readouterr().out == "told\n"


def test_closed_streams_lead_nowhere(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with guarded():
        print("nowhere", flush=True)
        print("nowhere", file=sys.stderr)
        assert sys.stdin.read() == ""
    opened = [sys.stdin, sys.stdout, sys.stderr]
    assert [Path(f"/proc/self/fd/{stream.fileno()}").resolve() for stream in opened] == [Path(os.devnull)] * 3
    for stream in opened:
        stream.close()


def test_the_streams_are_as_before_and_letters_are_replaced(monkeypatch):
    written = io.BytesIO()
    narrow = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    with guarded():
        print("λ = 1")
        assert sys.stdout.encoding == "ascii"
        assert not sys.stdout.isatty()
    assert sys.stdout is narrow
    assert written.getvalue() == b"? = 1\n"
