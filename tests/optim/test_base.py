import dataclasses
import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from deeprob.config import options
from deeprob.optim.base import OptimizerConfig, decay_groups, without_compiler
from deeprob.optim.rules import hyper_of

OURS_TO_CHOOSE = {"foreach", "fused", "capturable", "differentiable", "maximize"}
DEVIATIONS = {("lbfgs", "line_search_fn"): "strong_wolfe"}
TORCH = {name.lower(): cls for name, cls in vars(torch.optim).items() if inspect.isclass(cls)}
NAMES = sorted(options("optimizer"))
TORCHS_OWN = [name for name in NAMES if name in TORCH]

# One value a field that is no default, to see where it goes.
OTHER_VALUES = {
    "sgd": {"lr": 0.3, "momentum": 0.7, "dampening": 0.2, "weight_decay": 0.4, "nesterov": False},
    "adamw": {"lr": 0.3, "beta1": 0.7, "beta2": 0.8, "eps": 1e-4, "weight_decay": 0.4, "amsgrad": True},
    "adam": {
        "lr": 0.3,
        "beta1": 0.7,
        "beta2": 0.8,
        "eps": 1e-4,
        "weight_decay": 0.4,
        "amsgrad": True,
        "decoupled_weight_decay": True,
    },
    "adagrad": {"lr": 0.3, "lr_decay": 0.2, "weight_decay": 0.4, "initial_accumulator_value": 0.1, "eps": 1e-4},
    "rmsprop": {"lr": 0.3, "alpha": 0.7, "eps": 1e-4, "weight_decay": 0.4, "momentum": 0.6, "centered": True},
    "adadelta": {"lr": 0.3, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.4},
    "adamax": {"lr": 0.3, "beta1": 0.7, "beta2": 0.8, "eps": 1e-4, "weight_decay": 0.4},
    "nadam": {
        "lr": 0.3,
        "beta1": 0.7,
        "beta2": 0.8,
        "eps": 1e-4,
        "weight_decay": 0.4,
        "momentum_decay": 0.1,
        "decoupled_weight_decay": True,
    },
    "radam": {"lr": 0.3, "beta1": 0.7, "beta2": 0.8, "eps": 1e-4, "weight_decay": 0.4, "decoupled_weight_decay": True},
    "asgd": {"lr": 0.3, "lambd": 0.1, "alpha": 0.6, "t0": 5.0, "weight_decay": 0.4},
    "rprop": {"lr": 0.3, "eta1": 0.4, "eta2": 1.3, "step_size1": 1e-3, "step_size2": 5.0},
    "adafactor": {"lr": 0.3, "beta2_decay": -0.5, "eps1": 1e-4, "eps2": 1e-2, "d": 2.0, "weight_decay": 0.4},
    "lbfgs": {
        "lr": 0.3,
        "max_iter": 7,
        "max_eval": 11,
        "tolerance_grad": 1e-3,
        "tolerance_change": 1e-4,
        "history_size": 5,
        "line_search_fn": None,
    },
}


# torch's pairs, and the two fields of ours that make each.
PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta1", "eta2"),
    "step_sizes": ("step_size1", "step_size2"),
    "eps": ("eps1", "eps2"),
}


def config_of(name: str, **fields: object) -> OptimizerConfig:
    return options("optimizer")[name](**fields)


def test_the_optimizers_of_torch_are_those_tested_here():
    assert set(OTHER_VALUES) == set(TORCHS_OWN)


def test_every_class_of_torch_that_trains_a_dense_network_is_there():
    left_out = {"optimizer", "sparseadam", "muon"}  # the base class; sparse gradients only; matrices only
    classes = {name for name, cls in TORCH.items() if issubclass(cls, torch.optim.Optimizer)}
    assert classes - left_out <= set(NAMES)


@pytest.mark.parametrize("name", TORCHS_OWN)
def test_fields_and_defaults_are_torchs_own(name):
    expected = {
        parameter.name: parameter.default
        for parameter in inspect.signature(TORCH[name]).parameters.values()
        if parameter.name not in OURS_TO_CHOOSE | {"params"}
    }
    for pair, (first, second) in PAIRS.items():
        if isinstance(expected.get(pair), tuple):
            expected[first], expected[second] = expected.pop(pair)
    expected |= {field: value for (optimizer, field), value in DEVIATIONS.items() if optimizer == name}
    assert dataclasses.asdict(config_of(name)) == expected


