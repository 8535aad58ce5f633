import dataclasses
import doctest
import importlib
import inspect
import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from deeprob.config import name_of, options
from deeprob.optim import AdafactorConfig, AdamConfig, SGDConfig
from deeprob.optim.base import OptimizerConfig
from deeprob.optim.rules import RULES, State, hyper_of

NAMES = sorted(RULES)
STEPS = 50

# Numbers that are not the defaults; they also switch momentum, decay of the rate and averaging on.
OTHER_NUMBERS = {
    "adadelta": {"rho": 0.7, "eps": 1e-3},
    "adafactor": {"beta2_decay": -0.5, "eps1": 1e-2, "eps2": 1e-1, "d": 2.0},
    "adagrad": {"lr_decay": 0.2, "initial_accumulator_value": 0.1, "eps": 1e-3},
    "adam": {"beta1": 0.7, "beta2": 0.8, "eps": 1e-3},
    "adamax": {"beta1": 0.7, "beta2": 0.8, "eps": 1e-3},
    "adamw": {"beta1": 0.7, "beta2": 0.8, "eps": 1e-3},
    "asgd": {"lambd": 0.1, "alpha": 0.6, "t0": 20.0},
    "nadam": {"beta1": 0.7, "beta2": 0.8, "eps": 1e-3, "momentum_decay": 0.1},
    "radam": {"beta1": 0.7, "beta2": 0.8, "eps": 1e-3},
    "rmsprop": {"alpha": 0.7, "eps": 1e-3, "momentum": 0.6},
    "rprop": {"eta1": 0.4, "eta2": 1.3, "step_size1": 1e-3, "step_size2": 0.02},
    "sgd": {"momentum": 0.9, "dampening": 0.2},
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # a dozen numbers are no work for two


def cases() -> Iterator[OptimizerConfig]:
    """Every optimizer with all flags, weight decay on and off, and two sets of numbers (SGD with four)."""
    for name in NAMES:
        cls, flags = options("optimizer")[name], RULES[name].flags
        numbers = [{}, OTHER_NUMBERS.get(name, {})]
        if name == "sgd":
            numbers += [{"momentum": 0.9}, {"dampening": 0.2}]
        decays = [{"weight_decay": 0.0}, {"weight_decay": 0.1}] if "weight_decay" in cls.__slots__ else [{}]
        choices = [
            dict(zip(flags, values, strict=True)) for values in itertools.product([False, True], repeat=len(flags))
        ]
        for parts in itertools.product(numbers, decays, choices):
            config = cls(**{key: value for part in parts for key, value in part.items()})
            if name != "sgd" or not list(config.problems()):
                yield config


def words(config: OptimizerConfig) -> str:
    changed = [f"{f.name}={getattr(config, f.name)}" for f in dataclasses.fields(config) if f.name != "lr"]
    return "-".join([name_of(config), *changed])


def walk(name: str, gradients: list[float], start: float = 0.0, lr: float = 0.1, **hyper: float) -> list[float]:
    """Where a single weight goes under given gradients."""
    place, state, places = torch.tensor([start], dtype=torch.float64), None, []
    for gradient in gradients:
        state = RULES[name].init(place, lr, **hyper) if state is None else state
        place, state = RULES[name].update(place, torch.full_like(place, gradient), state, lr, **hyper)
        places.append(place.item())
    return places


def gradients_like(parameter: Tensor, count: int) -> Tensor:
    """Gradients of all sizes and both signs, some exactly 0."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, *parameter.shape)
    normal, size, kept = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return (normal * size.exp() * (kept > -1)).to(parameter.dtype)


# ---------------------------------------------------------------- the lecture's formulas by hand


def test_momentum():
    # v = 1, then 0.9·1 + 1 = 1.9, then 0.9·1.9 − 2 = −0.29
    assert walk("sgd", [1, 1, -2], 1.0, momentum=0.9) == pytest.approx([0.9, 0.71, 0.739])


def test_nesterov_is_the_look_ahead_of_the_lecture():
    # L = w²/2, so ∇L = w; v ← 0.5·v − 0.1·∇L(w + 0.5·v), w ← w + v, and w + 0.5·v is the rule's place.
    # At 1: v = −0.1, w = 0.9; at 0.85: v = −0.135, w = 0.765; at 0.6975: v = −0.13725, w = 0.62775
    places = [0.9 - 0.05, 0.765 - 0.0675, 0.62775 - 0.068625]
    assert walk("sgd", [1, 0.85, 0.6975], 1.0, momentum=0.5, nesterov=True) == pytest.approx(places)


def test_adagrad():
    # √s = √9, √(9 + 16), √(25 + 144)
    expected = [-0.1 * 3 / 3, -0.1 - 0.1 * 4 / 5, -0.18 + 0.1 * 12 / 13]
    assert walk("adagrad", [3, 4, -12], eps=0.0) == pytest.approx(expected)


def test_rmsprop():
    # s = ¼·4 = 1, then ¾·1 + ¼·1 = 1, then ¾·1 + ¼·25 = 7
    expected = [-0.1 * 2, -0.2 - 0.1 * 1, -0.3 + 0.1 * 5 / math.sqrt(7)]
    assert walk("rmsprop", [2, 1, -5], alpha=0.75, eps=0.0) == pytest.approx(expected)


def test_almost_adam():
    # m = ½·2 = 1, then ½·1 + ½·1 = 1, then ½·1 − ½·5 = −2; v as s above
    expected = [-0.1 * 1, -0.1 - 0.1 * 1, -0.2 + 0.1 * 2 / math.sqrt(7)]
    places = walk("adam", [2, 1, -5], beta1=0.5, beta2=0.75, eps=0.0, bias_correction=False)
    assert places == pytest.approx(expected)


def test_adam():
    # the same m over ½, ¾, ⅞, and the same v over ¼, 7⁄16, 37⁄64
    steps = [2 / math.sqrt(4), 4 / 3 / math.sqrt(16 / 7), -16 / 7 / math.sqrt(448 / 37)]
    expected = [-0.1 * total for total in itertools.accumulate(steps)]
    assert walk("adam", [2, 1, -5], beta1=0.5, beta2=0.75, eps=0.0) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "memory"), [("adagrad", {}), ("rmsprop", {"alpha": 0.0}), ("adam", {})])
def test_eps_is_added_to_the_root(name, memory):
    assert walk(name, [1.0], eps=3.0, **memory) == pytest.approx([-0.1 / (1 + 3)])


def test_adamw_shrinks_every_weight_by_the_same_share():
    for gradient in (1e-3, 1e3):
        assert walk("adamw", [gradient], 1.0, weight_decay=0.5, eps=0.0) == pytest.approx([(1 - 0.05) - 0.1])


@pytest.mark.parametrize(("name", "equal"), [("sgd", True), ("adam", False)])
def test_a_decay_in_the_gradient_is_a_decoupled_one_for_plain_sgd_alone(name, equal):
    (coupled,) = walk(name, [1.0], 2.0, weight_decay=0.5)
    (plain,) = walk(name, [1.0], 2.0)
    decoupled = plain - 0.1 * 0.5 * 2.0
    assert (coupled == pytest.approx(decoupled)) is equal


@pytest.mark.parametrize("module", ["gradient_descent", "adaptive", "moments"])
def test_the_examples_in_the_docstrings(module):
    result = doctest.testmod(importlib.import_module(f"deeprob.optim.rules.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


# ---------------------------------------------------------------- step by step against torch.optim


@pytest.fixture
def _exact_numbers():
    """Numbers of torch's states (NAdam's product of μ, ASGD's η) in float64, not in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def largest_deviation(ours: Tensor, theirs: Tensor | float) -> float:
    """The largest difference as a share of the largest entry."""
    theirs = torch.as_tensor(theirs)
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-300)).item()


