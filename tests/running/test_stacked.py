"""Runs of a stack: each leaves the files that it would have left alone, stops when it would, and goes on."""

import csv
import dataclasses
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._pytree import tree_leaves

from deeprob import load_run
from deeprob.assembly.config import VARY
from deeprob.assembly.setup import Setup
from deeprob.errors import Superseded
from deeprob.running import stacked as stacked_run
from deeprob.running.stacked import StackedRuns, common_step
from deeprob.tracking import checkpoint_file
from deeprob.tracking.appended_file import AppendedFile
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training.trackers.csv import MetricsCSV

STACKED = "hydra/launcher=auto"
ALONE = "hydra/launcher=basic"


@pytest.fixture
def words(small) -> tuple[str, ...]:
    """Of every sweep here: 72 points to train on by 32, so 9 updates."""
    return ("-m", *small, "dataset.val_fraction=0.2", "trainer.precision=float64", "scheduler=constant")


def folders(sweep: str) -> list[Path]:
    return sorted(path for path in Path(sweep).iterdir() if path.is_dir())


def last(folder: Path, name: str = "last") -> dict:
    return checkpoint_file.load(folder / f"checkpoints/{name}.pt")


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def rows(folder: Path) -> list[dict]:
    if not (folder / "metrics.csv").exists():  # diverged in the first epoch
        return []
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in csv.DictReader(file)]


def curves(folder: Path) -> dict:
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = events.Tags()["scalars"]
    return {tag: [(e.step, 0 if tag.startswith("time/") else e.value) for e in events.Scalars(tag)] for tag in scalars}


def numbers(content: dict) -> list:
    """Return tensors and numbers of a checkpoint, without times and what the recorder needs."""
    kept = {k: v for k, v in content.items() if k not in ("seconds", "recorder")}
    kept["metrics"] = {k: v for k, v in content["metrics"].items() if not k.startswith("time/")}
    kept["optimizer"] = [values for _, values in sorted(content["optimizer"]["state"].items()) if values]
    return tree_leaves(kept)


def assert_alike(one: Path, other: Path, rel: float) -> None:
    """Compare all that two runs left, with numbers within `rel`; 0 for the same bits."""
    for name in ("last", "best"):
        for a, b in zip(numbers(last(one, name)), numbers(last(other, name)), strict=True):
            if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
                torch.testing.assert_close(a, b, rtol=rel, atol=rel, equal_nan=True)
            else:
                assert a == (pytest.approx(b, rel=rel, abs=rel) if isinstance(b, float) else b)
    for mine, theirs in zip(rows(one), rows(other), strict=True):
        assert list(mine) == list(theirs)
        assert [float(v or 0) for v in mine.values()] == pytest.approx(
            [float(v or 0) for v in theirs.values()], rel=rel
        )
    a, b = summary(one), summary(other)
    assert list(a) == list(b)
    for key in a.keys() - {key for key in a if key == "seconds" or key.startswith("time/")}:
        assert a[key] == (pytest.approx(b[key], rel=rel) if isinstance(b[key], float) else b[key])
    a, b = curves(one), curves(other)
    assert a.keys() == b.keys()
    for tag in a:
        assert [step for step, _ in a[tag]] == [step for step, _ in b[tag]]
        assert [value for _, value in a[tag]] == pytest.approx([v for _, v in b[tag]], rel=max(rel, 1e-6 * (rel > 0)))


