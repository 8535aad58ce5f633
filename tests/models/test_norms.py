import numpy as np
import pytest
import torch

from deeprob.models import MLPConfig
from deeprob.models.norms import NORMS, BatchNorm

VALUES = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]])


def test_batch_norm_by_hand():
    norm = BatchNorm(2)
    x = VALUES.numpy()
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(norm(VALUES).detach(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.running_mean, 0.1 * x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-6)
    norm.eval()
    seen = (x - 0.1 * x.mean(0)) / np.sqrt(0.9 + 0.1 * x.var(0, ddof=1) + 1e-5)
    np.testing.assert_allclose(norm(VALUES).detach(), seen, rtol=1e-5)


def test_a_batch_of_two_is_normalized_by_itself():
    # each unit's two numbers are a deviation below and above their mean
    np.testing.assert_allclose(BatchNorm(2)(VALUES[:2]).detach(), [[-1, -1], [1, 1]], rtol=1e-4)


def test_a_batch_of_one_uses_the_running_means():
    norm = BatchNorm(2)
    before = norm.running_mean.clone()
    np.testing.assert_allclose(norm(VALUES[:1]).detach(), VALUES[:1], rtol=1e-4)
    assert torch.equal(norm.running_mean, before)


def test_layer_norm_by_hand():
    x = VALUES.numpy()
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(NORMS["layer"](2)(VALUES).detach(), expected, rtol=1e-5)


@pytest.mark.parametrize(("norm", "extra"), [("none", 0), ("batch", 2 * 5 + 2 * 4), ("layer", 2 * 5 + 2 * 4)])
def test_parameters_of_hidden_layers_alone(norm, extra):
    model = MLPConfig(hidden=[5, 4], norm=norm).build(3, 2, torch.Generator())
    plain = (3 * 5 + 5) + (5 * 4 + 4) + (4 * 2 + 2)
    assert sum(p.numel() for p in model.parameters()) == plain + extra


def test_batch_norm_is_noise_to_an_optimizer_that_wants_none():
    assert MLPConfig(norm="batch", dropout=0.5).noise_sources() == ["model.dropout=0", "model.norm=none"]
    assert MLPConfig(norm="batch", layers=1).noise_sources() == []
    assert MLPConfig(norm="layer").noise_sources() == []


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_run_is_measured_again_the_same(deeprob, norm):
    from deeprob import load_run

    words = ("dataset.points_per_class=11", f"model.norm={norm}", "trainer.epochs=4", "hydra.run.dir=run")
    result = deeprob(*words)  # 33 points by 32: each epoch ends in a batch of one
    assert result.status == 0, result.err
    run = load_run("run")
    assert run.evaluate()["loss"] == run.metrics["test/loss"]
