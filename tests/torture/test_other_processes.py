"""A launcher of other processes (joblib): what becomes of jobs when one of them is killed, or all are interrupted."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATCH = """
import os, signal, time
if os.environ.get("DEEPROB_DYING"):  # in every process, before it takes its first job
    from deeprob.running.recorder import Recorder
    start = Recorder.start
    def dying(recorder):
        start(recorder)
        kind, seed = os.environ["DEEPROB_DYING"].split()
        if recorder.setup.config.seed == int(seed) and not (kind == "once" and os.path.exists("died")):
            open("died", "w").close()
            time.sleep(0.5)  # so that the others have begun
            os.kill(os.getpid(), signal.SIGKILL)
    Recorder.start = dying
"""

TRAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from deeprob.commands.main import main
sys.exit(main(sys.argv[1:], "train"))
"""


@pytest.fixture
def joblib(tmp_path, small):
    """Start a sweep over two processes of joblib, in a group of processes of its own."""
    (tmp_path / "sitecustomize.py").write_text(PATCH)

    def start(*words: str, dying: str = "") -> subprocess.Popen:
        path = os.pathsep.join([str(tmp_path), *sys.path])
        environment = {**os.environ, "PYTHONPATH": path, "DEEPROB_DYING": dying, "OMP_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-c",
            TRAIN,
            "-m",
            *small,
            *words,
            "hydra/launcher=joblib",
            "hydra.launcher.n_jobs=2",
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            [*command, "hydra.sweep.dir=s"], cwd=tmp_path, env=environment, start_new_session=True, **pipes
        )

    return start


def rows(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "s/summary.csv").open() as file:
        return [(row["seed"], row["status"], row["error"]) for row in csv.DictReader(file)]


def test_a_killed_process_is_named_and_the_jobs_that_had_begun_go_on(joblib, tmp_path):
    process = joblib("seed=0,1,2", dying="always 1")
    _, err = process.communicate(timeout=300)
    reason = "a process ended by SIGKILL(-9)"
    assert process.returncode == 4, err
    assert rows(tmp_path) == [("0", "completed", ""), ("1", "failed", reason), ("2", "completed", "")]
    assert f"error: job 1: {reason}\n" in err
    assert err.endswith("error: 1 of 3 jobs failed: 1\n")
    assert "exists already" not in err


@pytest.mark.slow
def test_a_job_whose_process_was_killed_once_ends_well(joblib, tmp_path):
    process = joblib("seed=0,1,2", dying="once 1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [status for _, status, _ in rows(tmp_path)] == ["completed"] * 3


@pytest.mark.slow
def test_ctrl_c_lets_running_jobs_save(joblib, tmp_path):
    process = joblib("seed=0,1,2,3", "trainer.epochs=100000")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("s/*/metrics.csv"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert [status for _, status, _ in rows(tmp_path)] == ["interrupted", "interrupted", "not started", "not started"]
    for folder in sorted(tmp_path.glob("s/*_*"))[:2]:
        assert (folder / "checkpoints/last.pt").exists()
        assert '"interrupted"' in (folder / "summary.json").read_text()
