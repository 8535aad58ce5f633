"""Processes of this machine as workers. One test starts them, because each needs seconds to import torch."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
import torch

from deeprob.sweeps.engines import on_processes
from deeprob.sweeps.engines.on_processes import Processes, start
from deeprob.sweeps.workers import cause
from deeprob.tracking import checkpoint_file


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


def test_workers_import_nothing_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(on_processes, "work", about)
    monkeypatch.chdir(tmp_path)
    Path("loky.py").write_text("raise SystemExit('imported')")
    with Processes(1) as engine:
        assert engine.submit("one").result()["process"] > 0
    assert "PYTHONSAFEPATH" not in os.environ


def test_processes_start_only_when_they_are_needed(tmp_path):
    with start(64, "auto", {}, tmp_path) as engine:
        assert engine._executors == [None] * 64


def test_a_start_of_python_s_tracker_does_not_unblock_interrupts(monkeypatch):
    def blocked() -> bool:
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with monkeypatch.context() as patch:
        patch.setattr(resource_tracker._resource_tracker, "_fd", None)  # as before its first start
        patch.setattr(resource_tracker._resource_tracker, "_pid", None)
        with on_processes.without_interrupts():
            resource_tracker.ensure_running()
            assert blocked()
        resource_tracker._resource_tracker._stop()
    assert not blocked()


JOBS = ("-m", "seed=range(12)", "model.width=16", "trainer.epochs=40", "trainer.checkpoint_minutes=0.005",
        "trainer.progress=false", "hydra.launcher.workers=2", "hydra.launcher.max_stack=3")  # fmt: skip
PROGRAM = (sys.executable, "-c", "import sys; from deeprob.commands.main import train; sys.exit(train())")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "s"
    subprocess.run([*PROGRAM, *JOBS, f"hydra.sweep.dir={folder}"], check=True, capture_output=True)
    return folder


def reported(folder: Path) -> list[int]:
    """The process numbers of the workers that have begun a portion."""
    files = folder.glob(".workers/*/jobs-*.jsonl")
    return [json.loads(line)["process"] for file in files if (line := file.read_text().partition("\n")[0])]


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(20))
def test_a_killed_worker_costs_no_result(trial, undisturbed, tmp_path):
    folder, rng = tmp_path / "s", random.Random(trial)
    sweep = subprocess.Popen([*PROGRAM, *JOBS, f"hydra.sweep.dir={folder}"], stderr=subprocess.PIPE, text=True)
    while len(reported(folder)) < 2:
        assert sweep.poll() is None
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 2.0))  # later, the worker may have nothing left to lose
    alive = [process for process in reported(folder) if Path(f"/proc/{process}").exists()]
    os.kill(rng.choice(alive), signal.SIGKILL)
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    assert "was lost (a process ended by SIGKILL(-9))" in err
    with (folder / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["status"]) for row in rows] == [(str(seed), "completed") for seed in range(12)]
    for path in [*undisturbed.glob("*/checkpoints/last.pt"), *undisturbed.glob("*/checkpoints/best.pt")]:
        wanted, found = (checkpoint_file.load(root / path.relative_to(undisturbed)) for root in (undisturbed, folder))
        assert all(torch.equal(wanted["model"][name], found["model"][name]) for name in wanted["model"])
        assert wanted["step"] == found["step"]