def deviations_from_torch(config: OptimizerConfig, start: Tensor) -> Iterator[float]:
    """How far a parameter and its state are from torch's, update by update, under a falling rate."""
    rule, hyper = RULES[name_of(config)], hyper_of(config, start.dtype)
    if start.dim() < 2 and "weight_decay" in hyper:
        hyper["weight_decay"] = 0.0
    theirs = nn.Parameter(start.clone())
    optimizer = config.build([theirs])
    (group,) = optimizer.param_groups
    ours, state = start, rule.init(start, config.lr, **hyper)
    for step, gradient in enumerate(gradients_like(start, STEPS)):
        group["lr"] = config.lr * (1 - 0.5 * step / STEPS)
        theirs.grad = gradient.clone()
        optimizer.step()
        ours, state = rule.update(ours, gradient, state, group["lr"], **hyper)
        yield largest_deviation(ours, theirs.detach())
        for key, value in optimizer.state[theirs].items():
            if value is not None and (key in state or key != "step"):  # some rules need no count
                yield largest_deviation(state[key], value)


@pytest.mark.usefixtures("_exact_numbers")
@pytest.mark.parametrize("config", list(cases()), ids=words)
def test_fifty_steps_are_torchs(config):
    matrix, vector = torch.linspace(-1, 2, 12).view(3, 4), torch.linspace(-1, 1, 5)
    tolerance = 0 if name_of(config) == "rprop" else 1e-12
    for start in (matrix, vector):
        assert all(deviation <= tolerance for deviation in deviations_from_torch(config, start))


