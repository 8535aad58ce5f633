"""A trial of a model before it trains."""

import math

import pytest
import torch

from deeprob.data import Examples
from deeprob.features.raw import Raw
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, L2Config, Objective, SquaredErrorConfig
from deeprob.optim import Schedule, SGDConfig
from deeprob.training import TrainState
from deeprob.training.trial import gradient_norm, overfit

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double()
XOR = Examples(CORNERS, torch.tensor([0, 1, 1, 0]))


def start(config, inputs: int, outputs: int) -> TrainState:
    model = config.build(inputs, outputs, torch.Generator().manual_seed(0)).double()
    return TrainState.start(model, SGDConfig(lr=0.1).build(model.parameters()), Schedule(), torch.device("cpu"))


def test_the_norm_of_a_gradient_by_hand():
    state = start(LinearConfig(), 1, 1)
    with torch.no_grad():
        state.model.layer.weight.fill_(2.0)
        state.model.layer.bias.fill_(0.0)
    objective = Objective(SquaredErrorConfig().build(), L2Config(strength=0.5).build())
    examples = Examples(torch.tensor([[3.0]]).double(), torch.tensor([[5.0]]).double())
    # (wx + b − y)² + λw²: ∂w = 2·1·3 + 2·0.5·2 = 8, ∂b = 2·1 = 2
    assert gradient_norm(state, objective, Raw((1,), "none").double(), examples) == pytest.approx(math.hypot(8, 2))
    assert (state.evaluations, state.step) == (0, 0)
    assert state.model.layer.weight.grad is None


def test_a_network_learns_a_few_examples_and_stays_as_it_was():
    state = start(MLPConfig(hidden=[16]), 2, 2)
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    first, last = overfit(state, CrossEntropyConfig().build(), Raw((2,), "none").double(), XOR)
    scores = state.model(CORNERS, None)
    assert first == pytest.approx(torch.nn.functional.cross_entropy(scores, XOR.targets).item())
    assert last < 0.01 * first
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.state_dict().items())


def test_a_linear_model_cannot_learn_xor_by_heart():
    _, last = overfit(start(LinearConfig(), 2, 2), CrossEntropyConfig().build(), Raw((2,), "none").double(), XOR)
    assert last == pytest.approx(math.log(2))  # no line does better on the four corners
