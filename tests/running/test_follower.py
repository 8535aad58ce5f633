"""One run on several processes, from the command line: rank 0 writes the run of one process with the same chunks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from deeprob.commands.main import main
from deeprob.tracking.checkpoint_file import load_newest
from deeprob.training.update import Update

RUN = ("dataset.val_fraction=0.2", "trainer.precision=float64", "trainer.progress=false")  # 72 points by 32: 32, 32, 8
CLOCKS = ("seconds", "time/", "recorder")


def plain(value, name=""):
    """Yield each value of a checkpoint with its name, except for times."""
    if isinstance(value, dict | list | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from plain(part, f"{name}/{key}")
    elif not any(word in name for word in CLOCKS):
        yield name, value


def assert_same(one: str, other: str, file: str = "last.pt") -> None:
    """Assert that the checkpoints of two runs have the same bits."""
    mine, theirs = (dict(plain(load_newest(Path(run) / "checkpoints" / file))) for run in (one, other))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        assert same, name


def summary(run: str) -> dict:
    return json.loads((Path(run) / "summary.json").read_text())


def chunk_size(run: str) -> str:
    lines = (Path(run) / "config.yaml").read_text().splitlines()
    return next(line.split()[1] for line in lines if "chunk_size" in line)


WAYS = {
    "dropout and a plateau": ("model.dropout=0.2", "scheduler=plateau", "scheduler.patience=0", "trainer.epochs=4"),
    "early stopping": ("optimizer.lr=0.5", "trainer.patience=1", "trainer.epochs=20"),
    "lbfgs in rounds": ("optimizer=lbfgs", "trainer.chunk_size=15"),
    "autograd": ("trainer.gradient=autograd", "regularizer=l1", "regularizer.strength=1e-3"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_run_is_that_of_one_process_with_the_same_chunks(deeprob, small, on_ranks, way):
    words = (*small, *RUN, *WAYS[way])
    first, second = on_ranks(2, lambda rank: main([*words, "hydra.run.dir=two"]))
    assert (first.status, first.err) == (0, "")
    assert second == (0, "", "")
    assert first.out.startswith("epoch ")
    assert deeprob(*words, f"trainer.chunk_size={chunk_size('two')}", "hydra.run.dir=one").status == 0
    for file in ("last.pt", "best.pt"):
        assert_same("one", "two", file)
    assert (Path("one") / "config.yaml").read_bytes() == (Path("two") / "config.yaml").read_bytes()
    assert chunk_size("two") == {"lbfgs in rounds": "15"}.get(way, "16")
    if way == "early stopping":
        assert summary("two")["status"] == "stopped"


def test_a_directory_without_a_name_is_chosen_once(small, on_ranks, deeprob):
    results = on_ranks(3, lambda rank: main(small))
    assert [result.status for result in results] == [0, 0, 0]
    (found,) = Path("outputs/spirals-mlp-adamw").iterdir()
    assert (found / "summary.json").is_file()


def test_pictures_and_their_features_are_read_by_all(pictures, on_ranks, deeprob):
    words = ["dataset=image_folder", f"dataset.root={pictures}", "features=hog", "model=linear", "trainer.epochs=2"]
    results = on_ranks(2, lambda rank: main([*words, "hydra.run.dir=two"]))
    assert [result.status for result in results] == [0, 0]
    assert deeprob(*words, f"trainer.chunk_size={chunk_size('two')}", "hydra.run.dir=one").status == 0
    assert_same("one", "two")


def interrupted_at(step: int, who: int, rank: int) -> None:
    """Send SIGTERM to the process `who` of this run in update `step`."""
    make = Update.__call__

    def and_signal(self, batch, number):
        if (number, rank) == (step, who):
            os.kill(os.getpid(), signal.SIGTERM)
        make(self, batch, number)

    Update.__call__ = and_signal  # in a process of its own


@pytest.mark.parametrize("who", [0, 1])
def test_all_stop_after_the_update_in_which_one_gets_a_signal_and_go_on_bit_for_bit(deeprob, small, on_ranks, who):
    words = (*small, *RUN, "model.dropout=0.2")

    def cut(rank):
        interrupted_at(4, who, rank)
        return main([*words, "hydra.run.dir=two"])

    first, second = on_ranks(2, cut)
    assert (first.status, second.status) == (143, 143)
    assert "interrupted, and saved\n" in first.out
    assert second.out == ""
    assert first.err + second.err == "error: interrupted by SIGTERM\n"
    assert (summary("two")["status"], summary("two")["steps"]) == ("interrupted", 5)

    first, second = on_ranks(2, lambda rank: main(["resume=two"]))
    assert (first.status, second.status) == (0, 0)
    assert deeprob(*words, "trainer.chunk_size=16", "hydra.run.dir=one").status == 0
    assert_same("one", "two")


def test_one_process_goes_on_with_what_two_began(deeprob, small, on_ranks):
    words = (*small, *RUN, "model.dropout=0.2", "scheduler=constant")
    assert [result.status for result in on_ranks(2, lambda rank: main([*words, "hydra.run.dir=two"]))] == [0, 0]
    assert deeprob("resume=two", "trainer.epochs=5").status == 0
    assert deeprob(*words, "trainer.epochs=5", "trainer.chunk_size=16", "hydra.run.dir=one").status == 0
    assert_same("one", "two")


def test_a_run_that_diverges_is_told_once_and_kept(small, on_ranks, deeprob):
    words = (*small, *RUN, "optimizer=sgd", "optimizer.lr=1e60", "hydra.run.dir=two")
    first, second = on_ranks(2, lambda rank: main(words))
    assert (first.status, second.status) == (3, 3)
    assert (first.err + second.err).count("\n") == 1
    assert (first.err + second.err).startswith("error: diverged: ")
    assert summary("two")["status"] == "diverged"


REFUSED = {
    "model.norm=batch": "model.norm=batch: batch norm compares all examples of a batch, but each process has only some",
    "optimizer.lr=fast": "optimizer.lr=fast: expected a number greater than 0",
    "hydra.run.dir=there": "there exists already; give another directory",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_one_line(small, on_ranks, deeprob, words):
    Path("there").mkdir()
    Path("there/file").touch()
    results = on_ranks(2, lambda rank: main([*small, *words.split()]))
    assert {result.status for result in results} <= {2, 4}
    err = "".join(result.err for result in results)
    assert err.count("\n") == 1
    assert REFUSED[words] in err
    assert [path.name for path in Path.cwd().iterdir()] == ["there"]


def test_the_first_process_checks_a_run_for_all(small, on_ranks, deeprob):
    first, second = on_ranks(2, lambda rank: main([*small, "trainer.preflight=only"]))
    assert (first.status, second) == (0, (0, "", ""))
    assert first.out.count("ok  ") == 6
    assert not Path("outputs").exists()


def test_chunks_that_leave_processes_without_work_are_told(small, on_ranks, deeprob):
    first, _ = on_ranks(2, lambda rank: main([*small, "trainer.chunk_size=32", "hydra.run.dir=two"]))
    assert first.err == (
        "note: trainer.chunk_size=32: only 1 of 2 processes has work, because an update has 32 examples\n"
    )


# ---------------------------------------------------------------- torchrun itself

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("DEEPROB_KILLS", "2"))))
def test_a_killed_process_is_started_again_and_the_run_ends_as_undisturbed(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["trainer.epochs=40", "trainer.checkpoint_steps=20", "model.dropout=0.1", "trainer.figures=[]"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "--max-restarts=2", SCRIPT, *words, "hydra.run.dir=two", "resume=auto"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        rows = Path("two/metrics.csv")
        while process.poll() is None and not (rows.exists() and rows.stat().st_size):
            time.sleep(0.02)
        time.sleep(0.25 * (seed % 7))
        os.kill(children_of(process.pid)[seed % 2], signal.SIGKILL)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err.count("error: ") <= 1
    assert len(json.loads(Path("two/provenance.json").read_text())["resumed"]) == 1
    subprocess.run([sys.executable, SCRIPT, *words, "trainer.chunk_size=16", "hydra.run.dir=one"], check=True)
    assert_same("one", "two")


def children_of(parent: int) -> list[int]:
    """Return the numbers of the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return sorted(found)
