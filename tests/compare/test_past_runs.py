"""Runs found and read, whatever state they are in."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
import yaml

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.compare.past_runs import epochs, find_runs, read_all, read_run, values_in
from deeprob.config import flat, read
from deeprob.errors import UserError


def test_values_are_those_of_the_config(make_run):
    values = {"model.hidden": [64, 32], "optimizer": "sgd", "optimizer.lr": 1e-5, "seed": 7, "loss": "hinge"}
    path = make_run("a", values) / "config.yaml"
    config = read(RunConfig, path)
    assert values_in(path.read_text()) == flat(config)
    assert values_in(path.read_text())["model.hidden"] == [64, 32]


def test_values_of_texts_that_look_like_keys(tmp_path, make_run):
    config = read(RunConfig, make_run("a", {"dataset": "csv", "dataset.root": "x"}) / "config.yaml")
    config.dataset.root = "/a\nmodel: linear\n\nseed: 3 " + "long " * 40 + "é\x07"
    (tmp_path / "config.yaml").write_bytes(configs.to_yaml(config))
    assert values_in((tmp_path / "config.yaml").read_text()) == flat(config)


def test_a_finished_run(make_run):
    run = read_run(make_run("a", {"optimizer.lr": 0.5}, 0.9, train_loss=0.25))
    assert (run.status, run.finished, run.lost) == ("completed", True, False)
    assert run.metrics == {"examples/train": 2400, "test/accuracy": 0.9, "train/loss": 0.25}
    assert run.values["optimizer.lr"] == 0.5


@pytest.mark.parametrize(
    ("status", "finished", "lost"),
    [("stopped", True, False), ("diverged", False, True), ("interrupted", False, False)],
)
def test_other_ends(make_run, status, finished, lost):
    run = read_run(make_run("a", {}, status=status))
    assert (run.status, run.finished, run.lost) == (status, finished, lost)


def test_a_run_on_its_way_has_the_metrics_of_its_last_whole_epoch(make_run):
    folder = make_run("a", {}, status=None, curve=(0.5, 0.75))
    with (folder / "metrics.csv").open("a") as file:
        file.write("3,9,0.8")  # half a row: the line has no end yet
    assert read_run(folder).metrics == {"train/accuracy": 0.75}
    assert read_run(folder).status == "unfinished"
    assert [row["epoch"] for row in epochs(folder / "metrics.csv")] == [1, 2]


def test_who_runs_and_who_has_died(make_run):
    folder = make_run("a", {}, status=None)
    (folder / ".owner").write_text(f"process {os.getpid()} on {socket.gethostname()}")
    assert read_run(folder).status == "running"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (folder / ".owner").write_text(f"process {dead.pid} on {socket.gethostname()}")
    assert read_run(folder).status == "unfinished"
    (folder / ".owner").write_text("process 1 on another-machine")  # cannot be told; a lock is no lie as a rule
    assert read_run(folder).status == "running"
    for text in ("", "rubbish", f"process {10**40} on {socket.gethostname()}"):
        (folder / ".owner").write_text(text)
        assert read_run(folder).status == "unfinished"


def test_runs_are_found_at_any_depth_but_not_within_runs(make_run, tmp_path):
    folders = [make_run(name, {}) for name in ("s/000_b", "s/001_a", "x/y/z/run")]
    (folders[0] / "figures").mkdir()
    (folders[0] / "figures" / "config.yaml").write_text("no run")
    (tmp_path / "s" / "summary.csv").write_text("seed,status,error\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert find_runs(tmp_path) == (sorted(folders), [tmp_path / "s"])


def bomb() -> str:
    lines = ["model: {a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f" a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "defaults: []\n" + ",\n".join(lines) + "}\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        b"\xff\xfe\x00",
        b"a: [",
        b"- a\n- b\n",
        b"seed: 0\n",
        b"defaults: 3\n",
        b"defaults:\n- override model: mlp\nmodel: 3\n",
        b"defaults: []\nmodel: " + b"[" * 5000,
        b"x" * 300_000,
        b"defaults: []\nseed: !!python/object:os.system 1\n",
        bomb().encode(),
    ],
)
def test_what_is_no_config_is_named_and_left_out(make_run, capsys, content):
    good, bad = make_run("good", {}), make_run("bad", {})
    (bad / "config.yaml").write_bytes(content)
    start = time.process_time()
    assert [run.directory for run in read_all([bad, good])] == [good]
    assert time.process_time() - start < 5
    err = capsys.readouterr().err
    assert err.startswith(f"note: 1 run(s) left out: {bad / 'config.yaml'}: ")
    assert err.count("\n") == 1


def test_a_damaged_summary_counts_as_none(make_run):
    folder = make_run("a", {}, 0.9)
    for content in ("", "{", "[1]", '{"status": "completed", "test/accuracy": NaN}'):
        (folder / "summary.json").write_text(content)
        assert read_run(folder).metrics == {}
    (folder / "summary.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="damaged"):
        read_run(folder)


def test_metrics_that_are_no_numbers_are_left_out(make_run):
    folder = make_run("a", {})
    (folder / "summary.json").write_text(json.dumps({"status": 3, "test/loss": "low", "val/loss": 1, "seconds": 2.0}))
    run = read_run(folder)
    assert (run.status, run.metrics) == ("3", {"val/loss": 1.0})


@pytest.mark.parametrize("content", ["", "epoch,step\n", "epoch,step\n1,x\n", "epoch,step\n1,2,3,4\n", "\0\n\0\n"])
def test_metrics_that_cannot_be_read_end_there(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    assert [row for row in epochs(tmp_path / "metrics.csv") if "step" in row] == []
    assert list(epochs(tmp_path / "none.csv")) == []


def test_it_is_fast(make_run, tmp_path):
    text = (make_run("first", {"optimizer.lr": 0.5}) / "config.yaml").read_text()
    folders = []
    for number in range(500):
        folders.append(tmp_path / f"{number}")
        folders[-1].mkdir()
        (folders[-1] / "config.yaml").write_text(text.replace("lr: 0.5", f"lr: {number}.5"))
        (folders[-1] / "summary.json").write_text('{"status": "completed", "test/accuracy": 0.5}')
    start = time.process_time()
    runs = read_all(folders)
    seconds = time.process_time() - start
    assert [run.values["optimizer.lr"] for run in runs] == [number + 0.5 for number in range(500)]
    start = time.process_time()
    for _ in range(20):
        yaml.safe_load(text)
    assert seconds < (time.process_time() - start) / 20 * 500  # a plain loader would take several times as long
