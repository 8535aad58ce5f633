"""The gradient check from the command line."""

from pathlib import Path

import pytest
import torch

from deeprob.objective import losses, regularizers

CONFIGS = [
    "model=linear",
    "model.activation=maxout regularizer=l2",
    "model.norm=batch model.dropout=0.3 loss=squared_hinge",
    "loss=hinge regularizer=l1",
    "loss=one_vs_all_hinge regularizer=elastic_net model.activation=tanh",
    "loss=squared_error model=linear regularizer=l1",
    "dataset=random_regression loss=squared_error model.layers=2 model.width=5",
]


@pytest.mark.parametrize("words", CONFIGS)
def test_the_configured_gradient_is_right(deeprob, words):
    few = ["check.entries=12", "check.examples=16", "check.curve=false"]
    width = [] if "linear" in words or "width" in words else ["model.width=9"]
    status, out, err = deeprob(*words.split(), *few, *width, command="check_gradients")
    assert (status, err) == (0, "")
    assert "worst  " in out
    assert "wrong" not in out
    assert list(Path.cwd().iterdir()) == []


def test_the_error_against_h_is_drawn(deeprob):
    assert deeprob("model=linear", command="check_gradients").status == 0
    assert Path("outputs/figures/gradient_check.png").read_bytes().startswith(b"\x89PNG")


class Wrong(torch.autograd.Function):
    """The identity, with a gradient that is 1 % too large."""

    @staticmethod
    def forward(context, values):
        return values.clone()

    @staticmethod
    def backward(context, gradient):
        return 1.01 * gradient


def test_a_planted_wrong_gradient_of_the_loss_is_status_4(deeprob, monkeypatch):
    call = losses.CrossEntropy.__call__
    monkeypatch.setattr(losses.CrossEntropy, "__call__", lambda self, s, t: call(self, Wrong.apply(s), t))
    status, out, err = deeprob("model=linear", "check.curve=false", command="check_gradients")
    assert status == 4
    assert err.count("\n") == 1
    assert "layer.weight" in err
    assert "wrong" in out


def test_a_planted_wrong_gradient_of_the_regularizer_is_status_4(deeprob, monkeypatch):
    call = regularizers.ElasticNet.__call__
    monkeypatch.setattr(regularizers.ElasticNet, "__call__", lambda self, ws: call(self, [-Wrong.apply(w) for w in ws]))
    words = ("model=linear", "regularizer=l2", "regularizer.strength=1", "check.curve=false")
    assert deeprob(*words, command="check_gradients").status == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("check.entries=0", "error: check.entries=0: expected a whole number at least 1 or all"),
        ("check.step=0", "error: check.step=0.0: expected a number in (0, 1) or null"),
        ("optimizer.lrr=1", "error: optimizer.lrr: no such key in optimizer; did you mean lr?"),
        ("-m seed=0,1", "error: -m: deeprob-check-gradients has no sweeps; call it once for each run"),
    ],
)
def test_mistakes(deeprob, words, line):
    status, out, err = deeprob(*words.split(), command="check_gradients")
    assert (status, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []
