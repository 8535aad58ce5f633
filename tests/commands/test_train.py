"""``deeprob-train``: a run or a sweep in a folder of its own, a run that goes on, nothing left of a failed start."""

import os
import re
import shlex
from pathlib import Path

import pytest


def test_the_invalid_job_of_a_sweep_is_named_before_any_starts(deeprob, small):
    status, out, err = deeprob("-m", *small, "optimizer.lr=1e-3,-1", "seed=0,1")
    assert (status, out) == (2, "")
    assert err.startswith("error: job 2 (")
    assert "optimizer.lr=-1 seed=0" in err
    assert "optimizer.lr=-1.0: expected a number greater than 0" in err
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("words", ["seed=range(0,0)", "hydra.sweep.dir=x optimizer=sgd,adamm", "model.width=8,x"])
def test_a_sweep_that_cannot_be_is_refused(deeprob, words):
    status, out, err = deeprob("-m", *words.split(" "))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_sweep_over_the_options_of_a_group(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    assert deeprob("-m", *words, "regularizer=glob(l*)", "hydra.sweep.dir=s").status == 0
    assert len(list(Path("s").glob("*/summary.json"))) == 2


def test_a_path_with_special_letters(deeprob, small):
    result = deeprob(*small, 'hydra.run.dir="läuft (1)"')
    assert result.status == 0
    again = shlex.split(result.out.splitlines()[-1])[2]
    assert deeprob(again, command="evaluate").status == 0


def test_two_runs_in_the_same_second_get_two_directories(deeprob, small):
    for _ in range(3):
        assert deeprob(*small).status == 0
    runs = sorted(Path("outputs/spirals-mlp-adamw").iterdir())
    assert len(runs) == 3
    assert all((run / "summary.json").exists() for run in runs)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", runs[0].name)


def test_a_directory_that_holds_something_is_not_written_to(deeprob, small):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    status, _, err = deeprob(*small, "hydra.run.dir=mine")
    assert status == 2
    assert err == "error: mine exists already; give another directory\n"
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


HYDRAS = ("hydra/job_logging=default", "hydra.output_subdir=.hydra")


def test_files_of_hydra_beside_those_of_a_run(deeprob, small):
    result = deeprob(*small, *HYDRAS, "hydra.run.dir=run")
    assert (result.status, result.err) == (0, "")
    assert {"deeprob.log", ".hydra", "summary.json"} <= {path.name for path in Path("run").iterdir()}
    again = deeprob(*small, *HYDRAS, "hydra.run.dir=run")
    assert (again.status, again.err) == (2, "error: run exists already; give another directory\n")


@pytest.mark.parametrize("launcher", ["basic", "auto"])
def test_files_of_hydra_beside_those_of_a_sweeps_runs(deeprob, small, launcher):
    words = ("-m", "seed=0,1", f"hydra/launcher={launcher}", "hydra.sweep.dir=s")
    result = deeprob(*small, *HYDRAS, *words)
    note = "note: jobs 0, 1: trained one by one, because hydra.output_subdir=.hydra stores Hydra's files of each job\n"
    assert (result.status, result.err) == (0, "" if launcher == "basic" else note)
    assert len(list(Path("s").glob("*/summary.json"))) == 2
    assert len(list(Path("s").glob("*/.hydra/config.yaml"))) == 2


@pytest.mark.parametrize("directory", ["/proc/deeprob/run", "file/run"])
def test_an_output_directory_that_cannot_be_made(deeprob, small, directory):
    Path("file").write_text("")
    status, out, err = deeprob(*small, f"hydra.run.dir={directory}")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert directory.split("/run")[0] in err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file"]


def test_an_empty_directory_of_the_users_stays(deeprob, small):
    Path("mine").mkdir()
    assert deeprob(*small, "hydra.run.dir=mine", "dataset.val_fraction=1e-9").status == 2
    assert Path("mine").is_dir()
    assert deeprob(*small, "hydra.run.dir=mine").status == 0


def test_a_failed_start_leaves_nothing(deeprob, small, monkeypatch):
    import errno

    from deeprob.running import recorder

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recorder, "write_whole", full)
    status, _, err = deeprob(*small, "hydra.run.dir=run")
    assert (status, err) == (2, f"error: {Path('run').resolve()}: No space left on device\n")
    assert list(Path.cwd().iterdir()) == []


def test_a_full_disk_names_the_file(deeprob, small, monkeypatch):
    import errno

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    status, _, err = deeprob(*small, "hydra.run.dir=run")
    assert status == 2
    assert err == f"error: {Path('run/config.yaml').resolve()}: No space left on device\n"
    assert list(Path.cwd().iterdir()) == []


def test_of_a_folder_of_runs_those_that_can_be_resumed_are_named(deeprob, small, one_run):
    one_run.rename(one_run.parent / "a run")
    assert deeprob(*small, "hydra.run.dir=b").status == 0
    status, _, err = deeprob("resume=.")
    assert (status, err) == (
        2, "error: resume=.: no run, but a folder of runs; choose from 'resume=\"a run\"', resume=b\n",
    )  # fmt: skip
    (words,) = re.findall("from (.*), resume=b", err)
    assert deeprob(*shlex.split(words)).status == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("resume=auto", "resume=auto: which run? add hydra.run.dir=DIR, or give resume=DIR"),
        ("-m seed=0,1 resume=auto", "resume=auto: which sweep? add hydra.sweep.dir=DIR, or give resume=DIR"),
        ("++resume=nowhere", "resume=nowhere: no run there"),
        ("resume=a resume=b", "resume=b: no run there"),
        ("-m resume=auto,nowhere", "resume=auto,nowhere: resume takes one directory"),
        ("resume=nowhere sweep.fail_fast=3", "sweep.fail_fast=3: expected true or false"),
    ],
)
def test_a_run_that_cannot_go_on_is_named(deeprob, words, line):
    status, out, err = deeprob(*words.split(" "))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {line}")
    assert list(Path.cwd().iterdir()) == []


def test_a_single_run_tells_that_it_has_no_launcher(deeprob, small):
    result = deeprob(*small, "hydra.launcher.workers=2", "hydra/launcher=laptop", "hydra.run.dir=r")
    lines = [line.removeprefix("note: ").partition(": ")[0] for line in result.err.splitlines()]
    assert (result.status, sorted(lines)) == (0, ["hydra.launcher.workers=2", "hydra/launcher=laptop"])