@pytest.mark.parametrize(
    "more",
    [
        ("optimizer.lr=1e-3,1e-2,0.3", "model.dropout=0.2", "trainer.log_every=2"),
        ("optimizer=sgd", "optimizer.momentum=0,0.9", "optimizer.lr=0.1", "model.norm=batch", "regularizer=none,l2"),
        ("optimizer=adafactor", "regularizer=l1", "regularizer.proximal=true", "regularizer.strength=1e-3,0.1"),
        ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.2", "seed=0,1", "trainer.batch_size=full"),
        ("optimizer=asgd,nadam", "seed=0,1", "trainer.checkpoint_steps=4", "dataset.val_fraction=0"),
    ],
    ids=" ".join,
)
def test_a_run_leaves_what_it_leaves_alone(deeprob, words, more):
    assert deeprob(*words, *more, STACKED, "hydra.sweep.dir=s").err == ""
    assert deeprob(*words, *more, ALONE, "hydra.sweep.dir=alone").err == ""
    for stacked, alone in zip(folders("s"), folders("alone"), strict=True):
        assert stacked.name == alone.name
        assert (stacked / "config.yaml").read_text() == (alone / "config.yaml").read_text()
        assert_alike(stacked, alone, 1e-12 if "nadam" not in stacked.name else 1e-7)
        one, other = (
            {path.name for path in folder.rglob("*") if ".prev." not in path.name and "tfevents" not in path.name}
            for folder in (stacked, alone)
        )
        assert one == other
        provenance, expected = (json.loads((f / "provenance.json").read_text()) for f in (stacked, alone))
        assert provenance.keys() == expected.keys()
        run = load_run(stacked)
        inputs = run.data().test.inputs
        torch.testing.assert_close(run(inputs), load_run(alone)(inputs), rtol=1e-6, atol=1e-6)
    tables = [Path(sweep, "summary.csv").read_text().splitlines() for sweep in ("s", "alone")]
    assert tables[0][0] == tables[1][0]
    assert len(tables[0]) == len(tables[1])


VARYING = {
    "seed": ("seed=0,1",),
    "dataset.seed": ("dataset.seed=0,1", "seed=3"),
    "model.dropout": ("model.dropout=0,0.2,0.5",),
    "loss.label_smoothing": ("loss.label_smoothing=0,0.1",),
    "loss.class_weights": ("loss.class_weights=none,balanced,[1,1,5]",),
    "loss.delta": ("loss=huber", "loss.delta=0.1,1"),
    "loss.gamma": ("loss=focal", "loss.gamma=0,0.5,2"),
    "loss.margin": ("loss=hinge", "loss.margin=0.5,1,2"),
    "regularizer": ("regularizer=none,l1,l2",),
    "scheduler": ("scheduler=constant,cosine,step",),
    "trainer.monitor": ("trainer.monitor=val/loss,val/accuracy", "optimizer.lr=0.3", "trainer.epochs=8"),
    "trainer.patience": ("trainer.patience=1,2", "optimizer.lr=0.3", "trainer.epochs=20"),
    "trainer.patience_monitor": (
        "trainer.patience_monitor=val/loss,val/accuracy",
        "trainer.patience=1",
        "optimizer.lr=0.3",
        "trainer.epochs=20",
    ),
    "trainer.progress": ("trainer.progress=true,false",),
    "trainer.figures": ("trainer.figures=[],[confusion]", "trainer.epochs=2"),
    "trainer.figures_every": ("trainer.figures=[confusion]", "trainer.figures_every=1,2", "trainer.epochs=2"),
    "trainer.trackers": ("trainer.trackers=[tensorboard,csv],[jsonl,csv,tensorboard]",),
    "trainer.checkpoint_minutes": ("trainer.checkpoint_minutes=1,2",),
    "trainer.checkpoint_epochs": ("trainer.checkpoint_epochs=1,2",),
}


@pytest.mark.parametrize("key", VARYING)
def test_runs_that_differ_in_a_key_share_a_stack_and_train_as_alone(deeprob, words, monkeypatch, key):
    sizes, train = [], stacked_run.StackedRuns.train
    monkeypatch.setattr(
        stacked_run.StackedRuns, "train", lambda runs, *rest: sizes.append(len(runs.directories)) or train(runs, *rest)
    )
    given = {word.partition("=")[0]: word for word in (*words, *VARYING[key])}.values()
    assert deeprob(*given, STACKED, "hydra.sweep.dir=s").err == ""
    assert deeprob(*given, ALONE, "hydra.sweep.dir=alone").err == ""
    assert sizes == [len(folders("alone"))]
    for stacked, alone in zip(folders("s"), folders("alone"), strict=True):
        assert_alike(stacked, alone, 1e-12)
        assert (stacked / "figures").exists() == (alone / "figures").exists()


