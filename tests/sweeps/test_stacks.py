"""The launcher of stacks: what it trains together, one by one, not at all; and what becomes of each job."""

import csv
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra.core.config_store import ConfigStore

from deeprob.config import options, register
from deeprob.optim import SGDConfig
from deeprob.optim.base import OptimizerConfig
from deeprob.running.stacked import StackedRuns
from deeprob.sweeps import grouping
from deeprob.sweeps import stacks as launcher
from deeprob.sweeps.stacks import best_now
from deeprob.tracking import checkpoint_file
from deeprob.training.update import Update

STACKED = "hydra/launcher=auto"


@pytest.fixture
def stacks(monkeypatch) -> list[list[str]]:
    """The folders of each stack that was trained."""
    trained: list[list[str]] = []
    original = StackedRuns.train

    def train(self, tell):
        trained.append([directory.name[:3] for directory in self.directories])
        return original(self, tell)

    monkeypatch.setattr(StackedRuns, "train", train)
    return trained


def table(directory: str = "s") -> list[dict]:
    with (Path(directory) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def statuses() -> list[str]:
    return [row["status"] for row in table()]


def test_jobs_are_grouped_and_the_table_has_their_order(deeprob, small, stacks):
    words = [word for word in small if not word.startswith("model")]
    more = ("model.width=4,5", "optimizer.lr=1e-3,1e-2", "seed=0,1")
    result = deeprob("-m", *words, *more, STACKED, "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    assert stacks == [["000", "001", "002", "003"], ["004", "005", "006", "007"]]
    assert [(row["model.width"], row["optimizer.lr"], row["seed"]) for row in table()] == [
        (width, lr, seed) for width in "45" for lr in ("0.001", "0.01") for seed in "01"
    ]
    for job, row in enumerate(table()):
        (folder,) = Path("s").glob(f"{job:03}_*")
        assert float(row["train/loss"]) == json.loads((folder / "summary.json").read_text())["train/loss"]


@pytest.mark.parametrize(("largest", "sizes"), [("3", [2, 3, 3]), ("1", [1] * 8), ("8", [8]), ("auto", [8])])
def test_stacks_are_as_large_as_they_may_be(deeprob, small, stacks, largest, sizes):
    words = ("-m", *small, "seed=range(8)", STACKED, f"hydra.launcher.max_stack={largest}", "hydra.sweep.dir=s")
    assert deeprob(*words).status == 0
    assert [len(stack) for stack in stacks] == sizes
    assert statuses() == ["completed"] * 8


def test_how_runs_are_split_into_stacks_changes_no_more_than_rounding(deeprob, small):
    for largest in (2, 5):
        words = (*small, "seed=range(5)", STACKED, "trainer.precision=float64", f"hydra.launcher.max_stack={largest}")
        assert deeprob("-m", *words, f"hydra.sweep.dir=s{largest}").status == 0
    for job in range(5):
        one, other = (
            checkpoint_file.load(Path(f"s{n}/00{job}_seed={job}/checkpoints/last.pt"))["model"] for n in (2, 5)
        )
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-12, atol=1e-14)


def test_lbfgs_runs_one_by_one(deeprob, small, stacks):
    result = deeprob("-m", *small, "optimizer=adam,lbfgs", "seed=0,1", STACKED, "hydra.sweep.dir=s")
    assert result.status == 0
    assert result.err == "note: jobs 2, 3: trained one by one, because optimizer=lbfgs does its own line searches\n"
    assert stacks == [["000", "001"]]
    assert statuses() == ["completed"] * 4


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("hydra.output_subdir=.hydra", "hydra.output_subdir=.hydra stores Hydra's files of each job"),
        ("hydra/job_logging=default", "hydra/job_logging=default logs each job by itself"),
        ("+hydra.job.env_set.A=1", "hydra.job.env_set sets the environment of each job"),
        ("trainer.preflight=true", "trainer.preflight=True checks each run by itself"),
    ],
)
def test_what_is_one_by_one_has_a_reason(deeprob, small, stacks, word, reason):
    result = deeprob("-m", *small, word, "seed=range(5)", STACKED, "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, f"note: jobs 0, 1, 2 and 2 more: trained one by one, because {reason}\n")
    assert stacks == []
    assert statuses() == ["completed"] * 5


def test_jobs_in_processes_of_their_own_are_what_the_user_asked_for(deeprob, small, stacks):
    result = deeprob("-m", *small, "sweep.isolate=true", "seed=0,1", "hydra.sweep.dir=s")
    assert (result.status, result.err, stacks) == (0, "", [])
    assert statuses() == ["completed"] * 2


def test_a_single_job_that_cannot_be_stacked_needs_no_reason(deeprob, small, stacks):
    result = deeprob("-m", *small, "optimizer=lbfgs,adam,sgd", "hydra.sweep.dir=s")
    assert (result.status, result.err, stacks) == (0, "", [])
    assert statuses() == ["completed"] * 3


def test_stacks_are_the_default_and_other_launchers_are_a_choice(deeprob, small, stacks, tmp_path):
    assert deeprob("-m", *small, "seed=0,1").status == 0
    assert deeprob("-m", *small, "seed=0,1", "hydra/launcher=vectorized").status == 0
    assert stacks == [["000", "001"]] * 2
    assert deeprob("-m", *small, "seed=0,1", "hydra/launcher=basic").status == 0
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\ndefaults: [override /hydra/launcher: basic]\n")
    assert deeprob("--config-dir", str(own.parent), "-m", *small, "experiment=mine", "seed=0,1").status == 0
    assert len(stacks) == 2


def test_groups_begin_in_the_order_of_their_first_jobs(deeprob, small, stacks):
    result = deeprob("-m", *small, "model.layers=2,3", "optimizer=lbfgs,sgd", "seed=0,1", "hydra.sweep.dir=s")
    assert (result.status, stacks) == (0, [["002", "003"], ["006", "007"]])
    ended = [line.split()[0] for line in result.out.splitlines() if line[:1].isdigit()][:8]
    assert ended == ["0", "1", "4", "5", "2", "3", "6", "7"]


def test_a_figure_that_does_not_suit_a_job_is_told_before_it_trains(deeprob, small, stacks):
    words = ("-m", *small, "seed=0,1", "trainer.figures=[hog]")
    for name in ("basic", "auto"):
        result = deeprob(*words, f"hydra/launcher={name}", f"hydra.sweep.dir={name}")
        assert result.status == 4
        assert result.err.startswith("error: job 0: trainer.figures: hog ")
        assert list(Path(name).glob("*/summary.json")) == []
    assert stacks == []


@pytest.fixture
def foreign(tmp_path) -> Iterator[Path]:
    """A folder of configs with two optimizers from outside: one of its own, and SGD under another name."""
    written = options("optimizer")

    @dataclass(kw_only=True, slots=True)
    class OppositeConfig(OptimizerConfig):
        lr: float = 1e-3
        flavour: str = "plain"

        def build(self, parameters):
            return torch.optim.SGD(list(parameters), lr=self.lr)

    @dataclass(kw_only=True, slots=True)
    class TenfoldConfig(SGDConfig):
        def build(self, parameters):
            return torch.optim.SGD(list(parameters), lr=self.lr, weight_decay=10.0)

    folder = tmp_path / "own" / "optimizer"
    folder.mkdir(parents=True)
    for name, config in (("opposite", OppositeConfig), ("tenfold", TenfoldConfig)):
        register("optimizer", name)(config)
        (folder / f"{name}.yaml").write_text(f"defaults: [/schema/optimizer/{name}@_here_]\n")
    yield folder.parent
    for name in ("opposite", "tenfold"):
        written.pop(name)
        ConfigStore.instance().repo["schema"]["optimizer"].pop(f"{name}.yaml")


def test_optimizers_from_outside_train_in_stacks_of_their_own(deeprob, small, stacks, foreign):
    words = ("--config-dir", str(foreign), "-m", *small, STACKED, "hydra.sweep.dir=s")
    result = deeprob(*words, "optimizer=sgd,opposite,tenfold", "optimizer.lr=0.1", "seed=0,1")
    assert result.status == 0, result.err
    assert stacks == [["000", "001"], ["002", "003"], ["004", "005"]]
    assert result.err == ""
    assert statuses() == ["completed"] * 6
    sgd, opposite, tenfold = (float(row["params/norm"]) for row in table()[::2])
    assert opposite == pytest.approx(sgd, rel=1e-6)  # the same updates, by torch
    assert tenfold < 0.9 * sgd  # its own decay, and not the rule of the class above it


def test_an_optimizer_that_evaluates_again_goes_on_one_by_one(deeprob, small, stacks, foreign, monkeypatch):
    """It does so in update 5, after the trial: the runs go on from their last checkpoints."""

    class Again(torch.optim.SGD):
        def step(self, closure):
            loss = super().step(closure)
            state = self.state[self.param_groups[0]["params"][0]]
            state["count"] = state.get("count", 0) + 1
            return closure() if state["count"] == 5 else loss

    monkeypatch.setattr(options("optimizer")["opposite"], "build", lambda config, p: Again(list(p), lr=config.lr))
    words = ("--config-dir", str(foreign), "-m", *small, STACKED, "optimizer=opposite", "optimizer.lr=0.1,0.2")
    result = deeprob(*words, "trainer.checkpoint_epochs=1", "hydra.sweep.dir=s")
    assert (result.status, stacks) == (0, [["000", "001"]])
    reason = "optimizer=opposite evaluates L(W) several times per update"
    assert result.err == f"note: jobs 0, 1: trained one by one, because {reason}\n"
    assert statuses() == ["completed"] * 2
    assert deeprob(*words, "hydra.launcher.max_stack=1", "hydra.sweep.dir=alone").status == 0
    for job in ("000", "001"):
        one, other = (next(Path(folder).glob(f"{job}*"), None) for folder in ("s", "alone"))
        summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, other)]
        assert summaries[0]["params/norm"] == summaries[1]["params/norm"]
        assert summaries[0]["evaluations"] == summaries[1]["evaluations"] == 10


