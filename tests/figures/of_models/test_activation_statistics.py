import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob import load_run, randomness
from deeprob.figures.of_models.activation_statistics import (
    ActivationStatisticsConfig,
    activation_statistics,
    draw_activations,
    hidden_layers,
    layer_title,
    steepest,
)
from deeprob.figures.style import png
from deeprob.models import LinearConfig, MLPConfig, Model


def network(weight, bias, **options):
    """A network of two layers with this first one."""
    weight, bias = torch.tensor(weight), torch.tensor(bias)
    units = len(weight) // options.get("pieces", 1)
    config = MLPConfig(layers=2, width=units, **options)
    model = config.build(weight.shape[1], 2, randomness.generator(0, "test"))
    with torch.no_grad():
        model.layers[0].weight.copy_(weight)
        model.layers[0].bias.copy_(bias)
    return model


def test_a_relu_that_is_never_positive_is_dead():
    # sums of the inputs 1 and −2: unit 0 (1, −2), unit 1 (−1, 2), unit 2 (−4, −1), unit 3 (5, 5), which has no weights
    model = network([[1.0], [-1.0], [-1.0], [0.0]], [0.0, 0.0, -3.0, 5.0])
    (found,) = activation_statistics(model, torch.tensor([[1.0], [-2.0]])).items()
    assert found == ("relu 1", {"dead": 0.25, "saturated": 0.5, "zero": 0.5})


@pytest.mark.parametrize(("activation", "flat", "steep"), [("tanh", 2.3, 2.1), ("sigmoid", 4.5, 4.2)])
def test_saturated_is_where_the_slope_is_a_twentieth_of_the_steepest(activation, flat, steep):
    # tanh′ = 1 − tanh² is 0.05 at atanh(√0.95) = 2.18; sigmoid′ = s(1 − s) is 0.05/4 at ln(s/(1 − s)) = 4.37
    model = network([[1.0], [0.0]], [0.0, 0.0], activation=activation)
    found = activation_statistics(model, torch.tensor([[flat], [-flat], [steep], [0.0]]))[f"{activation} 1"]
    assert found == {"dead": 0.0, "saturated": 2 / 8, "zero": 5 / 8 if activation == "tanh" else 0.0}


def test_a_piece_of_maxout_that_is_never_the_largest_is_dead():
    model = network([[1.0], [-1.0], [1.0], [1.0]], [0.0, 0.0, 0.0, -1.0], activation="maxout", pieces=2)
    found = activation_statistics(model, torch.tensor([[1.0], [-2.0]]))["maxout 1"]
    assert found == {"dead": 0.25, "saturated": 0.5, "zero": 0.0}


def test_a_leak_keeps_every_unit_alive():
    model = network([[-1.0]], [-9.0], activation="leaky_relu")
    assert activation_statistics(model, torch.ones(3, 1)) == {"leaky_relu 1": {"dead": 0, "saturated": 0, "zero": 0}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("relu", 1), ("tanh", 1), ("sigmoid", 0.25), ("elu", 1), ("gelu", 1.12890), ("silu", 1.09984), ("maxout", 1)],
)
def test_the_steepest_slope(name, expected):  # of gelu at √2, of silu at 2.3994
    assert steepest(name) == pytest.approx(expected, abs=1e-5)


def test_every_hidden_layer_but_not_the_scores():
    model = MLPConfig(layers=4, width=5, output_activation="sigmoid").build(2, 3, randomness.generator(0, "test"))
    inputs = torch.randn(6, 2)
    found = activation_statistics(model, inputs)
    assert list(found) == ["relu 1", "relu 2", "relu 3"]
    stages = dict(model.stages(inputs))
    for name, shares in found.items():
        assert shares["zero"] == (stages[name] == 0).double().mean().item()
    assert activation_statistics(LinearConfig().build(2, 3, randomness.generator(0, "test")), inputs) == {}


def test_it_works_where_gradients_are_off_and_leaves_the_model_as_it_was():
    model = MLPConfig(norm="batch").build(2, 3, randomness.generator(0, "test")).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        assert all(
            0 <= share <= 1
            for layer in activation_statistics(model, torch.randn(9, 2)).values()
            for share in layer.values()
        )
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_bars_are_shares_of_all_values_without_the_zeros():
    axes = Figure().subplots()
    draw_activations(axes, torch.tensor([[0.0, 1.0, 1.2, 3.0], [0.0, 0.0, 0.0, 2.0]]), 2)
    assert [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches] == [(1, 1, 2 / 8), (2, 1, 2 / 8)]
    assert axes.get_xlabel() == "activation"
    for same in (torch.zeros(2, 2), torch.ones(2, 2)):
        axes = Figure().subplots()
        draw_activations(axes, same, 3)
        assert sum(bar.get_height() for bar in axes.patches) == same.mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "relu 1: 2 units\ndead units: 50.0 %\nzeros (not drawn): 75.0 %"),
        ({"activation": "tanh"}, "tanh 1: 2 units\nsaturated values: 50.0 %"),
    ],
)
def test_the_words_of_a_layer(options, words):
    model = network([[1.0], [0.0]], [0.0, -9.0], **options)
    (layer,) = hidden_layers(model, torch.tensor([[1.0], [-1.0]]))
    assert layer_title(layer) == words


def test_a_run_has_a_panel_for_each_hidden_layer(one_run):
    run = load_run(one_run)
    config = ActivationStatisticsConfig(split="val")
    panels = config.draw(run).axes
    found = activation_statistics(run.model, run.features(run.examples("val").inputs))
    for axes, (name, shares) in zip(panels, found.items(), strict=True):
        assert axes.get_title(loc="left").startswith(f"{name}: 8 units\ndead units: {100 * shares['dead']:.1f} %\n")
        np.testing.assert_allclose(sum(bar.get_height() for bar in axes.patches), 1 - shares["zero"])
    assert panels[0].get_ylabel() == "share of values"
    assert png(config.draw(run)) == png(config.draw(load_run(one_run)))


def test_a_sample_is_taken_at_even_distances(one_run):
    run = load_run(one_run)
    inputs = run.examples("train").inputs  # 72 of them
    few = ActivationStatisticsConfig(examples=30).draw(run).axes[0].get_title(loc="left")
    (layer, _) = hidden_layers(run.model, run.features(inputs[::3]))
    assert few == layer_title(layer)


def test_a_linear_model_has_no_hidden_layer(deeprob, small):
    words = [word for word in small if "width" not in word]
    assert deeprob(*words, "model=linear", "hydra.run.dir=run").status == 0
    reason = ActivationStatisticsConfig().unsuited(load_run("run"))
    assert reason == "needs a hidden layer, and the run's model has none"


def test_stages_that_are_no_layers_have_no_statistics():
    class Blocks(Model):
        def forward(self, inputs, key=None):
            return 4 * inputs

        def stages(self, inputs):
            yield from (("block 1", 2 * inputs), ("block 2", 4 * inputs), ("scores", 4 * inputs))

    assert activation_statistics(Blocks(), torch.ones(3, 2)) == {}
