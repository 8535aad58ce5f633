import copy
import math

import pytest
import torch

from deeprob.config import options
from deeprob.models.linear import LinearConfig
from deeprob.models.mlp import MLPConfig
from deeprob.optim import AdagradConfig, AdamWConfig, LBFGSConfig, PlateauConfig, Schedule, SGDConfig
from deeprob.tracking import checkpoint_file
from deeprob.tracking.checkpoint_file import alike
from deeprob.training import TrainState
from deeprob.training.state import Best


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
        ("val/ece", [2, 3, 1, 1], [True, False, True, False]),
        ("val/recall/loss", [0.5, 0.4, 0.6, 0.6], [True, False, True, False]),
    ],
)
def test_observe(monitor, values, better):
    s = state()
    assert [
        s.observe(monitor, "val/loss", {"val/loss": 1, monitor: value}, epoch) for epoch, value in enumerate(values, 1)
    ] == better
    assert (s.best.value, s.best.epoch) == (values[2], 3)


def test_between_equal_accuracies_the_lower_loss_is_better():
    s = state()
    pairs = [(0.5, 1.0), (0.5, 0.8), (0.5, 0.9)]
    metrics = [{"val/accuracy": accuracy, "val/loss": loss} for accuracy, loss in pairs]
    assert [s.observe("val/accuracy", "val/loss", m, epoch) for epoch, m in enumerate(metrics, 1)] == [
        True,
        True,
        False,
    ]


def test_what_patience_watches_may_go_on_when_the_best_stays():
    s = state()
    for epoch, (accuracy, loss) in enumerate([(1.0, 0.5), (0.75, 0.4), (0.75, 0.3), (0.75, 0.3)], 1):
        s.observe("val/accuracy", "val/loss", {"val/accuracy": accuracy, "val/loss": loss}, epoch)
    assert (s.best.epoch, s.improved.epoch) == (1, 3)


def test_a_checkpoint_from_before_counts_patience_from_its_best_epoch():
    s, other = state(), state()
    s.observe("val/accuracy", "val/accuracy", {"val/loss": 0.25, "val/accuracy": 0.5}, 3)
    content = s.state_dict()
    del content["improved"]
    other.load_state_dict(content)
    assert (other.best.epoch, other.improved) == (3, Best(None, None, 3))


def test_state_dict_round_trip():
    s, other = state(), state()
    s.step, s.evaluations = 7, 9
    s.observe("val/accuracy", "val/loss", {"val/loss": 0.25, "val/accuracy": 0.5}, 3)
    s.observe("val/accuracy", "val/loss", {"val/loss": 0.125, "val/accuracy": 0.25}, 4)
    with torch.no_grad():
        s.model.layer.weight.fill_(3.0)
    other.load_state_dict(s.state_dict())
    assert (other.step, other.evaluations) == (7, 9)
    assert (other.best, other.improved) == (Best(0.5, 0.25, 3), Best(0.125, 0.125, 4))
    assert torch.equal(other.model.layer.weight, torch.full((2, 2), 3.0))


def test_a_state_goes_back_to_the_rate_and_the_counts_of_an_update():
    s = state()
    s.schedule = Schedule(lambda step: 0.5**step)
    s.meters.count(5, 1)
    s.go_back(3, 4)
    assert (s.step, s.evaluations, s.meters.state_dict()["counts"]) == (3, 4, [0] * 4)
    assert [group["lr"] for group in s.optimizer.param_groups] == [0.5 * 0.25] * 2  # of update 2, the last one


def test_a_state_that_goes_back_to_the_start_has_the_optimizer_of_the_start():
    s = started(AdagradConfig(initial_accumulator_value=0.5))  # which fills its state before the first update
    update(s)
    s.go_back(0, 0)
    sums = [values["sum"] for values in s.optimizer.state.values()]
    assert sums
    assert all((values == 0.5).all() for values in sums)
    assert {int(values["step"]) for values in s.optimizer.state.values()} == {0}