def test_every_key_that_may_differ_is_tried():
    assert VARYING.keys() | {"dataset.fold"} == VARY


@pytest.mark.parametrize(
    "more",
    [
        ("seed=0,1", "dataset.val_fraction=0.2", "loss.class_weights=balanced"),
        (
            "dataset.task=regression",
            "dataset.targets=z",
            "dataset.inputs=[x,y]",
            "loss=squared_error",
            "dataset.val_fraction=0.3",
        ),
        ("trainer.batch_size=full", "features=pca", "features.components=2", "model.dropout=0.3"),
    ],
    ids=" ".join,
)
def test_folds_share_a_stack_and_train_as_alone_bit_for_bit(deeprob, monkeypatch, more):
    rng = torch.Generator().manual_seed(0)
    table = [f"{x:.3f},{y:.3f},{z:.3f},{'abc'[c]}" for c in (0, 1, 2) for x, y, z in torch.randn(18, 3, generator=rng)]
    Path("table.csv").write_text("\n".join(["x,y,z,kind", *table[:53]]))
    sizes, train = [], stacked_run.StackedRuns.train
    monkeypatch.setattr(
        stacked_run.StackedRuns, "train", lambda runs, *rest: sizes.append(len(runs.directories)) or train(runs, *rest)
    )
    words = ("dataset=csv", "dataset.root=table.csv", "trainer.epochs=3", "trainer.threads=1", "trainer.figures=[]")
    words = (*words, "model.width=8", *more)
    assert deeprob("-m", *words, "sweep.folds=5", STACKED, "hydra.sweep.dir=s").status == 0
    assert deeprob("-m", *words, "sweep.folds=5", ALONE, "hydra.sweep.dir=alone").status == 0
    one = [word for word in words if word != "seed=0,1"]
    assert deeprob(*one, "dataset.folds=5", "dataset.fold=3", "hydra.run.dir=one").status == 0
    seeds = 2 if "seed=0,1" in more else 1
    assert sizes == [3 * seeds, 2 * seeds]  # test splits of 11 rows, then of 10 rows
    pairs = list(zip(folders("s"), folders("alone"), strict=True))
    for stacked, alone in [*pairs, (pairs[3][0], Path("one"))]:
        assert rows(stacked) == rows(alone)
        of_stack, of_alone = (tree_leaves(last(folder)["model"]) for folder in (stacked, alone))
        assert all(torch.equal(*both) for both in zip(of_stack, of_alone, strict=True))
    tested = [row for stacked, _ in pairs[:5] for row in load_run(stacked).data().test.inputs[:, :2].tolist()]
    assert sorted(tested) == sorted([float(cell) for cell in row.split(",")[:2]] for row in table[:53])


def test_a_checkpoint_holds_one_run_and_not_the_whole_stack(deeprob, words):
    assert deeprob(*words, "seed=range(12)", STACKED, "hydra.sweep.dir=s", "trainer.checkpoint_steps=5").status == 0
    assert deeprob(*words, "seed=0", ALONE, "hydra.sweep.dir=alone").status == 0
    (alone,) = folders("alone")
    for folder in folders("s"):
        for path in (folder / "checkpoints").iterdir():
            assert path.stat().st_size <= 1.02 * (alone / "checkpoints/last.pt").stat().st_size
        leaves = [leaf for leaf in tree_leaves(last(folder)) if isinstance(leaf, torch.Tensor)]
        assert len({leaf.untyped_storage().data_ptr() for leaf in leaves}) == len(leaves)
        assert all(leaf.untyped_storage().nbytes() == leaf.nbytes for leaf in leaves)


