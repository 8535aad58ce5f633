"""SIGKILL at any moment: the run that is started again ends as if nothing had happened, to the bit."""

import csv
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._pytree import tree_flatten_with_path

from deeprob.tracking import checkpoint_file

OFTEN = ("trainer.checkpoint_steps=7", "trainer.log_every=5", "trainer.progress=false", "trainer.figures=[]")
SPIRALS = (
    "dataset.points_per_class=40", "dataset.test_points_per_class=10", "dataset.val_fraction=0.2", "model.width=8",
    "trainer.batch_size=10",
)  # fmt: skip
RUNS = {
    "sgd": (*SPIRALS, "optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0.9", "model.dropout=0.3",
            "scheduler=constant", "trainer.epochs=9"),
    "adam": ("dataset=image_folder", "dataset.root=PICTURES", "dataset.flip=true", "dataset.crop=2", "model.width=8",
             "optimizer=adam", "optimizer.amsgrad=true", "trainer.batch_size=3", "trainer.epochs=9"),
    "lbfgs": (*SPIRALS, "optimizer=lbfgs", "optimizer.max_iter=3", "trainer.batch_size=full", "trainer.epochs=40"),
    "plateau": (*SPIRALS, "model.norm=batch", "scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.3",
                "scheduler.gamma=0.5", "regularizer=l1", "regularizer.proximal=true", "trainer.epochs=9"),
}  # fmt: skip


class Nursery:
    """See ``nursery.py``."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("nursery.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *words: str, folder: Path, **more: Any) -> dict:
        folder.mkdir(exist_ok=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"words": words, "folder": str(folder), **more}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def words(pictures) -> dict[str, tuple[str, ...]]:
    return {
        name: (*(word.replace("PICTURES", str(pictures)) for word in run), *OFTEN, "hydra.run.dir=run", "resume=auto")
        for name, run in RUNS.items()
    }


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith("time/")}


def numbers(folder: Path, name: str = "run") -> dict[str, Any]:
    """All that a run ended with, but for times."""
    run = folder / name
    content = checkpoint_file.load(run / "checkpoints/last.pt") | {
        "best": checkpoint_file.load(run / "checkpoints/best.pt")
    }
    for state in (content, content["best"]):
        for name in ("seconds", "recorder"):
            state.pop(name, None)
        state["metrics"] = without_times(state["metrics"])
    events = EventAccumulator(str(run))
    events.Reload()
    with (run / "metrics.csv").open() as file:
        table = [without_times(row) for row in csv.DictReader(file)]
    summary = json.loads((run / "summary.json").read_text())
    return {
        "checkpoint": content,
        "metrics.csv": table,
        "summary": {k: v for k, v in without_times(summary).items() if k != "seconds"},
        "events": {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
            if not tag.startswith("time/")
        },
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Where two runs' numbers differ."""
    mine, theirs = (dict(tree_flatten_with_path(numbers)[0]) for numbers in (one, other))
    if mine.keys() != theirs.keys():
        return [str(path) for path in mine.keys() ^ theirs.keys()]
    return [str(path) for path in mine if not equal(mine[path], theirs[path])]


def equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(nursery, words, tmp_path, times, tell, name):
    rng = random.Random(name)
    whole = nursery(*words[name], folder=tmp_path / "whole")
    assert whole["status"] == 0, whole["err"]
    expected, seconds = numbers(tmp_path / "whole"), whole["seconds"]
    kills = same = 0
    wanted, trial = times(2, 75), 0
    while kills < wanted:
        folder = tmp_path / f"trial{trial}"
        trial += 1
        for _ in range(3):  # up to three kills of the same run
            done = nursery(*words[name], folder=folder, kill=rng.uniform(0.05, 1.0) * seconds)
            kills += done["status"] == -9
            if done["status"] == 0:
                break
            assert done["status"] == -9, done["err"]
        done = nursery(*words[name], folder=folder)
        assert done["status"] == 0, done["err"]
        found = differences(expected, numbers(folder))
        assert found == [], f"trial {trial}: {found[:5]}"
        same += 1
    tell(f"{name}: {same} of {trial} runs bit-identical after {kills} SIGKILLs")


FORGOTTEN = {
    "sgd": ("optimizer", "model", "meters", "best"),
    "adam": ("optimizer",),
    "lbfgs": ("optimizer",),
    "plateau": ("schedule",),
}


