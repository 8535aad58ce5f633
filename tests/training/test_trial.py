"""A trial of a model before it trains."""

import math

import pytest
import torch

from deeprob.data import Examples
from deeprob.features.raw import Raw
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, L2Config, Objective, SquaredErrorConfig
from deeprob.optim import OptimizerConfig, Schedule, SGDConfig
from deeprob.training import TrainState
from deeprob.training.learner import Learner
from deeprob.training.trial import gradient_norm, hindrance_of_stack, overfit

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


class Twice(torch.optim.SGD):
    def step(self, closure):
        super().step(closure)
        return closure()


class Ending(torch.optim.SGD):
    finished = False


class Built(OptimizerConfig):
    def __init__(self, cls) -> None:
        self.cls = cls

    def build(self, parameters):
        return self.cls(list(parameters), lr=0.1)


def learner_of(model, optimizer) -> Learner:
    state = TrainState.start(model, optimizer.build(model.parameters()), Schedule(), torch.device("cpu"))
    return Learner(state, Objective(CrossEntropyConfig().build(), L2Config().build()), optimizer, 0)


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (SGDConfig(), ""),
        (Built(torch.optim.SGD), ""),
        (Built(Twice), "optimizer=Built evaluates L(W) several times per update"),
        (Built(Ending), "optimizer=Built decides when a run ends"),
    ],
    ids=["built in", "own", "twice", "ending"],
)
def test_why_optimizers_cannot_stack(formulas, optimizer, reason):
    model = build(MLPConfig(hidden=[3], norm="batch", dropout=0.5), 2, 2)
    learner, before = learner_of(model, optimizer), state_of(model)
    assert hindrance_of_stack(learner, Raw((2,), "none").double(), XOR, formulas) == reason
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert learner.state.step == 0
    assert not learner.state.optimizer.state


def test_why_a_model_cannot_stack(formulas):
    class Branching(type(build(MLPConfig(hidden=[3]), 2, 2))):
        def forward(self, inputs, key=None):
            scores = super().forward(inputs, key)
            return scores if scores.sum() > 0 else 2 * scores

    model = build(MLPConfig(hidden=[3]), 2, 2)
    model.__class__ = Branching
    reason = hindrance_of_stack(learner_of(model, SGDConfig()), Raw((2,), "none").double(), XOR, formulas)
    assert bool(reason) is not formulas
    assert formulas or reason.startswith(
        "torch's vmap cannot batch an operation (vmap: It looks like you're attempting"
    )
