import numpy as np
import pytest
import torch

from deeprob.assembly.config import RunConfig
from deeprob.assembly.gradients_of import ByFormulas, differentiable, first_batch, in_float64, loss_over
from deeprob.data import SpiralsConfig
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, L1Config, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig


def config(regularizer=None, **model):
    return RunConfig(
        dataset=SpiralsConfig(points_per_class=10, test_points_per_class=2),
        features=RawConfig(),
        model=MLPConfig(width=5, **model),
        loss=CrossEntropyConfig(),
        regularizer=regularizer or NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=ConstantConfig(),
    )


@pytest.mark.parametrize("examples", [1, 8])
def test_the_gradient_by_formulas_does_not_depend_on_earlier_calls(examples):
    setup = in_float64(config(norm="batch", dropout=0.4), examples)
    point = {name: tensor.detach().clone() for name, tensor in setup.state.parameters.items()}
    gradient = ByFormulas(first_batch(setup), setup)
    first = gradient(point)
    other = gradient({name: tensor + 1 for name, tensor in point.items()})
    again = gradient(point)
    assert all(torch.equal(first[name], again[name]) for name in point)
    assert any(not torch.equal(first[name], other[name]) for name in point)
    batches = setup.predictor.model.get_buffer("norms.0.num_batches_tracked")
    assert batches == (examples > 1)  # the running means started anew each time


def test_the_loss_is_that_of_the_batch_and_has_the_same_dropout_in_each_call():
    setup = in_float64(config(dropout=0.5), 8)
    batch = first_batch(setup)
    loss = loss_over(batch, setup, setup.objective)
    point = {name: tensor.detach() for name, tensor in setup.state.parameters.items()}
    scores = setup.predictor.model(batch.inputs[0], batch.keys[0])
    expected = torch.nn.functional.cross_entropy(scores, batch.targets[0])
    np.testing.assert_allclose([loss(point), loss(point)], [expected.item()] * 2, rtol=1e-15)


def test_the_term_of_a_proximal_step_is_no_part_of_the_gradient(capsys):
    objective = in_float64(config(L1Config(strength=3.0, proximal=True)), 8).objective
    weights = [torch.tensor([[1.0, -2.0]])]
    assert (objective.regularizer(weights), differentiable(objective).regularizer(weights)) == (9, 0)
    assert "regularizer.proximal=true" in capsys.readouterr().err
