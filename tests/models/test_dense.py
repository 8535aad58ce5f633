import math

import pytest
import torch

from deeprob.models.dense import Dense, FewOutputs, dense


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_dense_draws_from_a_normal_distribution():
    layer = dense(500, 200, 0.3, rng())
    weights = layer.weight.detach().double() / 0.3
    count = weights.numel()
    assert abs(weights.mean()) < 5 / math.sqrt(count)
    assert abs(weights.square().mean() - 1) < 5 * math.sqrt(2 / count)
    assert abs(weights.pow(4).mean() - 3) < 5 * math.sqrt(96 / count)  # E z⁴ = 3, Var z⁴ = 105 − 9


def test_dense_sets_biases_to_0():
    layer = dense(5, 4, 0.3, rng())
    assert layer.weight.shape == (4, 5)
    assert layer.bias.tolist() == [0, 0, 0, 0]


def test_dense_draws_from_its_generator_alone():
    layers = [dense(5, 4, 0.3, rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)


def test_dense_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    dense(5, 4, 0.3, rng())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs", "kind"), [(1024, 32, FewOutputs), (1023, 32, Dense), (1024, 33, Dense)])
def test_a_layer_of_few_outputs_is_computed_another_way_to_the_same_numbers(inputs, outputs, kind, bias):
    layer = dense(inputs, outputs, 0.3, rng(), bias).double()
    assert type(layer) is kind
    if bias:
        layer.bias.data.normal_(generator=rng())
    x = torch.randn(7, inputs, generator=rng(1), dtype=torch.float64)
    expected = x @ layer.weight.T + (layer.bias if bias else 0)
    assert torch.allclose(layer(x), expected, rtol=1e-12, atol=1e-12)
    layer(x).square().sum().backward()
    assert torch.allclose(layer.weight.grad, 2 * expected.T @ x, rtol=1e-12, atol=1e-10)
