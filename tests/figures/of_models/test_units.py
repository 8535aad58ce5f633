import pytest
import torch

from deeprob import randomness
from deeprob.features import Standardize
from deeprob.figures.of_models.units import differentiable_stages, first_layer, mean_derivatives, recombined
from deeprob.models import LinearConfig, MLPConfig


def linear(weight, bias):
    model = LinearConfig().build(len(weight[0]), len(weight), randomness.generator(0, "test"))
    with torch.no_grad():
        model.layer.weight.copy_(torch.tensor(weight))
        model.layer.bias.copy_(torch.tensor(bias))
    return model


def network(inputs=2, outputs=3, **options):
    return MLPConfig(**options).build(inputs, outputs, randomness.generator(0, "test"))


def standardize(shape, per, mean, deviation):
    layer = Standardize(shape, per)
    layer.take(torch.tensor(mean).view_as(layer.mean), torch.tensor(deviation).view_as(layer.deviation))
    return layer


def test_the_template_is_divided_by_the_deviation_and_the_mean_goes_into_the_offset():
    v, c = first_layer(linear([[2.0, 6.0]], [1.0]), standardize((2,), "feature", [10.0, 20.0], [4.0, 2.0]))
    assert v.tolist() == [[[0.5, 3.0]]]
    assert c.tolist() == [[1.0 - 5.0 - 60.0]]
    # by the way that the model goes itself: x = (14, 22) is (1, 1) standardised, and its score is 2 + 6 + 1
    assert (v[0, 0] @ torch.tensor([14.0, 22.0]).double() + c[0, 0]).item() == 9.0


def test_a_channels_deviation_is_that_of_its_pixels():
    model = linear([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], [0.0])  # 3 channels of 1×2 pixels
    v, c = first_layer(model, standardize((3, 1, 2), "channel", [1.0, 0.0, 2.0], [1.0, 2.0, 4.0]))
    assert v.flatten().tolist() == [1, 2, 1.5, 2, 1.25, 1.5]
    assert c.item() == -(1 + 2) - 2 * (1.25 + 1.5)


def test_without_standardisation_and_without_a_bias_it_is_the_layer_itself():
    model = LinearConfig(bias=False).build(2, 3, randomness.generator(0, "test"))
    v, c = first_layer(model)
    assert torch.equal(v[:, 0], model.layer.weight.detach().double())
    assert c.tolist() == [[0], [0], [0]]


def test_a_batch_norm_is_part_of_the_first_layer():
    model = network(layers=2, width=4, norm="batch")
    norm = model.norms[0]
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    norm.running_mean.copy_(torch.tensor([0.5, 0.0, -1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 1.0, 0.25, 9.0]))
    x = torch.randn(5, 2, generator=randomness.generator(0, "points"))
    scaling = standardize((2,), "feature", [3.0, 1.0], [0.5, 2.0])
    v, c = first_layer(model, scaling)
    _, sums = next(iter(model.eval().stages(scaling(x.clone()))))
    torch.testing.assert_close(x.double() @ v[:, 0].T + c[:, 0], sums.detach().double(), atol=1e-5, rtol=1e-5)


def test_a_maxout_unit_has_its_pieces():
    model = network(layers=2, width=4, activation="maxout", pieces=3)
    v, c = first_layer(model)
    assert v.shape == (4, 3, 2)
    assert c.shape == (4, 3)
    assert torch.equal(v[1, 2], model.layers[0].weight[5].detach().double())


@pytest.mark.parametrize("activation", ["tanh", "maxout", "relu"])
def test_in_two_layers_a_unit_feeds_a_score_by_w2(activation):
    model = network(layers=2, width=5, activation=activation)
    inputs = torch.randn(7, 2, generator=randomness.generator(0, "points"))
    torch.testing.assert_close(
        mean_derivatives(model, inputs, range(len(model.layers[1].weight))), model.layers[1].weight.detach().double()
    )


def test_in_three_layers_by_the_paths_that_are_open_on_average():
    model = network(layers=3, width=2, outputs=1)
    first, second, last = model.layers
    with torch.no_grad():
        first.weight.copy_(torch.eye(2))
        second.weight.copy_(torch.tensor([[1.0, -1.0], [2.0, 1.0]]))
        last.weight.copy_(torch.tensor([[10.0, 100.0]]))
    # h = (3, 1): both of the second layer are open, 10·(1, −1) + 100·(2, 1); h = (1, 3): only its second
    found = mean_derivatives(model, torch.tensor([[3.0, 1.0], [1.0, 3.0]]), [0])
    assert found.tolist() == [[(210 + 200) / 2, (90 + 100) / 2]]


def test_stages_leave_a_training_model_as_it_was():
    model = network(layers=3, width=4, norm="batch").train()
    before = model.norms[0].running_mean.clone()
    with torch.no_grad():
        differentiable_stages(model, torch.ones(6, 2))
        assert mean_derivatives(model, torch.ones(6, 2), range(3)).shape == (3, 4)
    assert model.training
    assert torch.equal(model.norms[0].running_mean, before)


def test_the_second_layer_sums_templates():
    v = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])  # 2 units of 2 pieces
    weights = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
    assert recombined(v, weights).tolist() == [[2, 2], [-2, 0.5]]