def test_large_updates_are_one_by_one_unless_max_stack_says_how_many(deeprob, small, stacks, monkeypatch):
    monkeypatch.setattr(grouping, "LARGE_UPDATE", 1.0)
    words = ("-m", *small, "seed=0,1", STACKED)
    result = deeprob(*words, "hydra.sweep.dir=s")
    assert "note: jobs 0, 1: trained one by one, because an update of " in result.err
    assert stacks == []
    assert deeprob(*words, "hydra.launcher.max_stack=2", "hydra.sweep.dir=t").err == ""
    assert stacks == [["000", "001"]]


def test_a_single_job_is_no_stack(deeprob, small, stacks):
    assert deeprob("-m", *small, STACKED, "hydra.sweep.dir=s").err == ""
    assert stacks == []
    assert statuses() == ["completed"]


REFUSED = {
    "hydra.launcher.max_stack=0": "hydra.launcher.max_stack=0: expected a whole number at least 1, or auto",
    "hydra.launcher.max_stack=many": "hydra.launcher.max_stack=many: expected a whole number at least 1, or auto",
    "hydra.launcher.max_stack=2.5": "hydra.launcher.max_stack=2.5: expected a whole number at least 1, or auto",
    "optimizer.lr=0.1,-1": "job 2 (",
    "model.width=4,wide": "job 2 (",
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_not_valid_is_one_line_before_anything_starts(deeprob, small, stacks, word):
    words = [other for other in small if not other.startswith(word.partition("=")[0])]
    status, out, err = deeprob("-m", *words, word, "seed=0,1", STACKED, "hydra.sweep.dir=s")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {REFUSED[word]}")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []
    assert stacks == []


def test_the_same_directory_twice_is_refused(deeprob, small):
    words = ("-m", *small, "seed=0,1", STACKED)
    assert deeprob(*words, "hydra.sweep.dir=s").status == 0
    before = Path("s/summary.csv").read_text()
    status, _, err = deeprob(*words, "hydra.sweep.dir=s")
    assert (status, err) == (2, "error: s exists already; give another directory\n")
    status, _, err = deeprob(*words, "hydra.sweep.dir=t", "hydra.sweep.subdir=one")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("error: hydra.sweep.subdir: job 1 would write to 'one'; each job needs its own folder")
    assert Path("s/summary.csv").read_text() == before


def test_jobs_that_diverge_are_named_and_the_others_go_on(deeprob, small, stacks):
    result = deeprob("-m", *small, "optimizer=sgd", "optimizer.lr=1e-3,1e30,1e-2", STACKED, "hydra.sweep.dir=s")
    assert result.status == 4
    assert (
        "error: job 1: diverged: the updated parameters became NaN or infinite at step 1 (epoch 1, batch 1)"
        in result.err
    )
    assert result.err.endswith("error: 1 of 3 jobs failed: 1\n")
    assert stacks == [["000", "001", "002"]]
    assert statuses() == ["completed", "diverged", "completed"]
    assert table()[1]["error"].startswith("the updated parameters became NaN or infinite at step 1")


def test_after_a_failure_no_other_stack_starts_if_that_is_asked_for(deeprob, small, stacks):
    words = ("optimizer=sgd", "optimizer.lr=1e30,1e-3,1e-2,1e-1", "hydra.launcher.max_stack=2", "sweep.fail_fast=true")
    result = deeprob("-m", *small, *words, STACKED, "hydra.sweep.dir=s")
    assert (result.status, result.err.splitlines()[-1]) == (
        4, "error: 1 of 4 jobs failed: 0; 2 of 4 jobs skipped: 2, 3"
    )  # fmt: skip
    assert stacks == [["000", "001"]]
    assert statuses() == ["diverged", "completed", "skipped", "skipped"]
    assert table()[3]["error"] == "job 0 failed, and sweep.fail_fast=true"


def scarce(monkeypatch, largest: int) -> None:
    """Let memory be enough for stacks of at most so many runs."""
    original = Update.__call__

    def update(self, batch, step):
        if len(self.stack) > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, batch, step)

    monkeypatch.setattr(Update, "__call__", update)