def test_each_run_stops_early_when_it_would_alone(deeprob, words):
    more = ("optimizer.lr=0.1,0.3", "trainer.patience=1,3", "trainer.epochs=30")
    assert deeprob(*words, *more, STACKED, "hydra.sweep.dir=s").status == 0
    assert deeprob(*words, *more, ALONE, "hydra.sweep.dir=alone").status == 0
    for stacked, alone in zip(folders("s"), folders("alone"), strict=True):
        assert_alike(stacked, alone, 1e-12)
    ends = {(summary(folder)["status"], summary(folder)["epochs"]) for folder in folders("s")}
    assert len(ends) > 2
    assert "stopped" in {status for status, _ in ends}


def test_a_run_that_diverges_ends_as_it_does_alone_and_the_others_as_without_it(deeprob, words):
    words = [word for word in words if "precision" not in word]
    sweeps = {
        "s": ("optimizer.lr=1e-3,1e37,1e-2", STACKED),
        "without": ("optimizer.lr=1e-3,2e-3,1e-2", STACKED),
        "alone": ("optimizer.lr=1e-3,1e37,1e-2", ALONE),
    }
    results = {name: deeprob(*words, *more, f"hydra.sweep.dir={name}") for name, more in sweeps.items()}
    assert [result.status for result in results.values()] == [4, 0, 4]
    assert results["s"].err == results["alone"].err
    assert "error: job 1: diverged: " in results["s"].err
    for place in (0, 2):
        assert_alike(folders("s")[place], folders("without")[place], 0)
    stacked, alone = folders("s")[1], folders("alone")[1]
    assert summary(stacked)["status"] == summary(alone)["status"] == "diverged"


L2 = ("regularizer=l2", "regularizer.strength=100")
DIVERGING = {  # 9 updates, of which one sets the parameters to what overflows
    "at once": ("optimizer=sgd", "optimizer.lr=1e200,0.01"),
    "momentum": ("optimizer=sgd", "optimizer.lr=1e70,0.01", "optimizer.momentum=0.9", "trainer.log_every=2"),
    "pauses": ("optimizer=rmsprop", "optimizer.lr=1e160,0.01", "model.norm=batch", "trainer.checkpoint_steps=2"),
    "weights": ("optimizer=adam", "optimizer.lr=1e155,0.01", "regularizer=l2", "dataset.val_fraction=0"),
    "later": ("optimizer=sgd", "optimizer.lr=10,0.01", "optimizer.momentum=0.9", *L2),
    "much later": ("optimizer=asgd", "optimizer.lr=1e4,0.01", "trainer.log_every=7", *L2),
}


@pytest.mark.parametrize("more", DIVERGING.values(), ids=DIVERGING)
def test_a_run_that_diverges_leaves_what_it_leaves_alone_also_after_resuming(deeprob, words, more):
    given = (*words, *more, "trainer.epochs=40")
    for again in ((), ("resume=auto",), ("resume=auto",)):
        assert deeprob(*given, *again, STACKED, "hydra.sweep.dir=s").status == 4
        assert deeprob(*given, *again, ALONE, "hydra.sweep.dir=alone").status == 4
        stacked, alone = folders("s")[0], folders("alone")[0]
        assert summary(alone)["status"] == "diverged"
        assert summary(alone)["steps"] == summary(alone)["evaluations"] == last(alone)["step"]
        assert_alike(stacked, alone, 1e-9)


# ---------------------------------------------------------------- interrupted and killed


@pytest.fixture
def stopped(deeprob, words, monkeypatch):
    """Start a sweep in ``s`` that is interrupted after so many updates; returns its words."""

    def sweep(updates: int, *more: str) -> tuple[str, ...]:
        calls = []

        def count(interruption: Interruption) -> bool:
            calls.append(1)
            if len(calls) == updates:
                interruption.number = signal.SIGINT
            return len(calls) == updates

        given = (*words, "model.dropout=0.2", "optimizer.lr=1e-3,1e-2,0.1", "trainer.log_every=2", STACKED, *more)
        with monkeypatch.context() as patched:
            patched.setattr(Interruption, "__call__", count)
            result = deeprob(*given, "hydra.sweep.dir=s")
        assert (result.status, result.err) == (130, "error: interrupted by SIGINT\n")
        assert [last(folder)["step"] for folder in folders("s")] == [updates] * 3
        return given

    return sweep


