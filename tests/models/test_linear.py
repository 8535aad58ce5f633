import math

import numpy as np
import pytest
import torch

from deeprob.models import LinearConfig


def build(inputs: int, outputs: int, seed: int = 0):
    return LinearConfig().build(inputs, outputs, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("inputs", "outputs", "count"),
    [(2, 3, 2 * 3 + 3), (3072, 10, 30_730)],
)
def test_parameters_are_one_template_and_one_bias_a_class(inputs, outputs, count):
    assert sum(parameter.numel() for parameter in build(inputs, outputs).parameters()) == count


def test_scores_are_wx_plus_b():
    model = build(4, 3)
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(5, 4))
    state = {"layer.weight": torch.from_numpy(weight), "layer.bias": torch.from_numpy(bias)}
    model.double().load_state_dict(state)
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach(), x @ weight.T + bias, rtol=1e-12)


def test_pictures_are_flattened():
    model, pictures = build(12, 3), torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(pictures), model(pictures.reshape(5, 12)))


def test_initial_weights_have_deviation_1_over_d_and_biases_are_0():
    model = build(400, 250)
    count = 400 * 250
    assert abs(model.layer.weight.std().item() * 400 - 1) < 5 / math.sqrt(2 * count)
    assert (model.layer.bias == 0).all()


def test_the_generator_decides_the_weights():
    assert torch.equal(build(4, 3).layer.weight, build(4, 3).layer.weight)
    assert not torch.equal(build(4, 3).layer.weight, build(4, 3, seed=1).layer.weight)


def test_nothing_in_it_is_random():
    model, x = build(4, 3), torch.ones(2, 4)
    assert not model.noisy
    assert LinearConfig().noise_sources() == []
    assert torch.equal(model(x, torch.tensor(1)), model(x))


def test_without_a_bias():
    model = LinearConfig(bias=False).build(4, 3, torch.Generator())
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 4)]


def test_its_only_stage_is_the_scores():
    model, x = build(4, 3), torch.ones(2, 4)
    assert [name for name, _ in model.stages(x)] == ["scores"]
    assert torch.equal(next(model.stages(x))[1], model(x))
    assert model.linear_layers == [model.layer]
