"""``deeprob-compare`` from the command line."""

import csv
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deeprob import load_run
from deeprob.assembly.config import RunConfig
from deeprob.compare.past_runs import epochs
from deeprob.config import read

SWEEP = ("-m", "optimizer.lr=1e-3,1e-2", "regularizer=l2", "regularizer.strength=0,1e-3", "hydra.sweep.dir=s")


def compare(deeprob, *words):
    return deeprob(*words, command="compare")


def test_a_sweep_from_its_command_to_the_command_of_its_best(deeprob, small):
    assert deeprob(*small, *SWEEP, "seed=0,1", "dataset.val_fraction=0.2").status == 0
    status, out, err = compare(deeprob, "sweep=s")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "8 runs in 4 groups: 8 completed"
    assert lines[3].split() == [
        "optimizer.lr", "regularizer.strength", "runs", "train/accuracy", "val/accuracy", "test/accuracy",
    ]  # fmt: skip
    assert lines[-1] == "page       s/compare.html"
    assert Path("s/compare.html").read_text().startswith("<!doctype html>")
    rate, strength = lines[4].split()[:2]
    (again,) = [line.removeprefix("again      deeprob-train ") for line in lines if line.startswith("again")]
    assert f"optimizer.lr={rate}" in again
    assert deeprob(*shlex.split(again), "hydra.run.dir=again").status == 0
    jobs = Path("s").glob(f"*_optimizer.lr={rate},regularizer.strength={strength},seed=*")
    job = max(sorted(jobs), key=lambda job: load_run(job).metrics["val/accuracy"])
    assert read(RunConfig, Path("again/config.yaml")) == read(RunConfig, job / "config.yaml")
    loss = [list(epochs(folder / "metrics.csv"))[-1]["train/loss"] for folder in (Path("again"), job)]
    assert loss[0] == loss[1]


def test_an_unfinished_sweep_comes_with_the_command_that_finishes_it(deeprob, small):
    assert deeprob(*small, "-m", "optimizer.lr=1e-3,1e-2", "seed=0,1", "hydra.sweep.dir=s").status == 0
    complete = compare(deeprob, "sweep=s", "html=false").out
    assert "\ngo on " not in complete
    next(Path("s").glob("003*/summary.json")).unlink()  # as if the sweep had been killed
    out = compare(deeprob, "sweep=s", "html=false").out
    assert out.startswith("4 runs in 2 groups: 3 completed, 1 unfinished\n")
    assert out.endswith("\ngo on      deeprob-train resume=s\n")
    assert deeprob("resume=s").status == 0
    assert compare(deeprob, "sweep=s", "html=false").out == complete
    next(Path("s").glob("003*/summary.json")).unlink()
    Path("more").mkdir()
    Path("s").rename("more/s")  # such a command goes on with one sweep, not with all in a folder
    assert "\ngo on " not in compare(deeprob, "sweep=more", "html=false").out


def test_a_sweep_with_jobs_that_failed(deeprob, small):
    words = ("-m", "sweep.variants=['optimizer=sgd optimizer.lr=0.1,1e30','optimizer=adam']", "seed=0,1")
    assert deeprob(*small, *words, "hydra.sweep.dir=s").status == 4
    status, out, err = compare(deeprob, "sweep=s", "html=false")
    assert (status, err) == (0, "")
    assert out.startswith("6 runs in 3 groups: 4 completed, 2 diverged\n")
    assert "sgd        1e30          0 of 2, 2 diverged" in out
    assert not Path("s/compare.html").exists()


@pytest.mark.parametrize(
    "word",
    ["model.hidden=[4],[4,4]", "trainer.figures=[],[templates]", "'dataset.root=a.csv,\"b c.csv\"'"],
)
def test_a_job_and_its_run_are_one_whatever_its_words_are(deeprob, tmp_path, word):
    """The words of lists, of quoted texts and of relative paths are not what a config stores."""
    (word,) = shlex.split(word)
    rows = "\n".join(f"{n},{n % 7},{n % 2}" for n in range(40))
    for name in ("a.csv", "b c.csv"):
        Path(name).write_text(f"x,y,label\n{rows}\n")
    words = ["dataset=csv", "dataset.targets=[label]", "trainer.epochs=1"]
    words += [other for other in ("dataset.root=a.csv", "model.width=4") if other.split("=")[0] not in word]
    words += ["hydra.sweep.dir=s", "seed=0,1"]
    assert deeprob("-m", *words, word).status == 0
    out = compare(deeprob, "sweep=s", "html=false").out
    assert out.startswith("4 runs in 2 groups: 4 completed\n")
    Path("s").rename("moved")
    assert compare(deeprob, "sweep=moved", "html=false").out == out
    table = Path("moved/summary.csv")
    lines = list(csv.reader(table.read_text().splitlines()))
    place = lines[0].index("directory")
    with table.open("w", newline="") as file:  # as tables once were
        csv.writer(file).writerows(line[:place] + line[place + 1 :] for line in lines)
    assert compare(deeprob, "sweep=moved", "html=false").out == out