@pytest.mark.parametrize("updates", [1, 5])
def test_an_interrupted_stack_goes_on_bit_for_bit(deeprob, stopped, updates):
    words = stopped(updates)
    assert {summary(folder)["status"] for folder in folders("s")} == {"interrupted"}
    with Path("s/summary.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["interrupted"] * 3
    assert deeprob(*words, "resume=auto", "hydra.sweep.dir=s").err == ""
    assert deeprob(*words, "hydra.sweep.dir=whole").err == ""
    for one, other in zip(folders("s"), folders("whole"), strict=True):
        assert_alike(one, other, 0)
        assert len(list(one.glob("events.out.tfevents.*"))) == 1


def test_a_stack_killed_between_two_checkpoints_goes_on_from_the_step_that_all_have(deeprob, stopped):
    words = stopped(6, "trainer.checkpoint_steps=4")
    checkpoints = folders("s")[1] / "checkpoints"
    shutil.copy(checkpoints / "last.prev.pt", checkpoints / "last.pt")  # as if killed before this run wrote its own
    for folder in folders("s"):
        (folder / "summary.json").unlink()
    assert [last(folder)["step"] for folder in folders("s")] == [6, 4, 6]
    assert deeprob(*words, "resume=auto", "hydra.sweep.dir=s").err == ""
    assert deeprob(*words, "hydra.sweep.dir=whole").err == ""
    for one, other in zip(folders("s"), folders("whole"), strict=True):
        assert_alike(one, other, 0)


def test_a_run_without_any_checkpoint_starts_afresh_beside_those_that_go_on(deeprob, stopped):
    words = stopped(5)
    for path in (folders("s")[2] / "checkpoints").iterdir():
        path.unlink()
    assert deeprob(*words, "resume=auto", "hydra.sweep.dir=s").err == ""
    assert deeprob(*words, "hydra.sweep.dir=whole").err == ""
    for one, other in zip(folders("s"), folders("whole"), strict=True):
        assert_alike(one, other, 1e-12)


def test_complete_runs_are_left_as_they_are(deeprob, words):
    given = (*words, "seed=0,1", STACKED, "hydra.sweep.dir=s", "resume=auto")
    assert deeprob(*given).status == 0
    before = {path: path.stat().st_mtime_ns for folder in folders("s") for path in folder.rglob("*") if path.is_file()}
    assert deeprob(*given).err == ""
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_of_a_stack_goes_on_alone(deeprob, stopped):
    words = stopped(5, "trainer.figures=[]")  # of a run that is no job there would be some
    folders("s")[1].rename("run")
    assert deeprob("resume=run").status == 0
    plain = [word for word in words if word not in ("-m", STACKED) and not word.startswith("optimizer.lr")]
    assert deeprob(*plain, "optimizer.lr=1e-2", "hydra.run.dir=alone").status == 0
    assert_alike(Path("run"), Path("alone"), 1e-12)


def test_the_common_step_is_the_latest_that_all_with_checkpoints_have(tmp_path):
    paths = [tmp_path / f"{run}.pt" for run in range(3)]
    assert common_step(paths) is None
    for run, step, common in ((0, 2, 2), (0, 4, 4), (1, 2, 2), (1, 4, 4), (2, 9, None)):
        checkpoint_file.save({"step": step}, paths[run])
        assert common_step(paths) == common
    paths[0].write_bytes(b"damaged")
    assert common_step(paths[:2]) == 2


# ---------------------------------------------------------------- runs that fail alone


def test_a_run_whose_folder_cannot_be_made_fails_alone(deeprob, words, monkeypatch):
    class Denied(RunDirectory):
        def __enter__(self):
            if self.path.name.endswith("seed=1"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
            return super().__enter__()

    monkeypatch.setattr(stacked_run, "RunDirectory", Denied)
    status, _, err = deeprob(*words, "seed=0,1,2", STACKED, "hydra.sweep.dir=s")
    assert status == 4
    assert err.splitlines() == [
        "error: job 1: s/001_seed=1: Permission denied",
        "error: 1 of 3 jobs failed: 1",
    ]
    assert [summary(folder)["status"] for folder in folders("s")] == ["completed"] * 2


def test_a_full_disk_is_named_also_when_files_are_closed(deeprob, words, monkeypatch):
    write = AppendedFile.write

    def full(self):
        if self.path.parent.name.endswith("seed=1") and self._waiting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as the system does, without a name
        write(self)

    monkeypatch.setattr(AppendedFile, "write", full)
    status, _, err = deeprob(*words, "seed=0,1,2", STACKED, "hydra.sweep.dir=s")
    assert status == 4
    assert err.splitlines() == [
        "error: job 1: s/001_seed=1: No space left on device",
        "error: 1 of 3 jobs failed: 1",
    ]
    assert [summary(folder)["status"] for folder in (folders("s")[0], folders("s")[2])] == ["completed"] * 2


def test_a_run_that_cannot_write_any_more_fails_alone(deeprob, words, monkeypatch):
    original = MetricsCSV.epoch

    def full(self, row):
        if self._file.path.parent.name.endswith("seed=1") and row["epoch"] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file.path))
        original(self, row)

    with monkeypatch.context() as patched:
        patched.setattr(MetricsCSV, "epoch", full)
        status, _, err = deeprob(*words, "seed=0,1,2", STACKED, "hydra.sweep.dir=s")
    assert status == 4
    assert err.splitlines()[0].startswith("error: job 1: ")
    assert err.splitlines()[0].endswith("metrics.csv: No space left on device")
    assert deeprob(*words, "seed=0,1,2", STACKED, "hydra.sweep.dir=without").status == 0
    for place in (0, 2):
        assert_alike(folders("s")[place], folders("without")[place], 0)
    assert not list(folders("s")[1].glob(".*"))


