"""Sweeps: one directory a job, one table, every job its own end."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.commands.main import main
from deeprob.config import config_file
from deeprob.running.recorder import Recorder
from deeprob.tracking import checkpoint_file


def table(directory: str) -> list[dict]:
    with (Path(directory) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_combination_gets_a_directory_and_a_row(deeprob, small):
    result = deeprob("-m", *small, "optimizer.lr=1e-3,1e-2", "seed=range(3)", "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    rows = table("s")
    assert [(row["optimizer.lr"], row["seed"]) for row in rows] == [
        (lr, seed) for lr in ("0.001", "0.01") for seed in ("0", "1", "2")
    ]
    assert {row["status"] for row in rows} == {"completed"}
    for job, row in enumerate(rows):
        folder = Path("s") / f"{job:03}_optimizer.lr={row['optimizer.lr']},seed={row['seed']}"
        content = json.loads((folder / "summary.json").read_text())
        assert float(row["test/accuracy"]) == content["test/accuracy"]
        assert float(row["train/loss"]) == content["train/loss"]
    assert "optimizer.lr" in result.out


def test_folders_of_jobs_are_readable_and_safe(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    result = deeprob("-m", *words, "model.hidden=[3,4],[5]", "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    assert sorted(path.name for path in Path("s").iterdir()) == [
        "000_model.hidden=_3,4_", "001_model.hidden=_5_", "summary.csv",
    ]  # fmt: skip


def test_a_job_is_as_if_it_had_run_alone(deeprob, small):
    deeprob("-m", *small, "seed=0,1", "hydra.sweep.dir=s")
    deeprob(*small, "seed=1", "hydra.run.dir=alone")
    job, alone = (checkpoint_file.load(Path(d) / "checkpoints/last.pt")["model"] for d in ("s/001_seed=1", "alone"))
    assert all(torch.equal(job[name], alone[name]) for name in alone)
    assert Path("s/001_seed=1/config.yaml").read_text() == Path("alone/config.yaml").read_text()


def test_a_job_that_diverges_is_named_and_the_others_go_on(deeprob, small):
    result = deeprob(
        "-m", *small, "optimizer=sgd", "optimizer.lr=1e-3,1e30,1e-2", "trainer.epochs=4", "hydra.sweep.dir=s"
    )
    assert result.status == 4
    assert (
        "error: job 1: diverged: the updated parameters became NaN or infinite at step 1 (epoch 1, batch 1)"
        in result.err
    )
    assert result.err.endswith("error: 1 of 3 jobs failed: 1\n")
    rows = table("s")
    assert [row["status"] for row in rows] == ["completed", "diverged", "completed"]
    reason = "the updated parameters became NaN or infinite at step 1 (epoch 1, batch 1); try a smaller optimizer.lr"
    assert rows[1]["error"] == reason
    assert result.out.splitlines()[2].split(maxsplit=3) == ["1", "1e+30", "diverged", reason]
    assert rows[1]["test/accuracy"] == ""


def test_sweep_parameters_of_a_config(deeprob, small, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "exp.yaml").write_text(
        "defaults: [train, _self_]\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}}}\n"
    )
    result = deeprob("--config-dir", str(tmp_path / "own"), "--config-name", "exp", *small, "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    assert [row["seed"] for row in table("s")] == ["0", "1"]


def test_interpolations_are_each_jobs_own(deeprob, small):
    assert deeprob("-m", *small, "seed=1,2", "dataset.seed=${seed}", "hydra.sweep.dir=s").status == 0
    assert [load_run(f"s/00{job}_seed={job + 1}").config.dataset.seed for job in (0, 1)] == [1, 2]


def test_keys_are_named_as_they_are(deeprob, small):
    assert deeprob("-m", *small, "++seed=0,1", "hydra.sweep.dir=s").status == 0
    assert [row["seed"] for row in table("s")] == ["0", "1"]


def test_a_row_is_printed_when_a_job_ends(deeprob, small):
    lines = deeprob("-m", *small, "seed=0,10", "optimizer=sgd", "optimizer.lr=1e-3,1e30").out.splitlines()
    assert lines[0].split() == ["job", "seed", "optimizer.lr", "status", "train/accuracy", "test/accuracy"]
    assert [line.split()[:4] for line in lines[1:5]] == [
        ["0", "0", "0.001", "completed"],
        ["1", "0", "1e+30", "diverged"],
        ["2", "10", "0.001", "completed"],
        ["3", "10", "1e+30", "diverged"],
    ]
    assert lines[1].endswith(" %")
    assert len(lines[1]) == len(lines[3]) == len(lines[0])


def test_means_and_deviations_over_seeds(deeprob, small):
    out = deeprob("-m", *small, "optimizer.lr=1e-3,1e-2", "seed=0,1,2", "hydra.sweep.dir=s").out
    rows = [float(row["test/accuracy"]) for row in table("s")[:3]]
    mean = sum(rows) / 3
    deviation = (sum((value - mean) ** 2 for value in rows) / 2) ** 0.5
    assert f" {100 * mean:.2f} ± {100 * deviation:.2f} %\n" in out
    assert "3 of 3" in out


def test_without_seeds_there_is_nothing_to_average(deeprob, small):
    assert "of" not in deeprob("-m", *small, "optimizer.lr=1e-3,1e-2").out.split()


def test_typed_values_replace_those_of_a_config(deeprob, small, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "exp.yaml").write_text(
        "defaults: [train, _self_]\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1', model: 'linear,mlp'}}}\n"
    )
    words = [word for word in small if not word.startswith("model")]
    words = ["--config-dir", str(tmp_path / "own"), "--config-name", "exp", *words, "hydra.sweep.dir=s"]
    assert deeprob(*words, "seed=5").status == 0
    assert [row["model"] for row in table("s")] == ["linear", "mlp"]
    assert "seed: 5" in Path("s/000_model=linear/config.yaml").read_text()


def test_the_tables_metrics_are_those_that_tell_jobs_apart(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "trainer.epochs=2", "regularizer=l1")
    result = deeprob("-m", *words, "regularizer.strength=0,1", "dataset.val_fraction=0.5")
    header = result.out.splitlines()[0].split()
    assert header[-6:] == ["train/loss", "val/loss", "test/loss", "val/r2", "test/r2", "params/zeros"]


def test_groups_can_be_swept(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    result = deeprob("-m", *words, "model=linear,mlp", "hydra.sweep.dir=s")
    assert result.status == 0
    assert [row["model"] for row in table("s")] == ["linear", "mlp"]


def test_a_sweep_over_one_value_is_a_sweep_of_one(deeprob, small):
    assert deeprob("-m", *small, "hydra.sweep.dir=s").status == 0
    assert [row["status"] for row in table("s")] == ["completed"]


def test_hydras_basic_sweeper_goes_on_working(deeprob, small):
    assert deeprob("-m", "hydra/sweeper=basic", *small, "seed=0,1", "hydra.sweep.dir=s").status == 0
    assert (Path("s/000_seed=0/summary.json").exists(), Path("s/001_seed=1/summary.json").exists()) == (True, True)


def test_a_bug_in_a_job_is_shown_and_the_others_go_on(deeprob, small, monkeypatch):
    from deeprob.running import run as running

    original = running.run

    def sometimes(config, *words, **named):
        if config.seed == 0:
            raise RuntimeError("out of luck")
        return original(config, *words, **named)

    monkeypatch.setattr(running, "run", sometimes)
    result = deeprob("-m", *small, "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=s")
    assert result.status == 4
    assert "Traceback" in result.err
    assert "error: job 0: out of luck" in result.err
    assert [row["status"] for row in table("s")] == ["failed", "completed"]


@pytest.mark.parametrize("words", [("hydra.sweep.dir=s", "seed=0,1")])
def test_a_sweep_directory_in_use_is_refused(deeprob, small, words):
    assert deeprob("-m", *small, *words).status == 0
    before = Path("s/summary.csv").read_text()
    status, _, err = deeprob("-m", *small, *words)
    assert (status, err) == (2, "error: s exists already; give another directory\n")
    assert Path("s/summary.csv").read_text() == before


def test_two_sweeps_of_the_same_second_do_not_meet(deeprob, small):
    for _ in range(2):
        assert deeprob("-m", *small, "seed=0,1").status == 0
    sweeps = sorted(Path("outputs/sweeps").iterdir())
    assert len(sweeps) == 2
    assert all(
        sorted(path.name for path in sweep.iterdir()) == ["000_seed=0", "001_seed=1", "summary.csv"] for sweep in sweeps
    )


def test_rows_name_the_folders_of_their_jobs(deeprob, small):
    words = (*small, "hydra.sweep.dir=s", "hydra.sweep.subdir=deep/${hydra.job.num}")
    assert deeprob("-m", "seed=0,1", *words).status == 0
    assert [row["directory"] for row in table("s")] == ["deep/0", "deep/1"]
    assert deeprob("-m", "seed=3,1", *small, "hydra.sweep.dir=t").status == 0
    assert deeprob("-m", "seed=1,2", *small, "hydra.sweep.dir=t", "resume=auto").status == 0
    assert [row["directory"] for row in table("t")] == ["001_seed=1", "001_seed=2"]  # the first ran as another number


def test_only_configs_of_earlier_versions_are_composed_to_find_the_jobs_that_are_done(deeprob, small, monkeypatch):
    words = ("-m", *small, "seed=0,1,2", "hydra.sweep.dir=s", "trainer.figures=[]")
    assert deeprob(*words).status == 0
    config = Path("s/001_seed=1/config.yaml")
    config.write_text(config.read_text().replace("  gradient: formulas\n", ""))
    assert "gradient" not in config.read_text()
    slowly = []

    def read(kind, path):
        slowly.append(path)
        return config_file.read(kind, path)

    monkeypatch.setattr(sys.modules["deeprob.sweeps.sweep"], "read", read)
    before = table("s")
    assert deeprob(*words, "resume=auto").status == 0
    assert slowly == [config]
    assert table("s") == before


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "metrics.csv"])
def test_a_pipe_among_the_files_of_a_job_is_not_waited_for(deeprob, small, name):
    words = ("-m", "seed=0,1", *small, "trainer.figures=[]", "hydra.sweep.dir=s")
    assert deeprob(*words).status == 0
    Path("s/001_seed=1", name).unlink()
    os.mkfifo(Path("s/001_seed=1", name))
    for command, way in (
        ("compare", ("sweep=s", "html=false")),
        ("visualize", ("run=s", "figure=learning_curves")),
        ("train", (*words, "resume=auto")),
    ):
        signal.alarm(30)  # ends the process of the tests
        result = deeprob(*way, command=command)
        signal.alarm(0)
        assert result.status in (0, 2, 4)
        assert all(line.startswith(("error: ", "note: ")) for line in result.err.splitlines())


SIGNALLED = """
import os, signal, sys
from deeprob.commands.main import main
from deeprob.running.recorder import Recorder
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
original = Recorder.start
def start(recorder):
    if recorder.setup.config.seed == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGINT)
    original(recorder)
