"""The trackers of a run: which there may be, and what happens when one of them fails."""

import csv
import dataclasses
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.assembly.config import MAY_CHANGE
from deeprob.assembly.setup import Setup
from deeprob.config import register
from deeprob.config.schema import _OPTIONS
from deeprob.errors import UserError
from deeprob.figures.of_runs.recorded_metrics import WRITTEN
from deeprob.running.trackers import Trackers, check_trackers
from deeprob.running.watch import Watch
from deeprob.tracking.appended_file import AppendedFile
from deeprob.tracking.checkpoint_file import load
from deeprob.training.trackers import Tracker, TrackerConfig
from deeprob.training.trackers.csv import MetricsCSV

CALLS: list[tuple] = []
FURTHER = ["scalars", "epoch", "flush", "best", "finished", "close"]


class Diary(Tracker):
    """Notes each call. It fails in the method `fails`."""

    def __init__(self, fails: str) -> None:
        self.fails = fails

    def __getattribute__(self, name: str):
        method = object.__getattribute__(self, name)
        if not callable(method):
            return method

        def noted(*given):
            CALLS.append((name, *given))
            if name == self.fails:
                raise ZeroDivisionError(f"no {name} today")
            return method(*given)

        return noted

    def position(self):
        return {"share": 0.5} if self.fails == "a position" else {"calls": len(CALLS)}


@pytest.fixture
def diary() -> Iterator[list[tuple]]:
    """The calls of an own tracker of the name ``diary``."""

    @register("tracker", "diary")
    @dataclass(kw_only=True, slots=True)
    class DiaryConfig(TrackerConfig):
        """Notes each call."""

        fails: str = ""

        def build(self) -> Tracker:
            return Diary(self.fails)

    CALLS.clear()
    yield CALLS
    del _OPTIONS["tracker"]["diary"]


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (
            ["csv", "tensorbord"],
            "trainer.trackers: tensorbord: no tracker is called tensorbord; did you mean tensorboard",
        ),
        (["csv every=2"], "trainer.trackers: csv every=2: every: no such key; "),
        (["mlflow folder=[1]"], "trainer.trackers: mlflow folder=[1]: folder"),
        (["jsonl", "csv", "jsonl"], "trainer.trackers: jsonl is there twice; remove one"),
        (["csv", " csv "], "trainer.trackers: csv is there twice; remove one"),
        ([""], "trainer.trackers: : no tracker is called nothing; "),
    ],
)
def test_a_tracker_that_cannot_be_is_named(texts, line):
    with pytest.raises(UserError) as caught:
        check_trackers(texts)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("words", [("trainer.trackers=[jsnl]",), ("-m", "seed=0,1", "trainer.trackers=jsnl")])
def test_nothing_is_written_for_a_tracker_that_does_not_exist(deeprob, small, words):
    status, out, err = deeprob(*small, *words)
    assert (status, out) == (2, "")
    assert err.endswith("trainer.trackers: jsnl: no tracker is called jsnl; did you mean jsonl?\n")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_jobs_are_checked_before_the_first_one_trains(deeprob, small):
    status, out, err = deeprob("-m", *small, "trainer.trackers=[csv],[jsonl],[jsnl]")
    assert (status, out) == (2, "")
    assert err.startswith("error: job 2 (")
    assert list(Path.cwd().iterdir()) == []


def test_the_order_of_calls(deeprob, small, diary):
    words = (*small, "trainer.trackers=[diary]", "trainer.epochs=2", "trainer.checkpoint_epochs=1")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    names = [name for name, *_ in diary]
    assert (names[:2], names[-3:]) == (["begin", "position"], ["best", "finished", "close"])
    assert (names.count("begin"), names.count("epoch"), names.count("position")) == (1, 2, 4)
    about = diary[0][1]
    assert about.config == Path("run/config.yaml").read_text()
    assert about.provenance == json.loads(Path("run/provenance.json").read_text())
    assert (about.name, about.directory, about.validation) == ("spirals-mlp-adamw", Path.cwd() / "run", False)
    assert (about.hyperparameters["trainer.epochs"], len(about.classes)) == (2, 3)
    points = [given for name, *given in diary if name == "scalars"]
    assert [(step, epoch) for values, step, epoch in points if "train/loss" in values] == [(3, 1), (6, 2)]
    rows = [given[0] for name, *given in diary if name == "epoch"]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6)]
    summary = json.loads(Path("run/summary.json").read_text())
    assert diary[-2] == ("finished", summary)
    (_, best, step), ended = diary[-3], [name for name, *_ in diary][-4]
    assert (step, best["test/accuracy"], ended) == (6, summary["test/accuracy"], "scalars")
    assert not [path for path in Path("run").iterdir() if path.name.startswith(("events", "metrics"))]


