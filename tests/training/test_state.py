import pytest
import torch

from deeprob.models.linear import LinearConfig
from deeprob.optim import Schedule, SGDConfig
from deeprob.training import TrainState


def state() -> TrainState:
    model = LinearConfig().build(2, 2, torch.Generator().manual_seed(0))
    return TrainState.start(model, SGDConfig(lr=0.5).build(model.parameters()), Schedule(), torch.device("cpu"))


def test_start_remembers_the_rate_that_schedules_multiply():
    assert [group["initial_lr"] for group in state().optimizer.param_groups] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("monitor", "values", "better"),
    [
        ("val/accuracy", [0.5, 0.4, 0.6, 0.6], [True, False, True, False]),
        ("val/loss", [2, 3, 1, 1], [True, False, True, False]),
    ],
)
def test_observe(monitor, values, better):
    s = state()
    assert [
        s.observe(monitor, {"val/loss": 1, monitor: value}, epoch) for epoch, value in enumerate(values, 1)
    ] == better
    assert (s.best.value, s.best.epoch) == (values[2], 3)


def test_between_equal_accuracies_the_lower_loss_is_better():
    s = state()
    pairs = [(0.5, 1.0), (0.5, 0.8), (0.5, 0.9)]
    metrics = [{"val/accuracy": accuracy, "val/loss": loss} for accuracy, loss in pairs]
    assert [s.observe("val/accuracy", m, epoch) for epoch, m in enumerate(metrics, 1)] == [True, True, False]


def test_state_dict_round_trip():
    s, other = state(), state()
    s.step, s.evaluations = 7, 9
    s.observe("val/loss", {"val/loss": 0.25}, 3)
    with torch.no_grad():
        s.model.layer.weight.fill_(3.0)
    other.load_state_dict(s.state_dict())
    assert (other.step, other.evaluations, other.best.value, other.best.epoch) == (7, 9, 0.25, 3)
    assert torch.equal(other.model.layer.weight, torch.full((2, 2), 3.0))
