"""One update: its measures, and which number is named when it goes wrong. See also test_loop.py."""

import pytest
import torch

from deeprob.data import Examples
from deeprob.features.raw import Raw
from deeprob.models.linear import LinearConfig
from deeprob.objective import L2Config, NoneConfig, Objective, SquaredErrorConfig
from deeprob.optim import AdamConfig, LBFGSConfig, Schedule, SGDConfig
from deeprob.training import TrainState
from deeprob.training.update import Update

ONE = Examples(torch.ones(1, 1), torch.zeros(1, 1))


@pytest.fixture
def update_of():
    """Make an update of one weight w = 2 and one bias 0 by squared error."""

    def make(optimizer, strength=0.0):
        model = LinearConfig().build(1, 1, torch.Generator())
        with torch.no_grad():
            model.layer.weight.fill_(2.0)
            model.layer.bias.fill_(0.0)
        state = TrainState.start(model, optimizer.build(model.parameters()), Schedule(), torch.device("cpu"))
        regularizer = L2Config(strength=strength) if strength else NoneConfig()
        return Update(state, Objective(SquaredErrorConfig().build(), regularizer.build()), Raw((1,), "none"), 100)

    return make


def test_one_update_by_hand(update_of):
    # L = (wx + b)² + ½·w² = 6 with w = 2, x = 1: ∂w = 2·2 + 2 = 6, ∂b = 4
    update = update_of(SGDConfig(lr=0.1), strength=0.5)
    update(ONE, None)
    assert update.state.parameters["layer.weight"].item() == pytest.approx(2 - 0.6)
    assert update.state.parameters["layer.bias"].item() == pytest.approx(-0.4)
    metrics, count = update.state.meters.read()
    assert count == 1
    assert metrics == pytest.approx({
        "train/loss": 6.0, "train/data_loss": 4.0, "train/regularization": 2.0, "train/accuracy": 0.0,
        "optim/grad_norm": 52**0.5, "frozen": 0,
    })  # fmt: skip
    assert update.state.evaluations == 1


def test_the_measures_of_lbfgs_are_those_of_its_first_evaluation(update_of):
    update = update_of(LBFGSConfig(max_iter=5))
    update(ONE, None)
    metrics, count = update.state.meters.read()
    assert (metrics["train/loss"], count) == (pytest.approx(4.0), 1)
    assert update.state.evaluations > 1


def weight(update):
    return update.state.model.layer.weight


CAUSES = {
    "input": lambda update: Examples(torch.tensor([[float("nan")]]), ONE.targets),
    "data loss": lambda update: (weight(update).data.fill_(1e30), ONE)[1],
    "regularization": lambda update: (weight(update).data.fill_(1e25), Examples(torch.zeros(1, 1), ONE.targets))[1],
    "gradient of layer.weight": lambda update: (weight(update).register_hook(lambda g: g * float("inf")), ONE)[1],
    "gradient of layer.bias": lambda update: (
        update.state.model.layer.bias.register_hook(lambda g: g * float("nan")), ONE
    )[1],
    "updated parameters": lambda update: ONE,
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_the_first_number_that_is_not_finite_is_named(update_of, name):
    update = update_of(SGDConfig(lr=0.1), strength=0.5)
    batch = CAUSES[name](update)
    before = {key: tensor.clone() for key, tensor in update.state.model.state_dict().items()}
    assert update.first_not_finite(batch, None) == name
    assert update.state.evaluations == 0
    assert all(torch.equal(tensor, before[key]) for key, tensor in update.state.model.state_dict().items())
    update(batch, None)
    assert update.state.frozen == (name != "updated parameters")


def test_updates_since_the_first_that_is_not_finite_are_counted(update_of):
    update = update_of(AdamConfig(lr=0.1))
    update(ONE, None)
    update(Examples(torch.tensor([[float("inf")]]), ONE.targets), None)
    update(ONE, None)
    assert update.state.frozen == 1
    assert update.state.meters.read()[0]["frozen"] == 2  # by which the reading finds the first
