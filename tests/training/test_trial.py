"""A trial of a model before it trains."""

import math

import pytest
import torch

from deeprob.data import Examples
from deeprob.features.raw import Raw
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, L2Config, Objective, SquaredErrorConfig
from deeprob.training.trial import gradient_norm, overfit

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double()
XOR = Examples(CORNERS, torch.tensor([0, 1, 1, 0]))

pytestmark = pytest.mark.parametrize("formulas", [True, False])


def build(config, inputs: int, outputs: int):
    return config.build(inputs, outputs, torch.Generator().manual_seed(0)).double()


def state_of(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_norm_of_a_gradient_by_hand(formulas):
    model = build(LinearConfig(), 1, 1)
    with torch.no_grad():
        model.layer.weight.fill_(2.0)
        model.layer.bias.fill_(0.0)
    objective = Objective(SquaredErrorConfig().build(), L2Config(strength=0.5).build())
    examples = Examples(torch.tensor([[3.0]]).double(), torch.tensor([[5.0]]).double())
    # (wx + b − y)² + λw²: ∂w = 2·1·3 + 2·0.5·2 = 8, ∂b = 2·1 = 2
    norm = gradient_norm(model, objective, Raw((1,), "none").double(), examples, formulas)
    assert norm == pytest.approx(math.hypot(8, 2))
    assert model.layer.weight.grad is None


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_network_learns_a_few_examples_and_stays_as_it_was(formulas, norm):
    model = build(MLPConfig(hidden=[16], norm=norm, dropout=0.5), 2, 2)
    before = state_of(model)
    parameters = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    first, last = overfit(model, CrossEntropyConfig().build(), Raw((2,), "none").double(), XOR, formulas)
    scores = model(CORNERS, None)  # without dropout
    assert first == pytest.approx(torch.nn.functional.cross_entropy(scores, XOR.targets).item())
    assert last < 0.01 * first
    if norm == "none":  # else the line above has moved the running means
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert parameters == {name: parameter.data_ptr() for name, parameter in model.named_parameters()}


def test_a_linear_model_cannot_learn_xor_by_heart(formulas):
    model = build(LinearConfig(), 2, 2)
    _, last = overfit(model, CrossEntropyConfig().build(), Raw((2,), "none").double(), XOR, formulas)
    assert last == pytest.approx(math.log(2))  # no line does better on the four corners