def test_without_trackers_a_run_has_no_curves_and_the_same_end(deeprob, small):
    words = ("dataset.val_fraction=0.2", "trainer.figures=[decision_boundary]")
    for name, trackers in (("none", "[]"), ("usual", "[tensorboard,csv]")):
        result = deeprob(*small, *words, f"trainer.trackers={trackers}", f"hydra.run.dir={name}")
        assert (result.status, "\ncurves     tensorboard" in result.out) == (0, name == "usual")
    files = {path.name for path in Path("none").iterdir()}
    assert files == {"config.yaml", "provenance.json", "summary.json", "checkpoints", "figures"}
    one, other = (json.loads(Path(name, "summary.json").read_text()) for name in ("none", "usual"))
    assert {key for key in one if one[key] != other[key]} <= {
        "seconds",
        "time/seconds",
        "time/examples_per_second",
        "time/features",
    }
    status, _, err = deeprob("run=none", "figure=learning_curves", command="visualize")
    assert (status, err.count("\n")) == (2, 1)
    assert err.endswith(f"none/metrics.csv: {WRITTEN}\n")


@pytest.mark.parametrize(
    "fails",
    ["begin", "position", *(pytest.param(name, marks=pytest.mark.slow) for name in FURTHER)],
)
def test_a_tracker_that_fails_costs_a_note_and_not_the_run(deeprob, small, diary, fails):
    words = (f"trainer.trackers=['diary fails={fails}',csv]", "hydra.run.dir=run")
    status, _, err = deeprob(*small, *words)
    assert (status, err) == (
        0,
        f"note: trainer.trackers: diary fails={fails} failed, and is left out from here on: no {fails} today\n",
    )
    assert [name for name, *_ in diary].count(fails) == 1
    assert diary[-1][0] == fails
    with Path("run/metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == json.loads(Path("run/summary.json").read_text())["epochs"]


def test_a_position_must_fit_into_a_checkpoint(deeprob, small, diary):
    status, _, err = deeprob(*small, "trainer.trackers=['diary fails=\\'a position\\'']", "hydra.run.dir=run")
    assert (status, err.count("\n")) == (0, 1)
    assert "position() returned {'share': 0.5}; expected a dict with words and whole numbers" in err
    assert load(Path("run/checkpoints/last.pt"))["recorder"]["trackers"] == {}


def test_runs_of_a_stack_share_the_note(deeprob, small, diary):
    words = ("-m", *small, "seed=0,1,2", "trainer.trackers=['diary fails=scalars']", "hydra.sweep.dir=s")
    status, _, err = deeprob(*words)
    assert (status, err.count("is left out from here on")) == (0, 1)
    assert [name for name, *_ in diary].count("scalars") == 3


def test_an_error_of_an_essential_tracker_ends_the_run_as_before(deeprob, small, monkeypatch):
    def full(self, row):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(MetricsCSV, "epoch", full)
    status, _, err = deeprob(*small, "trainer.trackers=[csv]", "hydra.run.dir=run")
    assert (status, err) == (2, f"error: {Path.cwd()}/run: No space left on device\n")


def test_all_trackers_are_closed_when_a_disk_is_full(deeprob, small, diary, monkeypatch):
    def full(self):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(MetricsCSV, "close", full)
    assert deeprob(*small, "trainer.trackers=[csv,diary]", "hydra.run.dir=run").status == 2
    assert diary[-1] == ("close",)


@pytest.mark.parametrize(("trackers", "taken"), [(["csv"], False), (["csv", "jsonl"], True), ([], False)])
def test_snapshots_are_taken_if_a_tracker_takes_what_they_show(trackers, taken):
    assert Trackers(trackers, 3).take_snapshots is taken


def test_a_run_without_such_a_tracker_is_drawn_at_its_end_only(one_run, monkeypatch):
    config = load_run(one_run).config
    trainer = dataclasses.replace(config.trainer, figures=["decision_boundary"], figures_every=1)
    setup = Setup.build(dataclasses.replace(config, trainer=trainer))
    monkeypatch.setattr(Watch, "_look", lambda self: 1 / 0)
    for trackers, looks in ((["csv"], False), (["tensorboard"], True)):
        watch = Watch(setup, one_run, Trackers(trackers, 3), alone=True)
        with pytest.raises(ZeroDivisionError) if looks else nullcontext():
            watch.look(1)


def test_trackers_stay_when_a_run_is_resumed(deeprob, small):
    assert "trainer.trackers" not in MAY_CHANGE
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    status, _, err = deeprob("resume=run", "trainer.trackers=[csv,jsonl]", "trainer.epochs=40")
    assert (status, err.count("\n")) == (2, 1)
    assert "trainer.trackers=['csv', 'jsonl'] (was ['tensorboard', 'csv']): cannot change" in err


@pytest.mark.parametrize("trackers", ["[jsonl,csv]", pytest.param("[]", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_with_the_same_files(deeprob, small, monkeypatch, trackers):
    """The last checkpoint is that of step 8 of 36. Epoch 3, which is written again, ends with step 9."""
    words = (
        *small,
        f"trainer.trackers={trackers}",
        "trainer.checkpoint_steps=4",
        "trainer.epochs=12",
        "trainer.log_every=1",
        "trainer.figures=[]",
        "dataset.val_fraction=0.2",
    )
    assert deeprob(*words, "hydra.run.dir=whole").status == 0
    positions, write = Trackers.positions, AppendedFile.write

    def die(self):
        if self.step == 12:
            raise KeyboardInterrupt
        return positions(self)

    def take(self, values, step):
        self.step = step
        scalars(self, values, step)

    scalars = Trackers.scalars
    with monkeypatch.context() as patched:
        patched.setattr(Trackers, "step", 0, raising=False)
        patched.setattr(Trackers, "scalars", take)
        patched.setattr(Trackers, "positions", die)
        patched.setattr(AppendedFile, "flush", write)  # so that more is written than the checkpoint knows
        assert deeprob(*words, "hydra.run.dir=run").status == 130
    assert deeprob("resume=run").status == 0
    for name in ("metrics.jsonl", "metrics.csv"):
        one, other = (without_times(Path(run, name)) for run in ("run", "whole"))
        assert one == other
        assert bool(one) is (name.removeprefix("metrics.") in trackers)
    one, other = (load(Path(run, "checkpoints/last.pt"))["recorder"]["course"] for run in ("run", "whole"))
    assert one.shape == (12, 2)
    assert torch.equal(one, other)


def without_times(path: Path) -> list[dict]:
    """The records of a file, without times; empty if there is no file."""
    if not path.exists():
        return []
    with path.open() as file:
        rows = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


def test_a_tracker_goes_on_from_its_last_position(deeprob, small, diary):
    words = (*small, "trainer.trackers=['diary fails=best',csv]", "scheduler=constant")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    stored = load(Path("run/checkpoints/last.pt"))["recorder"]["trackers"]
    assert list(stored) == ["diary fails=best", "csv"]
    diary.clear()
    assert deeprob("resume=run", "trainer.epochs=4").status == 0
    assert (diary[0][0], diary[0][2]) == ("go_on", stored["diary fails=best"])


PAGE = (Path(__file__).parents[2] / "docs/guide/trackers.md").read_text(encoding="utf-8")


def test_the_own_tracker_of_the_guide(deeprob, small):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (command,) = re.findall(r"^deeprob-train (--import .*)", PAGE, re.MULTILINE)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 30
    Path("my_trackers.py").write_text(code)
    words = (*small, "scheduler=constant", "optimizer.lr=0.25")
    assert deeprob(*shlex.split(command), *words, "hydra.run.dir=run").status == 0
    head = ["spirals-mlp-adamw", *(f"epoch {epoch}: 0.250" for epoch in (1, 2, 3))]
    assert Path("run/diary.txt").read_text().splitlines() == head
    with Path("run/diary.txt").open("a") as file:
        file.write("after the checkpoint\n")
    assert deeprob("--import", "my_trackers", "resume=run", "trainer.epochs=4").status == 0
    assert Path("run/diary.txt").read_text().splitlines() == [*head, "epoch 4: 0.250"]
    del _OPTIONS["tracker"]["diary"]


OWN = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.training.trackers import Tracker, TrackerConfig

@register("tracker", "quiet")
@dataclass(kw_only=True, slots=True)
class QuietConfig(TrackerConfig):
    'Writes nothing.'

    def build(self):
        return Tracker()
"""


def test_a_resumed_run_says_which_module_its_own_tracker_needs(deeprob, small, monkeypatch):
    Path("quiet_tracker.py").write_text(OWN)
    words = (*small, "trainer.trackers=[quiet]", "scheduler=constant", "hydra.run.dir=run")
    assert deeprob("--import", "quiet_tracker", *words).status == 0
    (part,) = json.loads(Path("run/provenance.json").read_text())["parts"]
    assert (part["option"], part["import"]) == ("tracker=quiet", "quiet_tracker")
    own = _OPTIONS["tracker"].pop("quiet")
    line = "no tracker is called quiet; the run was trained with --import quiet_tracker: add --import quiet_tracker "
    status, _, err = deeprob("resume=run", "trainer.epochs=4")
    assert (status, err) == (2, f"error: trainer.trackers: {line}(in Python, import quiet_tracker)\n")
    assert deeprob("run=run", command="evaluate").status == 0  # which needs no trackers
    _OPTIONS["tracker"]["quiet"] = own
    assert deeprob("--import", "quiet_tracker", "resume=run", "trainer.epochs=4").status == 0
    del _OPTIONS["tracker"]["quiet"]
