"""What is measured on a job that has ended."""

import pytest
import torch

from deeprob import load_run
from deeprob.analysis.landscape.search import kind_measures, search_kinds
from deeprob.sweeps import measures
from deeprob.sweeps.measures import boundary, probe, shared_name, slices


def test_measures_of_a_run(one_run):
    run = load_run(one_run)
    assert boundary(run)["boundary/length"] > 0
    accuracies = probe(run)
    assert accuracies["probe/scores"] >= run.evaluate("test")["accuracy"] - 0.1
    assert accuracies["probe/linear_1"] < accuracies["probe/hidden_2"]


def test_stages_have_names_that_all_activations_share():
    assert [shared_name(name) for name in ("linear 1", "relu 1", "leaky_relu 2", "scores")] == [
        "linear_1", "hidden_1", "hidden_2", "scores",
    ]  # fmt: skip


def test_slices_of_a_run_are_those_of_its_loss_in_double_precision(one_run, monkeypatch):
    searched = []

    def short(landscape):
        searched.append(landscape)
        return search_kinds(landscape, directions=2, steps=0, points=21)

    monkeypatch.setattr(measures, "search_kinds", short)
    found = slices(load_run(one_run))
    (landscape,) = searched
    assert len(landscape.examples) == 72  # of 90 points a fifth is held out
    assert {tensor.dtype for tensor in landscape.here.values()} == {torch.float64}
    names = ("convex_ish_above", "non_convex_above", "local_minima", "wild_minima", "wild_travel")
    assert found == {f"slices/{name}": value for name, value in kind_measures(short(landscape).found).items()}
    assert list(found) == [f"slices/{name}" for name in names]


@pytest.mark.parametrize("measure", ["boundary", "probe"])
def test_what_has_no_classes_cannot_be_measured(deeprob, measure):
    words = ("dataset=random_regression", "loss=squared_error", "model.width=4", "trainer.epochs=1", "seed=0,1")
    result = deeprob("-m", *words, f"sweep.measures=[{measure}]", "hydra.sweep.dir=s")
    assert result.status == 4
    assert result.err.startswith(f"error: sweep.measures=[{measure}] needs ")
    assert result.err.count("\n") == 1
