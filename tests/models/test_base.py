import math

import pytest
import torch
from torch import nn

from deeprob.models import Model, ModelConfig
from deeprob.models.base import init_weight


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_init_weight_draws_from_a_normal_distribution():
    layer = nn.Linear(500, 200)
    init_weight(layer, 0.3, rng())
    weights = layer.weight.detach().double() / 0.3
    count = weights.numel()
    assert abs(weights.mean()) < 5 / math.sqrt(count)
    assert abs(weights.square().mean() - 1) < 5 * math.sqrt(2 / count)
    assert abs(weights.pow(4).mean() - 3) < 5 * math.sqrt(96 / count)  # E z⁴ = 3, Var z⁴ = 105 − 9


def test_init_weight_sets_biases_to_0():
    layer = nn.Linear(5, 4)
    init_weight(layer, 0.3, rng())
    assert layer.bias.tolist() == [0, 0, 0, 0]


def test_init_weight_draws_from_its_generator_alone():
    layers = [nn.Linear(5, 4) for _ in range(3)]
    for layer, seed in zip(layers, (0, 0, 1), strict=True):
        init_weight(layer, 0.3, rng(seed))
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)


def test_a_model_is_quiet_unless_it_says_otherwise():
    assert ModelConfig().noise() == []
    assert Model.noisy is False


def test_a_model_needs_a_forward_pass():
    with pytest.raises(TypeError, match="abstract"):
        Model()