Recorder.start = start
sys.exit(main(sys.argv[2:], "train"))
"""


def interrupted(folder: Path, seed: int, *words: str) -> subprocess.CompletedProcess:
    """Run a sweep in a process of its own that gets a SIGINT as the first job of a seed begins to train."""
    command = [sys.executable, "-c", SIGNALLED, str(seed), "-m", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_an_interrupted_stack_saves_all_its_runs(deeprob, small):
    words = [*(word for word in small if not word.startswith("model")), "model.width=4,8", "seed=0,1,2"]
    words += ["trainer.figures=[]", "hydra.sweep.dir=s"]
    result = interrupted(Path.cwd(), 1, *words)
    assert (result.returncode, result.stderr) == (
        130, "note: 3 of 6 jobs not started\nerror: interrupted by SIGINT\n"
    )  # fmt: skip
    assert [row["status"] for row in table("s")] == ["interrupted"] * 3 + ["not started"] * 3
    assert deeprob("resume=s").status == 0
    assert [row["status"] for row in table("s")] == ["completed"] * 6


def test_jobs_that_never_ran_are_not_counted_as_completed(deeprob, small):
    words = [*(word for word in small if not word.startswith("model")), "model.width=4,8", "seed=0,1,2"]
    words += ["trainer.figures=[]", "hydra.sweep.dir=s"]
    result = interrupted(Path.cwd(), 1, *words, "hydra/launcher=basic")
    assert (result.returncode, result.stderr) == (
        130, "note: 4 of 6 jobs not started\nerror: interrupted by SIGINT\n"
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[-3:] == ["sweep s", "go on deeprob-train resume=s", "compare deeprob-compare s"]
    assert "8 0 of 3, 3 not started" in lines
    (four,) = [line for line in lines if line.startswith("4 1 of 3, ")]
    assert four.startswith("4 1 of 3, 1 interrupted, 1 not started ")
    statuses = ["completed", "interrupted", *["not started"] * 4]
    assert [row["status"] for row in table("s")] == statuses
    out = deeprob("sweep=s", "html=false", command="compare").out
    assert out.startswith("6 runs in 2 groups: 1 completed, 1 interrupted, 4 not started\n")
    assert " 0 of 3, 3 not started" in out
    shutil.rmtree("s/001_model.width=4,seed=1")  # as if the signal had come before this job, too
    assert deeprob("-m", *words, "resume=auto").status == 0
    assert {row["status"] for row in table("s")} == {"completed"}


BEFORE_THE_FIRST = """
import os, signal, sys
from deeprob.assembly.prepare import Shared
from deeprob.commands.main import main
original = Shared.prepare
def prepare(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    return original(*arguments)
Shared.prepare = prepare
sys.exit(main(sys.argv[1:], "train"))
"""


@pytest.mark.parametrize("launcher", ["basic", "auto"])
def test_a_signal_before_the_first_job_trains_ends_the_sweep(small, tmp_path, launcher):
    words = [*small, "seed=0,1", "trainer.figures=[]", "hydra.sweep.dir=s", f"hydra/launcher={launcher}"]
    command = [sys.executable, "-c", BEFORE_THE_FIRST, "-m", *words]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        143, "note: 2 of 2 jobs not started\nerror: interrupted by SIGTERM\n"
    )  # fmt: skip


KILLED = SIGNALLED.replace("SIGINT)\n    original", "SIGKILL)\n    original")


def test_a_sweep_that_is_killed_leaves_its_table(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", KILLED, "2", "-m", *small, "seed=0,1,2,3", "hydra.sweep.dir=s"]
    command.append("hydra/launcher=basic")
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert [(row["seed"], row["status"]) for row in table("s")] == [("0", "completed"), ("1", "completed")]


@pytest.mark.parametrize("launcher", ["basic", "auto"])
def test_a_sweep_has_one_owner(deeprob, small, launcher, monkeypatch):
    words = ("-m", *small, "seed=0,1", "hydra.sweep.dir=s", "resume=auto", f"hydra/launcher={launcher}")
    results, start = [], Recorder.start

    def again(recorder):
        start(recorder)
        if not results:
            results.append(None)
            results[0] = main(words, "train")

    monkeypatch.setattr(Recorder, "start", again)
    status, _, err = deeprob(*words)
    assert (status, results) == (0, [2])
    line = rf"error: s is in use by process {os.getpid()} on \S+; wait for it, or give another directory\n"
    assert re.fullmatch(line, err)
    assert [row["status"] for row in table("s")] == ["completed"] * 2
    assert not list(Path("s").glob(".*"))