def test_a_stack_that_does_not_fit_into_memory_goes_on_as_smaller_ones(deeprob, small, monkeypatch):
    words = ("-m", *small, "seed=range(5)", STACKED)
    assert deeprob(*words, "hydra.sweep.dir=whole").status == 0
    scarce(monkeypatch, 2)
    status, _, err = deeprob(*words, "hydra.sweep.dir=s")
    assert status == 0
    assert err.splitlines() == [
        "note: not enough memory for a stack of 5 runs; continuing with 3 at once",
        "note: not enough memory for a stack of 3 runs; continuing with 2 at once",
    ]
    assert statuses() == ["completed"] * 5
    for place in range(5):
        rows = [Path(f"{name}/00{place}_seed={place}/metrics.csv").read_text().splitlines() for name in ("whole", "s")]
        assert [row.split(",")[:3] for row in rows[0]] == [row.split(",")[:3] for row in rows[1]]


def test_a_run_that_does_not_fit_into_memory_fails_in_one_line(deeprob, small, monkeypatch):
    scarce(monkeypatch, 0)
    status, _, err = deeprob("-m", *small, "seed=0,1", STACKED, "hydra.sweep.dir=s")
    assert status == 4
    assert "Traceback" not in err
    assert err.splitlines()[1].startswith("error: job 0: not enough memory: lower trainer.batch_size of 32")
    assert statuses() == ["failed", "failed"]