@pytest.mark.parametrize("taken", [(0, 1, 2), (1,)], ids=["all", "one"])
def test_a_newer_attempt_takes_over_runs_and_the_others_of_the_stack_go_on(one_run, taken):
    config = load_run(one_run).config

    def runs(places: tuple[int, ...], folder: str, **words) -> StackedRuns:
        setups = [Setup.build(dataclasses.replace(config, seed=place)) for place in places]
        return StackedRuns(setups, [Path(f"{folder}/{place}") for place in places], ["deeprob-train"], **words)

    def take_over(done: float, metrics: object) -> None:
        if not newer.endings:
            newer.train(lambda done, metrics: None)

    config.trainer.checkpoint_epochs = 1
    everything = (0, 1, 2)
    runs(everything, "whole").train(lambda done, metrics: None)
    older, newer = runs(everything, "shared"), runs(taken, "shared", resume=True, attempt=1)
    older.train(take_over)
    for place in everything:
        assert_alike(Path(f"shared/{place}"), Path(f"whole/{place}"), 0)
        assert isinstance(older.endings[place], Superseded) == (place in taken)
    assert [ending["status"] for ending in newer.endings.values()] == ["completed"] * len(taken)
    assert not list(Path("shared").glob("*/.*"))


def test_one_output_of_many_inputs_has_the_bits_of_the_run_alone(deeprob):
    data = ("dataset=random_regression", "dataset.examples=33", "dataset.inputs=1300", "dataset.outputs=1")
    words = (*data, "loss=squared_error", "model.layers=1", "trainer.batch_size=16", "trainer.epochs=3")
    assert deeprob("-m", *words, "optimizer.lr=0.01,0.1", "seed=0,3", STACKED, "hydra.sweep.dir=s").status == 0
    for number, (lr, seed) in enumerate(((0.01, 0), (0.01, 3), (0.1, 0), (0.1, 3))):
        alone = Path(f"alone{number}")
        settings = (f"optimizer.lr={lr}", f"seed={seed}", "trainer.figures=[]", f"hydra.run.dir={alone}")
        assert deeprob(*words, *settings).status == 0
        one, other = (last(directory)["model"] for directory in (alone, folders("s")[number]))
        assert all(torch.equal(one[name], other[name]) for name in one)
