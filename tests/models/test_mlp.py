import math

import numpy as np
import pytest
import torch

from deeprob import randomness
from deeprob.models import LinearConfig, MLPConfig
from deeprob.models.activations import ACTIVATIONS
from deeprob.models.mlp import MLP


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(inputs: int, outputs: int, seed: int = 0, **fields: object) -> MLP:
    return MLPConfig(**fields).build(inputs, outputs, rng(seed))


def sizes(model: MLP) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in model.layers]


# ---------------------------------------------------------------- shape


@pytest.mark.parametrize(
    ("fields", "inputs", "outputs", "count"),
    [
        ({}, 2, 3, (2 * 128 + 128) + (128 * 128 + 128) + (128 * 3 + 3)),
        ({"layers": 1}, 2, 3, 2 * 3 + 3),
        ({"layers": 2, "width": 256}, 3072, 10, 789_258),  # 3072·256 + 256 + 256·10 + 10
        ({"layers": 4, "width": 5}, 2, 3, (10 + 5) + 2 * (25 + 5) + (15 + 3)),
        ({"hidden": [5, 4]}, 2, 3, (10 + 5) + (20 + 4) + (12 + 3)),
    ],
)
def test_number_of_parameters(fields, inputs, outputs, count):
    assert sum(parameter.numel() for parameter in build(inputs, outputs, **fields).parameters()) == count


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_n_layers_are_n_weight_matrices(layers):
    weights = [p for p in build(2, 3, layers=layers, width=4).parameters() if p.dim() == 2]
    assert len(weights) == layers


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hidden": [7]}, [(2, 7), (7, 3)]),
        ({"hidden": [7, 5], "width": 99}, [(2, 7), (7, 5), (5, 3)]),
        ({"hidden": [7, 5, 6], "layers": 4}, [(2, 7), (7, 5), (5, 6), (6, 3)]),
        ({"hidden": []}, [(2, 3)]),
    ],
)
def test_hidden_gives_each_width(fields, expected):
    assert list(MLPConfig(**fields).problems()) == []
    assert sizes(build(2, 3, **fields)) == expected


@pytest.mark.parametrize(("layers", "hidden"), [(2, [7, 5]), (4, [7, 5]), (1, [7]), (5, [])])
def test_layers_that_contradict_hidden_are_reported(layers, hidden):
    (problem,) = MLPConfig(layers=layers, hidden=hidden).problems()
    assert problem.startswith(f"layers={layers}: ")
    assert f"makes {len(hidden) + 1} layers" in problem


# ---------------------------------------------------------------- forward pass