# ---------------------------------------------------------------- many runs at once


def numbers_of(name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Four values of each hyper-parameter that is a number: from the default to another one."""
    first = {key: value for key, value in default_of(name, dtype).items() if key not in RULES[name].flags}
    last = {key: OTHER_NUMBERS.get(name, {}).get(key, 0.1) for key in first}  # 0.1 for weight_decay
    share = torch.linspace(0, 1, 4, dtype=torch.float64)
    return {key: first[key] + share * (last[key] - first[key]) for key in first}


def default_of(name: str, dtype: torch.dtype) -> dict[str, float | bool]:
    return hyper_of(options("optimizer")[name](), dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("name", "flag"), [(n, flag) for n in NAMES for flag in {False, bool(RULES[n].flags)}])
def test_a_stack_of_runs_is_each_run_alone(name, flag, dtype, tolerance):
    rule, flags = RULES[name], dict.fromkeys(RULES[name].flags, flag)
    numbers = numbers_of(name, dtype)
    rates = torch.tensor([0.01, 0.02, 0.03, 0.04], dtype=torch.float64)
    start = torch.linspace(-1, 2, 24, dtype=dtype).view(4, 2, 3)
    gradients = gradients_like(start, count=8)

    def init(parameter: Tensor, lr: Tensor, numbers: dict[str, Tensor]) -> State:
        return rule.init(parameter, lr, **numbers, **flags)

    def update(
        parameter: Tensor, gradient: Tensor, state: State, lr: Tensor, numbers: dict[str, Tensor]
    ) -> tuple[Tensor, State]:
        return rule.update(parameter, gradient, state, lr, **numbers, **flags)

    stack, states = start, vmap(init)(start, rates, numbers)
    for gradient in gradients:
        stack, states = vmap(update)(stack, gradient, states, rates, numbers)

    for run in range(4):
        lr, hyper = rates[run].item(), {key: values[run].item() for key, values in numbers.items()} | flags
        alone, state = start[run], rule.init(start[run], lr, **hyper)
        for gradient in gradients[:, run]:
            alone, state = rule.update(alone, gradient, state, lr, **hyper)
        torch.testing.assert_close(stack[run], alone, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close({k: v[run] for k, v in states.items()}, state, rtol=tolerance, atol=tolerance)


def test_a_run_without_momentum_has_no_dampening_in_a_stack_either():
    def second_place(momentum: Tensor, dampening: Tensor) -> Tensor:
        place, state = torch.zeros(1), RULES["sgd"].init(torch.zeros(1), 0.1)
        for _ in range(2):
            place, state = RULES["sgd"].update(place, torch.ones(1), state, 0.1, momentum=momentum, dampening=dampening)
        return place

    places = vmap(second_place)(torch.tensor([0.0, 0.9]), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(places, torch.tensor([[-0.1 - 0.1], [-0.1 - 0.1 * (0.9 + 0.5)]]))


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_in_stays_as_it_is(name):
    rule, hyper = RULES[name], default_of(name, torch.float32) | dict.fromkeys(RULES[name].flags, True)
    parameter, gradient = torch.ones(2, 3), torch.full((2, 3), 0.5)
    _, state = rule.update(parameter, gradient, rule.init(parameter, 0.1, **hyper), 0.1, **hyper)
    before = {key: value.clone() for key, value in state.items()}
    rule.update(parameter, gradient, state, 0.1, **hyper)
    assert all(torch.equal(state[key], before[key]) for key in before)
    assert parameter.eq(1).all()
    assert gradient.eq(0.5).all()


# ---------------------------------------------------------------- from configs to rules


def test_every_optimizer_of_torch_but_lbfgs_is_a_rule():
    classes = {name: getattr(cls, "torch_class", None) for name, cls in options("optimizer").items()}
    torchs = {name for name, cls in classes.items() if cls in vars(torch.optim).values()}
    assert torchs - {"lbfgs"} <= set(RULES) <= set(classes)


@pytest.mark.parametrize("name", NAMES)
def test_flags_are_the_configs_switches(name):
    switches = {key for key, value in default_of(name, torch.float32).items() if isinstance(value, bool)}
    assert set(RULES[name].flags) == switches


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_the_configs(name):
    arguments = inspect.signature(RULES[name].update).parameters.values()
    defaults = {a.name: a.default for a in arguments if a.kind is a.KEYWORD_ONLY and a.name != "bias_correction"}
    expected = default_of(name, torch.float32)
    if name == "adafactor":
        assert defaults.pop("eps1") is inspect.Parameter.empty  # depends on the precision
        expected.pop("eps1")
    assert defaults == expected


def test_hyper_parameters_are_floats_and_flags():
    hyper = hyper_of(SGDConfig(momentum=0, nesterov=False))
    assert hyper == {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
    assert {key: type(value) for key, value in hyper.items() if key != "nesterov"} == dict.fromkeys(
        ("momentum", "dampening", "weight_decay"), float
    )
    assert hyper["nesterov"] is False
    assert "lr" not in hyper_of(AdamConfig())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adafactors_null_is_the_smallest_step_of_the_precision(dtype):
    assert hyper_of(AdafactorConfig(), dtype)["eps1"] == torch.finfo(dtype).eps
    assert hyper_of(AdafactorConfig(eps1=0.5), dtype)["eps1"] == 0.5


def test_adafactors_rate_falls_with_the_root_of_the_update_once_it_is_below_lr():
    place = torch.full((2, 3), 4.0, dtype=torch.float64)
    parameter = torch.nn.Parameter(place.clone())
    optimizer = torch.optim.Adafactor([parameter], lr=0.6)  # above 1/√t from the third update on
    hyper = hyper_of(AdafactorConfig(), torch.float64)
    state = RULES["adafactor"].init(place, 0.6, **hyper)
    for gradient in gradients_like(place, 6):
        parameter.grad = gradient.clone()
        optimizer.step()
        place, state = RULES["adafactor"].update(place, gradient, state, 0.6, **hyper)
        torch.testing.assert_close(place, parameter.detach(), rtol=1e-12, atol=1e-12)
