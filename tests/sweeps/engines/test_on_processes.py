"""Processes of this machine as workers. One test starts them, because each needs seconds to import torch."""

import os
import signal
import time
from concurrent.futures import wait
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from deeprob.sweeps.engines import on_processes
from deeprob.sweeps.engines.on_processes import Processes, start
from deeprob.sweeps.workers import cause


def about(portion: str) -> dict:
    """In place of `work`: what a worker is, or its end."""
    if portion == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if portion == "sleep":
        time.sleep(60)
    return {
        "process": os.getpid(), "group": os.getpgid(0), "parent": os.getppid(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "handler": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }  # fmt: skip


def test_workers_are_apart_from_each_other_and_from_the_terminal(monkeypatch):
    monkeypatch.setattr(on_processes, "work", about)
    with Processes(2) as engine:
        one, other = engine.submit("one"), engine.submit("other")
        first, second = one.result(), other.result()
        for answer in (first, second):
            assert answer["parent"] == os.getpid()
            assert answer["group"] == answer["process"]
            assert (answer["threads"], answer["blocked"], answer["handler"]) == ("1", False, True)
        assert first["process"] != second["process"]
        killed, again = engine.submit("die"), engine.submit("one")
        wait([killed, again])
        assert cause(killed.exception()) == "a process ended by SIGKILL(-9)"
        assert again.result()["process"] in (first["process"], second["process"])
        third = engine.submit("one").result()["process"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert not Path(f"/proc/{third}").exists()


def test_an_error_kills_the_workers(monkeypatch):
    monkeypatch.setattr(on_processes, "work", about)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Processes(1) as engine:  # noqa: PT012
        process = engine.submit("one").result()["process"]
        engine.submit("sleep")
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
    assert not Path(f"/proc/{process}").exists()


def test_processes_start_only_when_they_are_needed(tmp_path):
    with start(64, "auto", {}, tmp_path) as engine:
        assert engine._executors == [None] * 64


def test_a_start_of_python_s_tracker_does_not_unblock_interrupts(monkeypatch):
    def blocked() -> bool:
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with monkeypatch.context() as patch:
        patch.setattr(resource_tracker._resource_tracker, "_fd", None)  # as before its first start
        patch.setattr(resource_tracker._resource_tracker, "_pid", None)
        with on_processes._without_interrupts():
            resource_tracker.ensure_running()
            assert blocked()
        resource_tracker._resource_tracker._stop()
    assert not blocked()