def test_a_bug_fails_the_jobs_of_its_stack_with_its_trace(deeprob, small, monkeypatch):
    original = StackedRuns.train
    calls = []

    def sometimes(self, tell):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of luck")
        return original(self, tell)

    monkeypatch.setattr(StackedRuns, "train", sometimes)
    words = ("seed=range(4)", "hydra.launcher.max_stack=2")
    result = deeprob("-m", *small, *words, STACKED, "hydra.sweep.dir=s")
    assert result.status == 4
    assert "Traceback" in result.err
    assert "error: job 1: out of luck" in result.err
    assert statuses() == ["failed", "failed", "completed", "completed"]


def test_a_bug_before_training_fails_its_job_alone(deeprob, small, monkeypatch):
    build = launcher.Setup.build

    def sometimes(config, *more):
        if config.seed == 0:
            raise RuntimeError("out of luck")
        return build(config, *more)

    monkeypatch.setattr(launcher.Setup, "build", sometimes)
    result = deeprob("-m", *small, "seed=0,1,2", STACKED, "hydra.sweep.dir=s")
    assert result.status == 4
    assert "Traceback" in result.err
    assert "error: job 0: out of luck" in result.err
    assert statuses() == ["failed", "completed", "completed"]


def test_a_dataset_that_cannot_be_read_is_said_of_each_job(deeprob, stacks):
    words = ("dataset=image_folder", "dataset.root=nowhere", "seed=0,1")
    status, _, err = deeprob("-m", *words, STACKED, "hydra.sweep.dir=s")
    assert status == 4
    assert [line.partition(" nowhere")[0][:12] for line in err.splitlines()[:2]] == ["error: job 0", "error: job 1"]
    assert stacks == []