def started(optimizer, dtype=torch.float32) -> TrainState:
    model = MLPConfig(width=4, norm="batch").build(2, 3, torch.Generator().manual_seed(0)).to(dtype)
    schedule = PlateauConfig().build(10)
    return TrainState.start(model, optimizer.build(model.parameters()), schedule, torch.device("cpu"))


def update(s: TrainState, times: int = 1) -> None:
    def closure() -> torch.Tensor:
        s.optimizer.zero_grad()
        loss = sum((parameter - 0.1 * parameter.numel()).square().sum() for parameter in s.parameters.values())
        loss.backward()
        return loss

    for _ in range(times):
        s.optimizer.step(closure)


ALL = {
    **{name: cls() for name, cls in options("optimizer").items()},
    "sgd with momentum": SGDConfig(momentum=0.9, nesterov=True),
    "adamw with amsgrad": AdamWConfig(amsgrad=True),
    "lbfgs of one iteration": LBFGSConfig(max_iter=1),
    "lbfgs without line search": LBFGSConfig(max_iter=2, line_search_fn=None),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("times", [0, 1, 3])
def test_every_optimizer_goes_on_from_a_file_as_it_was(tmp_path, name, dtype, times):
    s, other = started(ALL[name], dtype), started(ALL[name], dtype)
    update(s, times)
    checkpoint_file.save(s.state_dict(), tmp_path / "x.pt")
    other.load_state_dict(checkpoint_file.load(tmp_path / "x.pt"))
    for one in (s, other):
        update(one, 2)
    pairs = zip(s.parameters.values(), other.parameters.values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.flatten()[:0],
        lambda t: torch.zeros(7),
        lambda t: t.long(),
        lambda t: "words",
        lambda t: [[1.0]],
    ],
)
def test_a_kernel_never_sees_moments_of_another_shape(name, change):
    s = started(AdamWConfig())
    update(s)
    state = copy.deepcopy(s.state_dict())
    state["optimizer"]["state"][0][name] = change(state["optimizer"]["state"][0][name])
    with pytest.raises(ValueError, match=f"{name} of another optimizer"):
        started(AdamWConfig()).load_state_dict(state)


def test_the_optimizers_settings_stay_those_of_the_config():
    s, other = started(SGDConfig(lr=0.5, momentum=0.9)), started(SGDConfig(lr=0.25))
    other.load_state_dict(s.state_dict())
    assert {(group["initial_lr"], group["momentum"]) for group in other.optimizer.param_groups} == {(0.25, 0)}
    assert {group["lr"] for group in other.optimizer.param_groups} == {0.5}  # of the last update; the next sets its own


@pytest.mark.parametrize("lr", [math.nan, "0.1", None, 1])
def test_a_rate_that_no_update_had_is_refused(lr):
    state = started(SGDConfig(lr=0.5)).state_dict()
    state["optimizer"]["param_groups"][0]["lr"] = lr
    with pytest.raises(ValueError, match="lr of no run"):
        started(SGDConfig(lr=0.5)).load_state_dict(state)


def test_alike():
    example = {"a": [1, 2.0, None], "b": torch.ones(2, 3), "c": torch.tensor(1.0)}
    assert alike({"a": [7, 8.0, None], "b": torch.zeros(2, 3), "c": torch.tensor(2.0)}, example)
    assert alike(example | {"c": 3.0}, example)  # optimizers hold numbers both ways
    for wrong in (
        {"a": [-1, 2.0, None]}, {"a": [1, 2, None]}, {"a": [1, 2.0]}, {"a": (1, 2.0, None)}, {"a": [True, 2.0, None]},
        {"a": [2**63, 2.0, None]}, {"b": torch.ones(3, 2)}, {"b": torch.ones(3, 2).T}, {"b": torch.ones(2, 3).double()},
        {"b": torch.ones(1, 1).expand(2, 3)}, {"b": 1.0}, {"c": None}, {"c": "1"}, {"d": 1},
    ):  # fmt: skip
        assert not alike(example | wrong, example)