@pytest.mark.parametrize(("activation", "phi"), [("relu", lambda z: np.maximum(z, 0)), ("tanh", np.tanh)])
def test_forward_agrees_with_numpy(activation, phi):
    model = build(4, 3, hidden=[6, 5], activation=activation).double()
    numbers = np.random.default_rng(0)
    parameters = [numbers.normal(size=tuple(p.shape)) for p in model.parameters()]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), parameters, strict=True):
            parameter.copy_(torch.from_numpy(value))
    w1, b1, w2, b2, w3, b3 = parameters
    x = numbers.normal(size=(7, 4))
    expected = phi(phi(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach(), expected, rtol=1e-10)


def test_pictures_are_flattened():
    model, pictures = build(12, 3), torch.randn(5, 3, 2, 2, generator=rng())
    assert torch.equal(model(pictures), model(pictures.reshape(5, 12)))


def test_one_layer_is_the_linear_classifier():
    mlp, linear = build(4, 3, layers=1), LinearConfig().build(4, 3, rng())
    x = torch.randn(5, 4, generator=rng())
    assert torch.equal(mlp(x), linear(x))


# ---------------------------------------------------------------- initial weights


@pytest.mark.parametrize(("activation", "gain"), [("relu", math.sqrt(2)), ("tanh", 1)])
def test_hidden_weights_have_the_deviation_of_their_activation(activation, gain):
    first, second, _ = build(300, 3, hidden=[200, 400], activation=activation).layers
    for layer, fan_in in ((first, 300), (second, 200)):
        count = layer.weight.numel()
        deviation = layer.weight.double().square().mean().sqrt().item()
        assert abs(deviation * math.sqrt(fan_in) / gain - 1) < 5 / math.sqrt(2 * count)


def test_the_last_layers_weights_have_deviation_1_over_fan_in():
    last = build(2, 300, hidden=[400]).layers[-1]
    deviation = last.weight.double().square().mean().sqrt().item()
    assert abs(deviation * 400 - 1) < 5 / math.sqrt(2 * 400 * 300)


def test_a_network_made_without_a_config_has_the_same_weights():
    made = MLP([4, 6, 3], ACTIVATIONS["relu"], 0.0, rng())
    torch.testing.assert_close(made.state_dict(), build(4, 3, hidden=[6]).state_dict(), rtol=0, atol=0)


def test_weights_may_start_standard_normal():
    for layer in build(300, 200, hidden=[200, 400], init="standard_normal").layers:
        count = layer.weight.numel()
        assert abs(layer.weight.double().square().mean().sqrt().item() - 1) < 5 / math.sqrt(2 * count)


def test_biases_start_at_0():
    assert all((layer.bias == 0).all() for layer in build(2, 3).layers)


def test_the_generator_decides_the_weights():
    first, again, other = (build(4, 3, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))


# ---------------------------------------------------------------- dropout


def identity(width: int, dropout: float) -> MLP:
    """Two hidden layers and an output layer that pass positive numbers on."""
    model = MLP([width] * 4, ACTIVATIONS["relu"], dropout, rng())
    with torch.no_grad():
        for layer in model.layers:
            layer.weight.copy_(torch.eye(width))
    return model


def test_each_hidden_layer_has_its_own_mask_and_the_scores_have_none():
    scores = identity(100, 0.5)(torch.ones(100, 100), randomness.key(0, "x"))
    values, counts = scores.unique(return_counts=True)
    assert values.tolist() == [0, 4]  # 1/(1 − ½) twice
    assert abs(int(counts[1]) - 2500) < 5 * math.sqrt(10_000 * 0.25 * 0.75)  # ½·½ of 10000


def test_the_key_decides_the_masks():
    model, x = identity(20, 0.5), torch.ones(5, 20)
    key, other = randomness.key(0, "x"), randomness.key(1, "x")
    assert torch.equal(model(x, key), model(x, key))
    assert not torch.equal(model(x, key), model(x, other))


@pytest.mark.parametrize("training", [True, False])
def test_without_a_key_nothing_is_random(training):
    quiet, noisy, x = build(4, 3), build(4, 3, dropout=0.5), torch.randn(5, 4, generator=rng())
    assert torch.equal(noisy.train(training)(x), quiet(x))


@pytest.mark.parametrize(
    ("fields", "noise", "noisy"),
    [
        ({}, [], False),
        ({"dropout": 0.1}, ["model.dropout=0"], True),
        ({"dropout": 0.1, "layers": 2}, ["model.dropout=0"], True),
    ],
)
def test_noise_names_the_override_that_switches_dropout_off(fields, noise, noisy):
    assert MLPConfig(**fields).noise_sources() == noise
    assert build(2, 3, **fields).noisy is noisy


def test_a_network_without_hidden_layers_has_nothing_to_drop():
    model, x = build(4, 3, layers=1, dropout=0.5), torch.ones(5, 4)
    assert not model.noisy
    assert torch.equal(model(x, randomness.key(0, "x")), model(x))


def test_the_rate_is_no_part_of_the_saved_state():
    assert list(build(4, 3, dropout=0.5).state_dict()) == list(build(4, 3).state_dict())


# ---------------------------------------------------------------- maxout, output activation, bias


def test_maxout_counts_and_values():
    model = MLPConfig(layers=2, width=3, activation="maxout", pieces=2).build(4, 2, torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in model.parameters()) == (4 * 6 + 6) + (3 * 2 + 2)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    first, second = model.layers
    pieces = (x @ first.weight.T + first.bias).detach().numpy().reshape(5, 3, 2)
    expected = pieces.max(2) @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    np.testing.assert_allclose(model(x).detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_perceptron_by_hand():
    model = MLPConfig(layers=1, output_activation="sigmoid").build(2, 1, torch.Generator())
    with torch.no_grad():
        model.layers[0].weight.copy_(torch.tensor([[2.0, -1.0]]))
        model.layers[0].bias.fill_(0.5)
    # 2·1 − 1·3 + 0.5 = −0.5
    assert model(torch.tensor([[1.0, 3.0]])).item() == pytest.approx(1 / (1 + math.exp(0.5)))


def test_without_biases():
    model = MLPConfig(hidden=[3], bias=False).build(4, 2, torch.Generator())
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "layers.0.weight": (3, 4),
        "layers.1.weight": (2, 3),
    }
    assert torch.equal(model(torch.zeros(1, 4)), torch.zeros(1, 2))


# ---------------------------------------------------------------- stages


def test_stages_are_the_steps_of_the_forward_pass():
    model = MLPConfig(hidden=[3, 5], activation="tanh", dropout=0.5).build(2, 4, rng())
    x = torch.randn(6, 2, generator=rng())
    stages = dict(model.stages(x))
    assert {name: values.shape[1] for name, values in stages.items()} == {
        "linear 1": 3, "tanh 1": 3, "linear 2": 5, "tanh 2": 5, "scores": 4,
    }  # fmt: skip
    assert torch.equal(stages["tanh 1"], torch.tanh(stages["linear 1"]))
    assert torch.equal(stages["linear 2"], model.layers[1](stages["tanh 1"]))
    assert torch.equal(stages["scores"], model(x))
    assert list(model.linear_layers) == list(model.layers)


def test_stages_of_maxout_norm_and_an_output_activation():
    words = {"activation": "maxout", "pieces": 3, "norm": "layer", "output_activation": "sigmoid"}
    model = MLPConfig(hidden=[4], **words).build(2, 2, rng())
    x = torch.randn(6, 2, generator=rng())
    stages = dict(model.stages(x))
    assert {name: values.shape[1] for name, values in stages.items()} == {
        "linear 1": 12, "maxout 1": 4, "linear 2": 2, "scores": 2,
    }  # fmt: skip
    assert torch.equal(stages["linear 1"], model.norms[0](model.layers[0](x)))
    assert torch.equal(stages["maxout 1"], stages["linear 1"].view(6, 4, 3).amax(2))
    assert torch.equal(stages["scores"], torch.sigmoid(stages["linear 2"]))
    assert torch.equal(stages["scores"], model(x))
