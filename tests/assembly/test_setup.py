"""Wiring: sizes, threads and schedule of a run, and optima that SciPy finds too."""

import re
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup, initial_model
from deeprob.data import Examples, SpiralsConfig, Splits
from deeprob.errors import UserError
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig, Model, ModelConfig
from deeprob.objective import CrossEntropyConfig, HingeConfig, L2Config, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig, CosineConfig, LBFGSConfig, OptimizerConfig
from deeprob.training import TrainerConfig


def config(**changes) -> RunConfig:
    parts = {
        "dataset": SpiralsConfig(points_per_class=20, test_points_per_class=5),
        "features": RawConfig(),
        "model": MLPConfig(width=4),
        "loss": CrossEntropyConfig(),
        "regularizer": NoneConfig(),
        "optimizer": AdamWConfig(),
        "scheduler": CosineConfig(),
        "trainer": TrainerConfig(device="cpu"),
    }
    return RunConfig(**(parts | changes))


def test_sizes():
    built = Setup.build(config(trainer=TrainerConfig(epochs=5, batch_size=16, device="cpu")))
    assert (built.batch_size, built.steps) == (16, 5 * 4)  # 60 points by 16: 3 whole batches and one of 12
    assert built.parameters == (2 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)
    assert built.label == "spirals-mlp-adamw"
    assert Setup.build(config(trainer=TrainerConfig(batch_size=10**6, device="cpu"))).batch_size == 60


def test_the_schedule_leaves_a_line_search_alone():
    def last_factor(**changes) -> float:
        built = Setup.build(config(**changes))
        return built.state.schedule(built.steps - 1)

    assert last_factor() < 0.01
    assert last_factor(optimizer=LBFGSConfig()) == 1
    assert last_factor(optimizer=LBFGSConfig(line_search_fn=None)) < 0.01
    assert last_factor(scheduler=ConstantConfig()) == 1


def test_small_networks_take_one_thread():
    def built(**changes):
        return Setup.build(config(**changes))

    assert built().threads == 1
    assert built(model=MLPConfig(width=2000)).threads == torch.get_num_threads()
    assert built(trainer=TrainerConfig(threads=3, device="cpu")).threads == 3


def test_class_weights_have_the_mean_1_over_the_training_split():
    dataset = SpiralsConfig(points_per_class=20, test_points_per_class=5, limit=50, val_fraction=0.1)
    built = Setup.build(config(dataset=dataset, loss=HingeConfig(class_weights=[1, 5, 2.5])))
    weights, targets = built.objective.loss.class_weights, built.splits.train.targets
    assert weights[targets].mean().item() == pytest.approx(1, rel=1e-12)
    torch.testing.assert_close(weights / weights[0], torch.tensor([1, 5, 2.5], dtype=torch.float64))


def test_class_weights_need_one_number_per_class():
    line = r"loss.class_weights=\[1,5\]: expected one number for each of the 3 classes arm 0, arm 1, arm 2$"
    with pytest.raises(UserError, match=line):
        Setup.build(config(loss=CrossEntropyConfig(class_weights=[1, 5])))


def test_initial_loss_is_ln_c():
    built = Setup.build(config(model=LinearConfig()))
    assert built.measure("train", built.splits.train)["train/loss"] == pytest.approx(np.log(3), abs=0.25)


@pytest.mark.parametrize("chunk_size", [16, 1000])
def test_lbfgs_finds_the_optimum_that_scipy_finds(chunk_size):
    trainer = TrainerConfig(epochs=10, precision="float64", chunk_size=chunk_size, device="cpu")
    settings = config(
        model=LinearConfig(), optimizer=LBFGSConfig(), regularizer=L2Config(strength=1e-2), trainer=trainer
    ).resolved()
    built = Setup.build(settings)
    records = list(built.train(lambda: False))
    data = built.splits.train
    x = ((data.inputs - data.inputs.mean(0)) / data.inputs.std(0, correction=0)).double().numpy()
    y = np.eye(3)[data.targets.numpy()]

    def loss(parameters):
        w, b = parameters[:6].reshape(3, 2), parameters[6:]
        s = x @ w.T + b
        s = s - s.max(1, keepdims=True)
        log_p = s - np.log(np.exp(s).sum(1, keepdims=True))
        d = (np.exp(log_p) - y) / len(x)
        value = -(y * log_p).sum() / len(x) + 1e-2 * (w**2).sum()
        return value, np.concatenate([(d.T @ x + 2e-2 * w).ravel(), d.sum(0)])

    best = minimize(loss, np.zeros(9), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-10})
    weight, bias = (p.detach().numpy() for p in built.predictor.model.parameters())
    reached, _ = loss(np.concatenate([weight.ravel(), bias]))
    assert reached == pytest.approx(best.fun, rel=1e-9)
    assert records[-1].metrics["train/loss"] == pytest.approx(best.fun, rel=1e-6)


