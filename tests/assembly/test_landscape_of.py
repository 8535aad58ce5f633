from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.assembly.landscape_of import (
    enough,
    has_running_means,
    landscape_of,
    other_architecture,
    start_of,
    weights_of,
)
from deeprob.assembly.setup import Setup
from deeprob.objective import CrossEntropyConfig


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_the_runs_own_loss(deeprob, small):
    words = ("regularizer=l2", "regularizer.strength=0.01", "trainer.precision=float64", "loss.class_weights=[1,5,2]")
    assert deeprob(*small, *words, "hydra.run.dir=run").status == 0
    run = load_run("run")
    landscape = landscape_of(run, "train", 1000, 0)
    (found,) = landscape.losses(landscape.here, [landscape.here], torch.zeros(1, 1)).tolist()
    weights = [layer.weight.detach() for layer in run.model.linear_layers]
    expected = run.evaluate("train")["data_loss"] + 0.01 * sum(weight.square().sum().item() for weight in weights)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_rows_with_weights(deeprob):
    rows = [f"{i % 7 / 7},{i % 5 / 5},{i % 3},{'ab'[i * i % 7 % 2]}" for i in range(40)]
    Path("TABLE.csv").write_text("\n".join(["x,y,n,kind", *rows]))
    words = ("dataset=csv", "dataset.root=TABLE.csv", "dataset.weights=n", "trainer.precision=float64", "model.width=8")
    assert deeprob(*words, "trainer.epochs=3", "hydra.run.dir=run").status == 0
    run = load_run("run")
    landscape = landscape_of(run, "train", 1000, 0)
    (found,) = landscape.losses(landscape.here, [landscape.here], torch.zeros(1, 1)).tolist()
    train = run.data().train
    losses = CrossEntropyConfig().build()(run(train.inputs), train.targets)
    expected = ((losses * train.weights).sum() / train.weights.sum()).item()
    for value in (found, run.metrics["train/loss"], run.evaluate("train")["loss"]):
        assert value == pytest.approx(expected, rel=1e-12)
    assert losses.mean().item() != pytest.approx(expected, rel=1e-3)


def test_examples_are_drawn_by_the_seed(one_run):
    run = load_run(one_run)
    one, same, other = (landscape_of(run, "val", 10, seed).examples.inputs for seed in (0, 0, 1))
    assert one.shape == (10, 2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len(landscape_of(run, "val", 10**6, 0).examples) == 18
    assert landscape_of(run, "test", 3, 0, torch.float64).here["layers.0.weight"].dtype == torch.float64


@pytest.mark.parametrize("words", [(), ("trainer.precision=float64", "model.norm=batch"), ("model=linear", "seed=7")])
def test_the_start_is_what_the_experiment_begins_with(deeprob, small, words):
    keep = [word for word in small if not (word.startswith("model") and "model=linear" in words)]
    assert deeprob(*keep, *words, "hydra.run.dir=run").status == 0
    run = load_run("run")
    start = start_of(run)
    built = dict(Setup.build(run.config).predictor.model.named_parameters())
    assert list(start) == list(built)
    assert all(torch.equal(start[name], built[name]) for name in built)
    assert any(not torch.equal(start[name], tensor) for name, tensor in run.model.named_parameters())


def test_the_start_is_the_first_checkpoint(deeprob, small):
    assert deeprob(*small, "optimizer.lr=1e-300", "hydra.run.dir=run").status == 0
    run = load_run("run", "last")
    assert all(torch.equal(run.model.state_dict()[name], tensor) for name, tensor in start_of(run).items())


def test_runs_of_one_architecture_can_be_joined(deeprob, small):
    for name, words in {
        "a": (),
        "b": ("seed=1", "optimizer=sgd", "model.dropout=0.1"),
        "c": ("model.width=9",),
        "d": ("model.activation=tanh",),
        "e": ("dataset.classes=4",),
        "f": ("features=polar",),
    }.items():
        assert deeprob(*small, *words, f"hydra.run.dir={name}").status == 0
    a, b, c, d, e, f = (load_run(name) for name in "abcdef")
    assert other_architecture(a, b) == ""
    assert other_architecture(a, c) == "model.width=9 in place of 8"
    assert other_architecture(a, d) == "model.activation=tanh in place of relu"
    assert other_architecture(a, e) == "another number of inputs or classes"
    assert other_architecture(a, f).startswith("features=polar in place of raw")
    here = landscape_of(a, "train", 5, 0, torch.float64).here
    assert all(tensor.dtype == torch.float64 for tensor in weights_of(b, here).values())
    assert torch.equal(weights_of(b, here)["layers.0.weight"], b.model.layers[0].weight.detach().double())


def test_running_means(deeprob, small):
    for norm in ("none", "layer", "batch"):
        assert deeprob(*small, f"model.norm={norm}", f"hydra.run.dir={norm}").status == 0
    assert [has_running_means(load_run(norm)) for norm in ("none", "layer", "batch")] == [False, False, True]


def test_fewer_examples_for_a_larger_network(one_run):
    run = load_run(one_run)
    assert enough(run, 100) == 1000
    assert enough(run, 10**9) == 32
    # 8×8 and 3×8 later weights, and 8 operations for each of 8 units
    assert enough(run, 100, most=10**9) == int(4e10 / (2 * 100 * (64 + 24 + 64)))