def test_hydras_basic_sweeper_works_with_stacks(deeprob, small, stacks):
    words = ("-m", "hydra/sweeper=basic", *small, STACKED)
    assert deeprob(*words, "seed=0,1", "hydra.sweep.dir=s").status == 0
    assert stacks == [["000", "001"]]
    assert all(Path(f"s/00{job}_seed={job}/summary.json").exists() for job in (0, 1))


def test_the_best_so_far_is_that_of_the_whole_sweep():
    assert best_now([]) == ""
    assert (
        best_now([{"train/accuracy": 0.5, "train/loss": 1.0}, {"train/loss": 0.25}]) == "best now: train/accuracy 0.5"
    )
    assert best_now([{"val/loss": 3.0}, {"val/loss": 0.5, "train/accuracy": 1.0}]) == "best now: val/loss 0.5"


def test_the_display_counts_shapes_and_stacks_and_keeps_the_best(deeprob, small, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "deeprob.tracking.console.Bar.advance", lambda bar, done, remark="": seen.append((bar.what, remark))
    )
    words = [word for word in small if not word.startswith("model")]
    words += ["model.width=4,5", "optimizer.lr=1e-2,1e-3", "seed=0,1", "dataset.val_fraction=0.2"]
    assert deeprob("-m", *words, STACKED, "hydra.launcher.max_stack=2", "hydra.sweep.dir=s").status == 0
    assert list(dict.fromkeys(what for what, _ in seen if what.startswith("shape"))) == [
        f"shape {shape} of 2, stack {stack} of 2, 2 runs" for shape in (1, 2) for stack in (1, 2)
    ]
    ended = max(float(row["val/accuracy"]) for row in table()[:4])
    later = [float(remark.split()[-1]) for what, remark in seen if what.startswith("shape 2")]
    assert min(later) >= float(f"{ended:.4g}")


@pytest.mark.parametrize("often", ["trainer.checkpoint_epochs=1", "trainer.checkpoint_epochs=0"])
def test_a_file_that_does_not_reach_the_disk_fails_its_run_alone(deeprob, small, monkeypatch, often):
    fsync = os.fsync

    def bad(descriptor):
        if "001_seed=1/checkpoints" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", bad)
    result = deeprob("-m", *small, "seed=0,1,2", STACKED, often, "hydra.sweep.dir=s")
    assert result.status == 4
    assert "error: job 1: s/001_seed=1/checkpoints" in result.err
    rows = [line.split(",")[:2] for line in Path("s/summary.csv").read_text().splitlines()[1:]]
    assert rows == [["0", "completed"], ["1", "failed"], ["2", "completed"]]


def test_a_folder_that_cannot_be_read_fails_its_job_alone(deeprob, small, monkeypatch):
    words = ("-m", *small, "seed=0,1,2", STACKED, "hydra.sweep.dir=s")
    assert deeprob(*words).status == 0
    for folder in Path("s").glob("*_*"):
        (folder / "summary.json").unlink()
    learned = launcher.learned_features

    def denied(files):
        if files.path.name.endswith("seed=1"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(files.checkpoints / "last.pt"))
        return learned(files)

    monkeypatch.setattr(launcher, "learned_features", denied)
    result = deeprob(*words, "resume=auto")
    assert result.status == 4
    assert result.err.splitlines()[0] == "error: job 1: s/001_seed=1/checkpoints/last.pt: Permission denied"
    assert statuses() == ["completed", "failed", "completed"]


def test_stacks_fit_the_open_files_that_the_system_allows(deeprob, small, stacks, monkeypatch):
    monkeypatch.setattr(launcher, "open_files", lambda: 2)
    result = deeprob("-m", *small, "seed=range(5)", STACKED, "hydra.sweep.dir=s")
    assert (result.status, [len(stack) for stack in stacks]) == (0, [1, 2, 2])
    assert result.err == "note: stacks of 2 runs, not 256: the system allows no more open files (ulimit -n)\n"
