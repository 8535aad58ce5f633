import errno
import os

import pytest
import torch

from deeprob.errors import UserError
from deeprob.models.linear import LinearConfig
from deeprob.optim import Schedule, SGDConfig
from deeprob.tracking.checkpoint_file import load, save
from deeprob.training import TrainState
from deeprob.training.checkpoint import Checkpoints


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
    checkpoints.write()
    assert load(tmp_path / "best.pt")["step"] == load(tmp_path / "last.pt")["step"] == 5
    assert load(tmp_path / "best.pt")["classes"] == ["a", "b"]


def test_without_hard_links_the_best_is_a_copy(tmp_path, monkeypatch):
    def refuse(path, other):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=True)
    for s.step in (1, 2):
        checkpoints.write()
    names = ("best", "last", "best.prev", "last.prev")
    assert [load(tmp_path / f"{name}.pt")["step"] for name in names] == [2, 2, 1, 1]
    assert not list(tmp_path.glob("*.tmp"))


def test_the_best_state_is_kept_as_it_was(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=False)
    checkpoints.write()
    with torch.no_grad():
        s.model.layer.weight.fill_(1.0)
    s.step = 3
    checkpoints.keep_best()
    with torch.no_grad():
        s.model.layer.weight.fill_(2.0)
    s.step = 9
    checkpoints.write()
    best, last = load(tmp_path / "best.pt"), load(tmp_path / "last.pt")
    assert (best["step"], best["model"]["layer.weight"].unique().tolist()) == (3, [1.0])
    assert (last["step"], last["model"]["layer.weight"].unique().tolist()) == (9, [2.0])
    checkpoints.restore_best()
    assert s.model.layer.weight.unique().tolist() == [1.0]


def test_write_if_due(tmp_path):
    s = state()
    checkpoints = Checkpoints(tmp_path, s, {}, best_is_last=True)
    for minutes in (60, 0):  # not yet, never
        checkpoints.write_if_due(minutes)
        assert not (tmp_path / "last.pt").exists()
    checkpoints.write_if_due(1e-9)
    assert (tmp_path / "last.pt").exists()
