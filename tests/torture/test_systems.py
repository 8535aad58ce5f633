"""Systems that lack something: every command runs where a call of Unix is hidden."""

import subprocess
import sys

import pytest

HIDDEN = [
    "fcntl", "resource", "pwd", "os.fork", "os.sysconf", "os.pwrite", "os.pread", "os.link", "os.fchmod", "os.getuid",
    "signal.SIGTERM",
]  # fmt: skip

COMMANDS = """
import importlib, os, signal, sys, warnings

import torch  # which brings libraries that ask what system this is; what is hidden is hidden from deeprob
import matplotlib.figure, multiprocessing.popen_fork, tensorboard.compat.proto.event_pb2, torch._dynamo

for name in sys.argv[1:]:
    module, _, attribute = name.partition(".")
    if attribute:
        delattr(importlib.import_module(module), attribute)
    else:
        sys.modules[name] = None
for name in [name for name in sys.modules if name.partition(".")[0] == "filelock"]:
    del sys.modules[name]  # torch has it already
warnings.simplefilter("error")
warnings.filterwarnings("default", "only soft file lock is available")  # of filelock itself

from deeprob.commands.main import main

small = "dataset.points_per_class=20 dataset.test_points_per_class=10 model.width=4 trainer.epochs=2".split()
for command, words in [
    ("train", [*small, "hydra.run.dir=run", "trainer.figures=[confusion]", "dataset.val_fraction=0.2"]),
    ("train", ["resume=run", "trainer.epochs=2"]),
    ("train", [*small, "hydra.run.dir=other", "resume=auto", "scheduler=constant"]),
    ("train", ["resume=other", "trainer.epochs=3"]),
    ("train", ["-m", *small, "seed=0,1", "hydra.sweep.dir=s"]),
    ("train", ["-m", *small, "seed=0,1,2", "hydra.sweep.dir=t", "hydra/launcher=auto"]),
    ("train", ["-m", *small, "seed=0,1,2,3", "hydra.sweep.dir=t", "hydra/launcher=auto", "resume=auto"]),
    ("evaluate", ["run=run"]),
    ("visualize", ["run=run", "figure=decision_boundary", "figure.resolution=20"]),
    ("visualize", ["run=s", "figure=learning_curves"]),
    ("compare", ["sweep=t"]),
    ("optimizers", []),
]:
    status = main(words, command)
    assert status == 0, (command, words, status)
status = main(["-m", *small, "seed=0,1", "hydra.sweep.dir=i", "sweep.isolate=true"], "train")
assert status == (0 if hasattr(os, "fork") else 2), status
assert status == 0 or not os.path.exists("i")
"""


def run_all(folder, hidden) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, *hidden], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


def assert_all_ran(result, hidden) -> None:
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    expected = f"sweep.isolate=true needs fork, which this system ({sys.platform}) lacks; leave it out"
    assert [line.split(": ", 2)[-1] for line in lines] == ([expected] if "os.fork" in hidden else [])


def test_every_command_runs_where_all_calls_of_unix_are_hidden(tmp_path):
    assert_all_ran(run_all(tmp_path, HIDDEN), HIDDEN)


@pytest.mark.slow
@pytest.mark.parametrize("name", HIDDEN)
def test_every_command_runs_where_a_call_of_unix_is_hidden(tmp_path, name):
    assert_all_ran(run_all(tmp_path, [name]), [name])