@pytest.mark.parametrize(
    "name", ["adam", *(pytest.param(name, marks=pytest.mark.slow) for name in RUNS if name != "adam")]
)
def test_a_run_that_forgets_one_thing_ends_otherwise(nursery, words, tmp_path, name):
    """The control: each part of the state matters, and the comparison sees it."""
    assert nursery(*words[name], folder=tmp_path / "whole")["status"] == 0
    expected = numbers(tmp_path / "whole")
    assert nursery(*words[name], folder=tmp_path / "killed", writes=5)["status"] == -9
    for forget in (None, *FORGOTTEN[name]):
        folder = shutil.copytree(tmp_path / "killed", tmp_path / f"without {forget}")
        done = nursery(*words[name], folder=folder, forget=forget)
        same = done["status"] == 0 and differences(expected, numbers(folder)) == []
        assert same == (forget is None), forget


def test_a_run_killed_again_and_again_has_every_step_once(nursery, words, tmp_path, times, tell):
    rng, wanted = random.Random(2), times(1, 20)
    long = (*words["sgd"], f"trainer.epochs={20 * wanted}")
    whole = nursery(*long, folder=tmp_path / "whole")
    assert whole["status"] == 0, whole["err"]
    for attempt in range(5):  # again if the machine has become so much quicker that the run ends before a kill
        folder = tmp_path / f"run{attempt}"
        seconds = [rng.uniform(0.2, 0.8) / wanted * whole["seconds"] for _ in range(wanted)]
        if all(nursery(*long, folder=folder, kill=moment)["status"] == -9 for moment in seconds):
            break
    else:
        pytest.fail("no attempt was killed as often as wanted")
    assert nursery(*long, folder=folder)["status"] == 0
    found, expected = numbers(folder), numbers(tmp_path / "whole")
    assert differences(expected, found) == []
    steps = [step for step, _ in found["events"]["train/loss"]]
    assert steps == sorted(set(steps))
    assert [int(row["epoch"]) for row in found["metrics.csv"]] == list(range(1, 20 * wanted + 1))
    tell(f"{wanted} kills of one run: every step once in TensorBoard and metrics.csv, equal to the whole run")


SWEEP = (
    *SPIRALS, *OFTEN, "optimizer=sgd", "optimizer.lr=0.6", "regularizer=l2", "trainer.patience=5", "trainer.epochs=15",
)  # fmt: skip
STRENGTHS = ("0.001", "0.1", "1.65")
"""Runs with the first λ train to the end, runs with the second stop early, and runs with the third diverge."""


def test_a_sweep_killed_in_the_middle_ends_as_if_each_run_had_trained_alone(nursery, tmp_path, times, tell):
    """A killed sweep is resumed with fewer runs in its stack, because some have ended already."""
    rng = random.Random(3)
    swept = [f"regularizer.strength={strength},seed={seed}" for strength in STRENGTHS for seed in range(4)]
    jobs = [f"{number:03}_{values}" for number, values in enumerate(swept)]
    words = ("-m", *SWEEP, f"regularizer.strength={','.join(STRENGTHS)}", "seed=range(4)")
    words += ("hydra.sweep.dir=s", "resume=auto")
    whole = nursery(*words, folder=tmp_path / "whole")
    assert whole["status"] == 4, whole["err"]  # some jobs diverged
    assert whole["err"].endswith("error: 4 of 12 jobs failed: 8, 9, 10, 11\n")
    alone = nursery(*words, "hydra/launcher=basic", folder=tmp_path / "alone")
    assert alone["status"] == 4, alone["err"]
    expected = [numbers(tmp_path / "whole", f"s/{job}") for job in jobs]
    assert [run["summary"]["status"] for run in expected] == ["completed"] * 4 + ["stopped"] * 4 + ["diverged"] * 4
    for job, run in zip(jobs, expected, strict=True):
        assert differences(run, numbers(tmp_path / "alone", f"s/{job}")) == [], job
    kills = 0
    for trial in range(wanted := times(1, 40)):
        folder = tmp_path / f"trial{trial}"
        for _ in range(2):
            at: dict[str, Any] = {"kill": rng.uniform(0.2, 0.9) * whole["seconds"]}
            if trial % 2 == 0:
                at = {"writes": rng.randrange(1, 150)}  # between the checkpoints of two runs of the stack
            kills += nursery(*words, folder=folder, **at)["status"] == -9
        launcher = rng.choice(["auto", "auto", "basic"])
        done = nursery(*words, f"hydra/launcher={launcher}", folder=folder)
        assert done["status"] == 4, done["err"]
        for job, run in zip(jobs, expected, strict=True):
            found = differences(run, numbers(folder, f"s/{job}"))
            assert found == [], f"trial {trial}, {launcher}, {job}: {found[:5]}"
    assert kills >= wanted
    tell(f"12 runs bit-identical to each run alone, in {wanted} sweeps after {kills} SIGKILLs")