def test_runs_by_name_and_a_file_by_name(deeprob, make_run, tmp_path):
    folders = [make_run(name, {"seed": n}, 0.5) for n, name in enumerate(("x/a", "x/b", "c"))]
    status, out, _ = compare(deeprob, f"runs=[{folders[0]},{folders[1]}]")
    assert status == 0
    assert out.startswith("2 runs in 1 group")
    assert (tmp_path / "x" / "compare.html").is_file()
    assert compare(deeprob, f"sweep={tmp_path}", "out=page.html", "top=1", "sort=test/accuracy").status == 0
    assert "3 runs" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "sweep is missing: add the directory of a sweep to the command, or the directories of several runs"),
        (["sweep=g", "runs=[g]"], "sweep and runs exclude each other"),
        (["runs=[g]"], "runs=[g]: expected two runs or more, each once"),
        (["runs=[g,./g]"], "runs=[g,./g]: expected two runs or more, each once"),
        (["runs=[g,h]"], "runs: no run in g (no config.yaml)"),
        (["sweep=none"], "sweep=none: no such folder"),
        (["sweep=empty"], "sweep=empty: no run there (no config.yaml in it or below)"),
        (["sweep=g", "sort=test/acc"], "sort=test/acc: these runs have no such metric; did you mean test/accuracy?"),
        (
            ["sweep=g", "metrics=[los]"],
            "metrics=los: these runs have no such metric; choose from examples/train, test/accuracy",
        ),
        (["sweep=g", "metrics=[]"], "metrics=[]: expected a list of words"),
        (["sweep=g", "heatmap=[model.width]"], "heatmap=[model.width]: expected two keys, as in [optimizer.lr,"),
        (["sweep=g", "heatmap=[model.width,model.width]"], "heatmap=[model.width,model.width]: expected two keys"),
        (["sweep=g", "heatmap=[model.widht,optimizer.lr]"], "heatmap: no key model.widht; did you mean model.width?"),
        (["sweep=g", "heatmap=[model.width,seed]"], "heatmap: seed does not differ between groups of runs (it is 0)"),
        (["sweep=g", "top=0"], "top=0: expected a whole number at least 1"),
        (["sweep=g", "out=none/page.html"], "none/page.html: No such file or directory; give another file with out="),
        (["sweep=g", "out=empty"], "empty: Is a directory; give another file with out="),
        (["sweep=g", "swep=g"], "swep: no such key; did you mean sweep?"),
        (["-m", "sweep=g,h"], "-m: deeprob-compare has no sweeps"),
    ],
)
def test_mistakes(deeprob, make_run, monkeypatch, tmp_path, words, line):
    for width in (4, 8):
        for lr in (0.1, 0.2):
            make_run(f"g/{width}-{lr}", {"model.width": width, "optimizer.lr": lr}, width / 10)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, out, err = compare(deeprob, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_it_does_without_matplotlib(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"{seed}", {"seed": seed}, 0.5)
    code = "import sys; from deeprob.commands import main; main.main(sys.argv[1:], 'compare'); "
    code += "sys.exit('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, f"sweep={tmp_path}"], capture_output=True, check=False)
    assert done.returncode == 0
    assert (tmp_path / "compare.html").exists()


def test_a_thousand_runs_take_a_moment(deeprob, make_run, tmp_path):
    text = (make_run("s/first", {"optimizer.lr": 0.5, "model.width": 7}, 0.5) / "config.yaml").read_text()
    for number in range(1, 1024):
        folder = tmp_path / "s" / f"{number:04}"
        folder.mkdir()
        varied = text.replace("lr: 0.5", f"lr: {1 + number // 32}.0").replace("width: 7", f"width: {number // 4 % 8}")
        (folder / "config.yaml").write_text(varied.replace("seed: 0\n", f"seed: {number % 4}\n"))
        (folder / "summary.json").write_text(f'{{"status": "completed", "test/accuracy": {number / 1024}}}')
    start = time.process_time()
    status, out, _ = compare(deeprob, f"sweep={tmp_path / 's'}")
    assert time.process_time() - start < 6
    assert status == 0
    assert out.startswith("1024 runs in 257 groups: 1024 completed")


def test_directories_as_they_are(deeprob, small):
    words = ("-m", *small, "model.width=4,8", "trainer.figures=[]", "hydra.sweep.dir=g")
    assert deeprob(*words).status == 0
    one = deeprob("g", "html=false", command="compare")
    assert (one.status, one.out) == (0, deeprob("sweep=g", "html=false", command="compare").out)
    jobs = sorted(map(str, Path("g").glob("*_*")))  # their names have = in them
    two = deeprob(*jobs, "html=false", command="compare")
    assert (two.status, two.out.splitlines()[0].startswith("2 runs")) == (0, True)
    assert deeprob("nowhere", command="compare").err == (
        "error: sweep=nowhere: no such folder; expected one with run directories below it\n"
    )
    assert deeprob(*jobs, command="visualize").err == f"error: {' '.join(jobs)}: expected one directory\n"
    assert deeprob(jobs[0], command="evaluate").out.endswith(f"run        {jobs[0]}\n")