def test_device_auto_is_cpu_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    built = Setup.build(config(trainer=TrainerConfig(device="auto")))
    assert {p.device.type for p in built.predictor.model.parameters()} == {"cpu"}


class TorchsOwn(Model):
    """A layer with the weights that torch draws for it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, inputs, key=None):
        return self.layer(inputs)

    def stages(self, inputs):
        yield "scores", self(inputs)

    @property
    def linear_layers(self):
        return [self.layer]


@dataclass(kw_only=True, slots=True)
class TorchsOwnConfig(ModelConfig):
    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> TorchsOwn:
        return TorchsOwn(inputs, outputs)


def test_the_note_on_missing_formulas_is_printed_once_for_runs_that_share(capsys):
    shared = Shared()
    for seed in range(3):
        Setup.build(config(model=TorchsOwnConfig(), seed=seed).resolved(), shared)
    line = "note: model=TorchsOwnConfig: no formula for the derivative, so autograd computes the gradients\n"
    assert capsys.readouterr().err == line


def test_weights_that_torch_draws_are_those_of_the_seed():
    def drawn(seed: int) -> list[list[float]]:
        torch.manual_seed(torch.seed())
        before = torch.get_rng_state()
        built = Setup.build(config(model=TorchsOwnConfig(), seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(built.predictor.model.layer.weight, initial_model(built.config, 2, 3).layer.weight)
        return built.predictor.model.layer.weight.tolist()

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


@pytest.mark.parametrize(("norm", "refused"), [("batch", True), ("layer", False)])
def test_batch_norm_needs_more_than_one_training_example(norm, refused):
    one = SpiralsConfig(points_per_class=20, test_points_per_class=5, limit=1)
    with pytest.raises(UserError, match="dataset: 1 training example, but batch norm") if refused else nullcontext():
        Setup.build(config(dataset=one, model=MLPConfig(width=4, norm=norm)))


@dataclass(kw_only=True, slots=True)
class Weighted(SpiralsConfig):
    tabular: ClassVar[bool] = True

    def load(self) -> Splits:
        splits = SpiralsConfig.load(self)
        train = splits.train
        return replace(splits, train=Examples.weighted(train.inputs, train.targets, 1 + train.targets))


def test_weights_of_examples_count_in_class_weights_and_in_the_weight_decay():
    dataset, loss = Weighted(points_per_class=20, test_points_per_class=5), CrossEntropyConfig(class_weights="balanced")
    built = Setup.build(config(dataset=dataset, loss=loss, optimizer=AdamWConfig(weight_decay="auto")).resolved())
    assert built.objective.loss.class_weights.tolist() == pytest.approx([2, 1, 2 / 3])  # 20, 40 and 60 of 120
    assert built.config.optimizer.weight_decay == pytest.approx(40 / 120**0.5)
    losses = built.objective.loss(torch.zeros(3, 3), torch.arange(3), torch.tensor([1.0, 2, 3]))
    assert losses.tolist() == pytest.approx([2 * np.log(3)] * 3)


class Optimizer(torch.optim.Optimizer):
    def step(self, closure=None):
        return None


class Forgetful(torch.optim.Optimizer):
    def step(self):
        return None


class Wrong(torch.optim.SGD):
    def step(self, closure):
        raise ArithmeticError("no idea")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda p: None, "build() returned a NoneType; expected a torch.optim.Optimizer"),
        (lambda p: Optimizer(p, {}), "a parameter group has no lr, which the schedule multiplies; give it one"),
        (
            lambda p: Forgetful(p, {"lr": 1.0}),
            "step() takes no closure; write def step(self, closure) and call closure()",
        ),
        (lambda p: Optimizer(p, {"lr": 1.0}), "step(closure) never calls closure(), which computes the gradient"),
        (lambda p: Wrong(p, lr=1.0), "step() failed: ArithmeticError: no idea"),
        (lambda p: p[0], "build() failed: TypeError: 'list_iterator' object is not subscriptable"),
    ],
    ids=["nothing", "no lr", "no closure", "never called", "failing step", "failing build"],
)
def test_what_is_wrong_with_an_optimizer_of_the_user(made, reason):
    class OwnConfig(OptimizerConfig):
        def build(self, parameters):
            return made(iter(parameters))

    with pytest.raises(UserError) as caught:
        Setup.build(config(optimizer=OwnConfig()))
    assert re.sub(r"\S+test_setup.py, line \d+: ", "", str(caught.value)) == f"OwnConfig: {reason}"


def test_an_optimizer_of_the_user_is_tried_with_a_copy():
    class OwnConfig(OptimizerConfig):
        def build(self, parameters):
            return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    built, ours = (Setup.build(config(optimizer=optimizer)) for optimizer in (OwnConfig(), AdamWConfig()))
    assert built.state.optimizer.state == {}
    for name, parameter in built.state.parameters.items():
        assert torch.equal(parameter, ours.state.parameters[name])
        assert parameter.grad is None
