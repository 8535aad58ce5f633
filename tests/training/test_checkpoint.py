import errno
import os
import time

import pytest
import torch

from deeprob.errors import UserError
from deeprob.models.linear import LinearConfig
from deeprob.optim import Schedule, SGDConfig
from deeprob.tracking.checkpoint_file import load, save
from deeprob.training import TrainState
from deeprob.training.checkpoint import Checkpoints
from deeprob.training.state import Best

RECORDER = {"trackers": {"csv": {"length": 0}}, "looked": 0, "course": torch.zeros(0, 2, dtype=torch.float64)}


def state() -> TrainState:
    model = LinearConfig().build(2, 2, torch.Generator().manual_seed(0))
    return TrainState.start(model, SGDConfig(lr=0.5).build(model.parameters()), Schedule(), torch.device("cpu"))


def test_the_best_of_another_model_is_refused(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=False)
    save({"model": {"layer.weight": torch.ones(1)}}, tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"best\.pt: does not belong to .*last\.pt"):
        checkpoints.restore_best()


def test_without_a_validation_split_best_is_last(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {"classes": ["a", "b"]}, best_is_last=True)
    s.step = 5
    checkpoints.write(RECORDER)
    assert load(tmp_path / "best.pt")["step"] == load(tmp_path / "last.pt")["step"] == 5
    assert load(tmp_path / "best.pt")["classes"] == ["a", "b"]


def test_without_hard_links_the_best_is_a_copy(tmp_path, monkeypatch):
    def refuse(path, other):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=True)
    for s.step in (1, 2):
        checkpoints.write(RECORDER)
    names = ("best", "last", "best.prev", "last.prev")
    assert [load(tmp_path / f"{name}.pt")["step"] for name in names] == [2, 2, 1, 1]
    assert not list(tmp_path.glob("*.tmp"))


def test_the_best_state_is_kept_as_it_was(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=False)
    checkpoints.write(RECORDER)
    with torch.no_grad():
        s.model.layer.weight.fill_(1.0)
    s.step, s.best = 3, Best(0.5, 1.0, epoch=1)
    checkpoints.keep_best()
    with torch.no_grad():
        s.model.layer.weight.fill_(2.0)
    s.step = 9
    checkpoints.write(RECORDER)
    best, last = load(tmp_path / "best.pt"), load(tmp_path / "last.pt")
    assert (best["step"], best["model"]["layer.weight"].unique().tolist()) == (3, [1.0])
    assert (last["step"], last["model"]["layer.weight"].unique().tolist()) == (9, [2.0])
    checkpoints.restore_best()
    assert s.model.layer.weight.unique().tolist() == [1.0]


def test_one_is_due_after_some_minutes(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, state(), {}, best_is_last=True)
    now[0] += 90
    assert [checkpoints.due(minutes) for minutes in (0, 1, 1.5, 2)] == [False, True, True, False]
    checkpoints.write(RECORDER)
    assert not checkpoints.due(1)


def test_a_folder_is_made_by_the_first(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", state(), {}, best_is_last=True)
    assert not (tmp_path / "checkpoints").exists()
    checkpoints.write(RECORDER)
    assert load(tmp_path / "checkpoints" / "last.pt")["recorder"]["trackers"] == {"csv": {"length": 0}}


def test_a_state_becomes_that_of_the_newest_or_of_the_update_wanted(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {"classes": ["a"]}, best_is_last=True)
    assert checkpoints.restore(steps=9) == {}
    for s.step in (2, 4):
        with torch.no_grad():
            s.model.layer.weight.fill_(float(s.step))
        course = torch.full((s.step, 2), 0.5, dtype=torch.float64)
        checkpoints.write({"trackers": {"csv": {"length": s.step}}, "looked": 2, "course": course})
    for at, step in ((None, 4), (2, 2), (4, 4), (3, 4)):
        restored = checkpoints.restore(9, at)
        assert restored["course"].tolist() == step * [[0.5, 0.5]]
        assert (restored["trackers"], restored["looked"]) == ({"csv": {"length": step}}, 2)
        assert (s.step, s.model.layer.weight.unique().tolist()) == (step, [step])


@pytest.mark.parametrize(
    ("constant", "steps", "line"),
    [
        ({"classes": ["b"]}, 9, r"last\.pt: the dataset has changed since the run began \(its classes\)"),
        ({"classes": ["a"]}, 1, r"last\.pt: does not belong to .*config\.yaml"),
        ({"classes": ["a"], "inputs": "x"}, 9, r"last\.pt: does not belong to .*config\.yaml"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, constant, steps, line):
    s = state()
    s.step = 2
    Checkpoints(tmp_path / "checkpoints", s, {"classes": ["a"]}, best_is_last=True).write(RECORDER)
    with pytest.raises(UserError, match=line):
        Checkpoints(tmp_path / "checkpoints", state(), constant, best_is_last=True).restore(steps)


def test_before_the_first_epoch_is_done_best_is_last(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=False)
    for s.step in (0, 2):
        checkpoints.write(RECORDER)
        assert load(tmp_path / "best.pt")["step"] == s.step
    s.best = Best(0.5, 1.0, epoch=1)
    s.step = 3
    checkpoints.keep_best()
    s.step = 4
    checkpoints.write(RECORDER)
    assert load(tmp_path / "best.pt")["step"] == 3


def test_checkpoints_of_runs_before_tables_had_an_encoding_are_resumed(tmp_path):
    s = state()
    Checkpoints(tmp_path, s, {"classes": ["a"]}, best_is_last=True).write(RECORDER)
    assert Checkpoints(tmp_path, s, {"classes": ["a"], "encoding": {"inputs": []}}, best_is_last=True).restore(9)
    later = Checkpoints(tmp_path, s, {"classes": ["a"], "targets": {}}, best_is_last=True)
    with pytest.raises(UserError, match="began before targets were standardised"):
        later.restore(9)


@pytest.mark.parametrize("lengths", [{"metrics": 7, "events": 9, "looked": 2}, {"metrics": 7, "events": 9}])
def test_checkpoints_of_runs_before_there_were_trackers_are_resumed(tmp_path, lengths):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=True)
    checkpoints.write(RECORDER)
    content = load(checkpoints.last)
    del content["recorder"]
    save(content | {"lengths": lengths}, checkpoints.last)
    trackers = {"csv": {"length": 7}, "tensorboard": {"length": 9}}
    assert checkpoints.restore(9) == {"trackers": trackers, "looked": lengths.get("looked", 0), "course": None}


@pytest.mark.parametrize(
    "damage",
    [
        {"trackers": [("csv", 7)]},
        {"trackers": {"csv": 7}},
        {"trackers": {"csv": {"length": -1}}},
        {"trackers": {"csv": {"length": torch.ones(1)}}},
        {"looked": "2"},
        {"looked": -2},
        {"course": torch.zeros(2)},
        {"course": torch.zeros(2, 3, dtype=torch.float64)},
        {"course": [[0.5, 0.5]]},
    ],
)
def test_what_the_recorder_needs_is_whole(tmp_path, damage):
    s = state()
    checkpoints = Checkpoints(tmp_path / "checkpoints", s, {}, best_is_last=True)
    checkpoints.write(RECORDER | damage)
    with pytest.raises(UserError, match=r"last\.pt: does not belong to .*config\.yaml"):
        checkpoints.restore(9)