@pytest.mark.parametrize("name", TORCHS_OWN)
def test_every_field_reaches_the_optimizer(name):
    fields = OTHER_VALUES[name]
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = config_of(name, **fields).build([weight])
    assert isinstance(optimizer, TORCH[name])
    (group,) = optimizer.param_groups
    expected = dict(fields)
    for pair, (first, second) in PAIRS.items():
        if first in fields:
            expected[pair] = (expected.pop(first), expected.pop(second))
    assert {key: group[key] for key in expected} == expected
    assert group["params"] == [weight]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_come_as_an_iterator_and_each_group_has_a_rate(name):
    model = nn.Linear(2, 3)
    groups = config_of(name).build(model.parameters()).param_groups
    assert {id(p) for group in groups for p in group["params"]} == {id(model.weight), id(model.bias)}
    assert {group["lr"] for group in groups} == {config_of(name).arguments()["lr"]}


@pytest.mark.parametrize("name", sorted(set(TORCHS_OWN) - {"lbfgs"}))
def test_most_optimizers_take_noise_and_a_schedule(name):
    assert (config_of(name).deterministic, config_of(name).scheduled) == (False, name != "rprop")


def test_a_config_may_build_a_class_that_it_does_not_name():
    @dataclasses.dataclass(kw_only=True, slots=True)
    class OwnConfig(OptimizerConfig):
        lr: float = 0.5
        beta: float = 0.25

        def build(self, parameters):
            return torch.optim.SGD(parameters, self.lr, momentum=self.beta)

    (group,) = OwnConfig(beta=0.75).build([nn.Parameter(torch.ones(1))]).param_groups
    assert (group["lr"], group["momentum"]) == (0.5, 0.75)
    assert OwnConfig().arguments() == {"lr": 0.5, "beta": 0.25}
    assert hyper_of(OwnConfig()) == {"beta": 0.25}


def test_decay_acts_on_matrices_alone():
    matrix, kernel, bias, scale = (nn.Parameter(torch.zeros(s)) for s in [(2, 3), (1, 1, 2, 2), (3,), ()])
    decayed, spared = decay_groups(iter([bias, matrix, scale, kernel]), 0.1)
    assert (decayed["params"], decayed["weight_decay"]) == ([matrix, kernel], 0.1)
    assert (spared["params"], spared["weight_decay"]) == ([bias, scale], 0.0)


def test_a_group_of_nothing_is_left_out():
    bias = nn.Parameter(torch.zeros(3))
    (group,) = decay_groups([bias], 0.1)
    assert group == {"params": [bias], "weight_decay": 0.0}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_without_a_gradient_weights_shrink_and_biases_stay(name):
    weight, bias = nn.Parameter(torch.tensor([[2.0, -4.0]])), nn.Parameter(torch.tensor([2.0]))
    optimizer = config_of(name, lr=0.1, weight_decay=0.5).build([weight, bias])
    weight.grad, bias.grad = torch.zeros_like(weight), torch.zeros_like(bias)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.9, -3.8]]))  # times 1 − 0.1·0.5 = 0.95
    assert bias.item() == 2


def test_which_optimizers_have_one_kernel_on_every_device():
    groups = {name: config_of(name).build([nn.Parameter(torch.ones(2, 2))]).param_groups for name in NAMES}
    assert {name for name, (group,) in groups.items() if group.get("fused")} == {"adam", "adamw", "sgd"}


USE = """
import sys
import torch
from deeprob.config import options
import deeprob.optim
for name, cls in options("optimizer").items():
    one, other = (cls().build([torch.nn.Parameter(torch.ones(2, 2))]) for _ in range(2))
    one.zero_grad()
    other.load_state_dict(one.state_dict())
    one.add_param_group({"params": [torch.nn.Parameter(torch.ones(3))]}) if name != "lbfgs" else None
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""


def test_the_compiler_is_not_imported_for_an_optimizer():
    """The import takes a second; a run of two seconds does not need it."""
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_another_torch_without_these_wrappers_is_left_as_it_is(monkeypatch):
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        monkeypatch.delattr(torch.optim.Optimizer, name)
    without_compiler.__wrapped__()
