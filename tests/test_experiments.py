"""The experiments of ``configs/experiment``: what each claims."""

import csv
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run, randomness
from deeprob.assembly.setup import Setup
from deeprob.config.application import config_directory

EXPERIMENTS = sorted((config_directory() / "experiment").glob("*.yaml"))


def sweep(name: str) -> list[dict]:
    with (Path(name) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_each_opens_with_claim_command_and_expectation(path):
    text = path.read_text()
    assert text.startswith("# @package _global_\n# Claim: ")
    assert f"\n# Command: deeprob-train experiment={path.stem}\n# Expect: " in text
    assert "Takes " in text


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_each_is_an_overlay_whose_values_may_be_changed(deeprob, path):
    status, out, _ = deeprob("--cfg", "job", f"experiment={path.stem}", "trainer.epochs=7")
    assert status == 0
    assert "epochs: 7" in out


def test_polar(deeprob):
    assert deeprob("experiment=polar", "dataset.seed=0", "hydra.sweep.dir=s").status == 0
    raw, polar = (float(row["test/accuracy"]) for row in sweep("s"))
    assert raw < 0.6
    assert polar >= 0.99


def test_linear_vs_mlp(deeprob):
    assert deeprob("experiment=linear_vs_mlp", "seed=0", "trainer.epochs=15", "hydra.sweep.dir=s").status == 0
    linear, mlp = (float(row["test/accuracy"]) for row in sweep("s"))
    assert linear < 0.55
    assert mlp >= 0.99


def test_l1_selects(deeprob):
    words = ("dataset.seed=0", "regularizer.strength=0,0.03,0.1")
    assert deeprob("experiment=l1_selects", *words, "hydra.sweep.dir=s").status == 0
    none, some, most = sweep("s")
    assert float(none["params/zeros"]) == 0
    assert 0.6 < float(some["params/zeros"]) < float(most["params/zeros"])
    assert float(none["test/accuracy"]) + 0.05 < float(some["test/accuracy"])
    run = load_run("s/002_regularizer.strength=0.1")
    exact = run.model.layer.weight == 0
    assert not exact[:, :2].all()  # an input that matters stays
    assert exact[:, 2:].double().mean() > 0.95  # those that do not go
    assert run.metrics["params/zeros"] == pytest.approx(exact.double().mean().item())


SHORT = {
    "activations_on_spirals": "seed=0 model.activation=identity,maxout trainer.epochs=1 sweep.claims=[]",
    "capacity": "seed=0 trainer.epochs=20 dataset.points_per_class=100",
    "l2_spreads_l1_selects": "dataset.seed=0 trainer.epochs=100",
    "l2_strength": "seed=0 trainer.epochs=100",
    "loss_slices": "seed=0 trainer.epochs=2 \"sweep.figure='loss_kinds directions=2 steps=0'\"",
    "warp": "seed=0 dataset.points_per_class=300",
    "weight_decay": "seed=0 trainer.epochs=3 dataset.points_per_class=100",
}
"""What makes a minute of an experiment seconds, in which its claims hold already; but those about activations."""


@pytest.mark.parametrize("name", SHORT)
def test_claims_hold_for_one_seed_and_a_figure_is_drawn(deeprob, name):
    status, out, err = deeprob(f"experiment={name}", *shlex.split(SHORT[name]), "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    assert ("\nholds  " in out) == ("claims=[]" not in SHORT[name])
    assert "\nFAILS" not in out
    assert len(list(Path("s/figures").glob("*.png"))) == 1


def test_optimizers_race_from_the_same_weights_over_the_same_batches(deeprob):
    words = ("seed=0", "trainer.epochs=1", "dataset.points_per_class=30", "sweep.claims=[]")
    status, out, err = deeprob("experiment=optimizer_race", *words, "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    best = out.split("the best optimizer.lr of each by train/loss")[1].splitlines()
    assert [line.split()[0] for line in best[2:10]] == [*["sgd"] * 3, "adagrad", "rmsprop", "adam", "adamw", "lbfgs"]
    assert Path("s/figures/optimizer_race.png").exists()
    runs = [load_run(path.parent) for path in sorted(Path("s").glob("*/config.yaml"))]
    first, *others = [Setup.build(run.config) for run in runs]
    for other in others:
        assert all(map(torch.equal, first.predictor.model.parameters(), other.predictor.model.parameters()))
        assert torch.equal(first.splits.train.inputs, other.splits.train.inputs)
        assert other.config.seed == first.config.seed  # which alone orders the batches


def test_features_and_networks_are_fused(deeprob, pictures):
    network = "features=raw model.hidden=[3,3] model.norm=batch dataset.flip=true dataset.crop=1 trainer.epochs=3"
    variants = f"sweep.variants=['features=color_histogram','features=hog','{network}']"
    words = ("dataset=image_folder", f"dataset.root={pictures}", "dataset.val_fraction=0.25", variants, "seed=0,1")
    status, out, err = deeprob("experiment=features_vs_networks", *words, "sweep.claims=[]", "hydra.sweep.dir=s")
    assert status == 0, err
    rows = sweep("s")
    assert [row["features"] for row in rows] == [*["color_histogram"] * 4, *["hog"] * 4, *["raw"] * 2, *["fused"] * 2]
    assert [row["model.hidden"] for row in rows[::2]] == ["[]", "[256]", "[]", "[256]", "[3,3]", ""]
    assert rows[-1]["features/count"] == str(sum(int(rows[place]["features/count"]) for place in (0, 4, 8)))
    assert len(load_run(next(Path("s").glob("000_*"))).model.linear_layers) == 1
    assert "fused      seed=1: color_histogram " in out


@pytest.mark.parametrize(
    ("name", "first"), [("whitened_words", "bag_of_words"), ("whitened_fisher_vector", "fisher_vector")]
)
def test_features_with_values_of_their_own_are_valid(deeprob, name, first):
    words = ("dataset=image_folder", "dataset.root=FOLDER", f"features={name}", "features.standardize=none")
    status, out, err = deeprob("--cfg", "job", *words)
    assert (status, err) == (0, "")
    assert f"- name: {first}\n" in out
    assert "- name: whiten\n    method: cholesky\n" in out


HERE = [p for p in EXPERIMENTS if "claims:\n" in p.read_text() and "/dataset: cifar10" not in p.read_text()]
"""Those with claims on data that are generated."""


@pytest.mark.slow
@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_all_claims_hold_in_full(deeprob, path):
    status, out, err = deeprob(f"experiment={path.stem}", "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    assert out.count("\nholds  ") == path.read_text().split("claims:")[1].split("\n\n")[0].count("\n    - ")


def lectures_loop(x, y, w1, w2, steps):
    """Return the loss of each step of the lecture's loop, which sums over the examples, and changes the weights."""
    losses = []
    for _ in range(steps):
        h = 1 / (1 + np.exp(-x @ w1))
        prediction = h @ w2
        losses.append(((prediction - y) ** 2).sum())
        error = 2 * (prediction - y)
        gradient_w2 = h.T @ error
        gradient_w1 = x.T @ (error @ w2.T * h * (1 - h))
        w1 -= 1e-4 * gradient_w1
        w2 -= 1e-4 * gradient_w2
    return losses


@pytest.mark.parametrize("steps", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_twenty_lines_are_the_lectures_loop(deeprob, capsys, steps):
    words = (f"trainer.epochs={steps}", "trainer.log_every=1" if steps == 200 else "trainer.log_every=50")
    assert deeprob("experiment=twenty_lines", *words, "hydra.run.dir=run").status == 0
    with Path("run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = np.array([float(row["train/loss"]) for row in rows])

    run = load_run("run")
    data = run.data().train
    model = run.config.model.build(1000, 10, randomness.generator(run.config.seed, "weights")).double()
    w1, w2 = (layer.weight.detach().numpy().T.copy() for layer in model.layers)
    assert w1.std() == pytest.approx(1, rel=0.01)
    began = time.perf_counter()
    expected = lectures_loop(data.inputs.numpy(), data.targets.numpy(), w1, w2, steps)
    seconds = time.perf_counter() - began
    with capsys.disabled():
        if steps == 10_000:
            print(f"\ntwenty lines: {float(rows[-1]['time/seconds']):.1f} s, with NumPy {seconds:.1f} s", end=" ")
    assert losses * 64 == pytest.approx(np.array(expected), rel=1e-8)
    for layer, weight in zip(run.model.layers, (w1, w2), strict=True):
        assert pytest.approx(weight, rel=1e-7, abs=1e-9) == layer.weight.detach().numpy().T
    assert losses[-1] < losses[0] / 10
