import dataclasses
import doctest
import importlib
import inspect
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from deeprob.config import name_of, options
from deeprob.optim import AdafactorConfig, AdamConfig, SGDConfig
from deeprob.optim.base import OptimizerConfig
from deeprob.optim.rules import RULES, Number, columns, decay, hyper_of, step
from deeprob.optim.rules.base import decaying, power

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
    place, places = torch.full((1, 1), start, dtype=torch.float64), []
    state = RULES[name].init(place, lr, **hyper)
    for t, gradient in enumerate(gradients, 1):
        step(RULES[name], place, torch.full_like(place, gradient), state, t, lr, **hyper)
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


@pytest.mark.parametrize("module", ["rules", "rules.gradient_descent", "rules.adaptive", "rules.moments"])
def test_the_examples_in_the_docstrings(module):
    names = {"torch": torch, "np": np, "step": step}
    result = doctest.testmod(importlib.import_module(f"deeprob.optim.{module}"), extraglobs=names)
    assert result.attempted > 0
    assert result.failed == 0


# ---------------------------------------------------------------- step by step against torch.optim


def largest_deviation(ours: Tensor, theirs: Tensor | float) -> float:
    """The largest difference as a share of the largest entry."""
    theirs = torch.as_tensor(theirs)
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=torch.finfo(ours.dtype).tiny)).item()


def deviations_from_torch(config: OptimizerConfig, start: Tensor, steps: int = STEPS) -> Iterator[float]:
    """How far a parameter and its state are from torch's, update by update, under a falling rate."""
    rule, hyper = RULES[name_of(config)], hyper_of(config, start.dtype)
    if start.dim() < 2 and "weight_decay" in hyper:
        hyper["weight_decay"] = 0.0
    theirs = nn.Parameter(start.clone())
    optimizer = config.build([theirs])
    (group,) = optimizer.param_groups
    ours = start[None].clone() if rule.shaped else start.reshape(1, -1).clone()
    state = rule.init(ours, config.lr, **hyper)
    for t, gradient in enumerate(gradients_like(start, steps), 1):
        group["lr"] = config.lr * (1 - 0.5 * (t - 1) / steps)
        theirs.grad = gradient.clone()
        optimizer.step()
        step(rule, ours, gradient.view_as(ours).clone(), state, t, group["lr"], **hyper)
        yield largest_deviation(ours.view_as(start), theirs.detach())
        kept = {key: value for key, value in optimizer.state[theirs].items() if value is not None and key != "step"}
        assert state.keys() == kept.keys()
        for key, value in kept.items():
            assert (state[key].dtype, state[key].numel()) == (value.dtype, value.numel())
            yield largest_deviation(state[key].view_as(value), value)


@pytest.fixture
def _default_precision(dtype):
    """`dtype` is also that of the numbers in torch's states: NAdam's product of μ, ASGD's η."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("_default_precision")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("config", list(cases()), ids=words)
def test_fifty_steps_are_torchs(config, dtype, tolerance):
    matrix, vector = torch.linspace(-1, 2, 12).view(3, 4), torch.linspace(-1, 1, 5)
    if name_of(config) == "rprop":
        tolerance = 0
    for start in (matrix, vector):
        assert all(deviation <= tolerance for deviation in deviations_from_torch(config, start))


@pytest.mark.parametrize("name", ["asgd", "nadam"])
def test_numbers_of_a_state_are_torchs_if_weights_are_more_exact_than_they(name):
    config = options("optimizer")[name](**OTHER_NUMBERS[name])
    start = torch.linspace(-1, 2, 12, dtype=torch.float64)
    assert torch.get_default_dtype() == torch.float32
    assert all(deviation <= 1e-12 for deviation in deviations_from_torch(config, start))


@pytest.mark.usefixtures("_default_precision")
@pytest.mark.parametrize("dtype", [torch.float64], ids=str)
@pytest.mark.parametrize(("name", "kept"), [("asgd", "eta"), ("nadam", "mu_product")])
def test_numbers_of_a_state_are_torchs_if_they_are_more_exact_than_weights(name, kept, dtype):
    config = options("optimizer")[name](**OTHER_NUMBERS[name])
    theirs = nn.Parameter(torch.ones(3, dtype=torch.float32))
    optimizer, hyper = config.build([theirs]), hyper_of(config)
    ours = torch.ones(1, 3, dtype=torch.float32)
    state = RULES[name].init(ours, config.lr, **hyper)
    for t in (1, 2, 3):
        theirs.grad = torch.ones_like(theirs)
        optimizer.step()
        step(RULES[name], ours, torch.ones_like(ours), state, t, config.lr, **hyper)
        assert state[kept].dtype == dtype
        assert state[kept].item() == pytest.approx(optimizer.state[theirs][kept].item(), rel=1e-14)


# ---------------------------------------------------------------- many runs at once

UPDATES = 12
STACKS = ([0], [5], [3, 4], [20, 2, 11], range(7), range(27))  # runs of a stack


def numbers_of(name: str, dtype: torch.dtype, runs: int) -> dict[str, np.ndarray]:
    """Values of each hyper-parameter that is a number, one a run, from the default to another one."""
    first = {key: value for key, value in default_of(name, dtype).items() if key not in RULES[name].flags}
    last = {key: OTHER_NUMBERS.get(name, {}).get(key, 0.1) for key in first}  # 0.1 for weight_decay
    share = np.linspace(0, 1, runs)
    return {key: first[key] + share * (last[key] - first[key]) for key in first}


def default_of(name: str, dtype: torch.dtype) -> dict[str, float | bool]:
    return hyper_of(options("optimizer")[name](), dtype)


def flags_of(name: str) -> Iterator[dict[str, bool]]:
    flags = RULES[name].flags
    return (dict(zip(flags, values, strict=True)) for values in itertools.product([False, True], repeat=len(flags)))


def after_updates(
    name: str, start: Tensor, gradients: Tensor, lr: Number, hyper: dict[str, Number | bool]
) -> dict[str, Tensor]:
    """Weights and state of a stack after updates, under a rate that falls."""
    rule, weights = RULES[name], as_part(start)
    state = rule.init(weights, lr, **hyper)
    for t, gradient in enumerate(gradients, 1):
        step(rule, weights, as_part(gradient), state, t, lr * (1 - 0.05 * t), **hyper)
    return {"weights": weights, **state}


def as_part(values: Tensor) -> Tensor:
    """A copy that is part of a larger tensor, as one parameter is part of all parameters of its run."""
    runs = len(values)
    flat = values.reshape(runs, -1)
    return torch.cat([flat[:, :1], flat], 1)[:, 1:].view(values.shape)


def shapes_of(name: str) -> list[tuple[int, ...]]:
    """Shapes of a run's weights, none a multiple of what a processor takes at once."""
    return [(7, 3), (37,), (1, 5), (5, 1)] if RULES[name].shaped else [(1,), (37,)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("name", "flags"), [(n, flags) for n in NAMES for flags in flags_of(n)], ids=str)
def test_a_run_has_the_same_bits_in_every_stack(name, flags, dtype):
    for shape in shapes_of(name):
        start = torch.linspace(-1, 2, 27 * math.prod(shape), dtype=dtype).view(27, *shape)
        gradients = gradients_like(start, UPDATES)
        rates, numbers = np.linspace(0.01, 0.04, 27), numbers_of(name, dtype, 27)
        alone = [
            after_updates(
                name,
                start[run : run + 1],
                gradients[:, run : run + 1],
                rates[run].item(),
                {key: values[run].item() for key, values in numbers.items()} | flags,
            )
            for run in range(27)
        ]
        assert all(found.isfinite().all() for found in alone[13].values())
        for runs in map(list, STACKS):
            hyper = {key: values[runs] for key, values in numbers.items()} | flags
            stack = after_updates(name, start[runs], gradients[:, runs], rates[runs], hyper)
            for row, run in enumerate(runs):
                for key, values in alone[run].items():  # a stack may have more: the momentum of other runs
                    assert torch.equal(stack[key][row], values[0]), (key, len(runs), run)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("name", "flags"), [(n, flags) for n in NAMES for flags in flags_of(n)], ids=str)
def test_a_number_that_all_runs_share_gives_the_bits_of_one_number_a_run(name, flags, dtype):
    for shape in shapes_of(name):
        start = torch.linspace(-1, 2, 7 * math.prod(shape), dtype=dtype).view(7, *shape)
        gradients = gradients_like(start, UPDATES)
        numbers = numbers_of(name, dtype, 3)
        shared = {key: values[1].item() for key, values in numbers.items()}
        expected = after_updates(name, start, gradients, 0.02, shared | flags)
        for own in (set(), *({key} for key in numbers), set(numbers)):  # numbers that are one a run
            hyper = {key: np.full(7, value) if key in own else value for key, value in shared.items()} | flags
            found = after_updates(name, start, gradients, np.full(7, 0.02), hyper)
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[key], expected[key]) for key in expected), own


def test_powers_are_those_of_a_run_alone_at_every_place_of_an_array():
    bases = np.linspace(0.5, 0.9999, 1001)
    for t in (2, 3, 17, 1001):
        assert power(bases, t).tolist() == [base**t for base in bases.tolist()]
    assert power(0.96, bases).tolist() == [0.96**exponent for exponent in bases.tolist()]


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_momentum_is_kept_if_a_run_has_some(name):
    weights = torch.zeros(2, 3)
    assert "momentum_buffer" not in RULES[name].init(weights, 0.1, momentum=np.zeros(2))
    assert "momentum_buffer" in RULES[name].init(weights, 0.1, momentum=np.array([0.0, 0.9]))


def test_a_run_without_momentum_has_no_dampening_in_a_stack_either():
    places = torch.zeros(2, 1)
    hyper = {"momentum": np.array([0.0, 0.9]), "dampening": np.array([0.5, 0.5])}
    state = RULES["sgd"].init(places, 0.1, **hyper)
    for t in (1, 2):
        step(RULES["sgd"], places, torch.ones(2, 1), state, t, 0.1, **hyper)
    torch.testing.assert_close(places, torch.tensor([[-0.1 - 0.1], [-0.1 - 0.1 * (0.9 + 0.5)]]))


def test_each_run_of_a_stack_has_its_own_time_to_rely_on_squared_gradients():
    # ρ is 3 for β₂ = ½, so the run never divides by √v; for 0.999 it does so from the sixth update on
    places = torch.zeros(2, 1, dtype=torch.float64)
    state, beta2, moves = RULES["radam"].init(places, 0.1), np.array([0.5, 0.999]), []
    for t in range(1, 8):
        before = places.clone()
        step(RULES["radam"], places, torch.full_like(places, 8.0), state, t, 0.1, beta2=beta2)
        moves.append((places - before)[:, 0].tolist())
    assert [move[0] for move in moves] == pytest.approx([-0.8] * 7)
    assert [move[1] for move in moves[:5]] == pytest.approx([-0.8] * 5)
    assert all(-0.1 < move[1] < 0 for move in moves[5:])


# ---------------------------------------------------------------- what an update costs and changes


class Counted(TorchDispatchMode):
    """Counts the tensor operations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


OPERATIONS = {
    "adadelta": 10, "adagrad": 5, "adam": 7, "adamax": 7, "adamw": 7, "asgd": 8,
    "nadam": 18, "radam": 7, "rmsprop": 6, "rprop": 12, "sgd": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_update_takes_few_operations(name):
    rule, weights = RULES[name], torch.ones(2, 6)
    gradient, state = torch.ones(2, 6), rule.init(weights, 0.1)
    c = columns(rule.coefficients(1, 0.1), weights, rule.wide)
    with Counted() as counted:
        rule.update(weights, gradient, state, c)
    assert counted.operations <= OPERATIONS[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_update_keeps_every_tensor_in_its_place(name):
    rule, hyper = RULES[name], default_of(name, torch.float32) | dict.fromkeys(RULES[name].flags, True)
    hyper |= {"momentum": 0.9} if "momentum" in hyper else {}
    weights = torch.ones(2, 3, 2) if rule.shaped else torch.ones(2, 6)
    state = rule.init(weights, 0.1, **hyper)
    before = {"weights": weights, **state}
    values = {key: tensor.clone() for key, tensor in before.items()}
    for t in (1, 2, 3):
        step(rule, weights, torch.full_like(weights, -1.5 * t), state, t, 0.1, **hyper)
    assert state.keys() | {"weights"} == before.keys()
    assert all(state[key] is before[key] for key in state)
    changed = {key for key, tensor in before.items() if not torch.equal(tensor, values[key])}
    assert changed == before.keys() - ({"mu"} if name == "asgd" else set())  # μ is 1 until update t0


@pytest.mark.parametrize("name", NAMES)
def test_coefficients_stay_as_they_are(name):
    rule, hyper = RULES[name], default_of(name, torch.float32) | dict.fromkeys(RULES[name].flags, True)
    hyper |= {"momentum": 0.9} if "momentum" in hyper else {}
    weights = torch.ones(2, 3, 2) if rule.shaped else torch.ones(2, 6)
    c = columns(rule.coefficients(1, 0.1, **hyper), weights, rule.wide)
    before = {key: value.clone() for key, value in c.items()}
    rule.update(weights, torch.full_like(weights, 0.5), rule.init(weights, 0.1, **hyper), c)
    assert all(torch.equal(c[key], before[key]) for key in before)


def test_coefficients_as_columns():
    numbers = {"shared": 0.1, "own": np.array([0.1, 0.2]), "exact": 0.1}
    for like, ones in ((torch.zeros(2, 5), (1,)), (torch.zeros(2, 3, 4), (1, 1))):
        c = columns(numbers, like, wide=("exact",))
        assert {key: value.shape for key, value in c.items()} == {
            "shared": (1, *ones),
            "own": (2, *ones),
            "exact": (1, *ones),
        }
        assert {key: value.dtype for key, value in c.items()} == {
            "shared": torch.float32, "own": torch.float32, "exact": torch.float64,
        }  # fmt: skip
        assert c["own"].flatten().tolist() == torch.tensor([0.1, 0.2]).tolist()
        assert c["exact"].item() == 0.1


# ---------------------------------------------------------------- weight decay


def test_weight_decay_by_hand():
    for name, expected in (("weight_decay", (2.0, 2.0)), ("shrink", (1.9, 1.0))):
        weights, gradient = torch.full((1, 1), 2.0), torch.ones(1, 1)
        decay(weights, gradient, columns(decaying(0.1, 0.5, decoupled=name == "shrink"), weights))
        assert (weights.item(), gradient.item()) == pytest.approx(expected)


DECAYED = [name for name in NAMES if "weight_decay" in RULES[name].coefficients.__kwdefaults__]


@pytest.mark.parametrize("name", DECAYED)
@pytest.mark.parametrize("decoupled", [False, True])
def test_weight_decay_is_one_coefficient_if_a_run_has_some(name, decoupled):
    hyper = default_of(name, torch.float32)
    if "decoupled_weight_decay" in hyper:
        hyper["decoupled_weight_decay"] = decoupled
    else:
        decoupled = name in ("adamw", "adafactor")
    for none in (0.0, np.zeros(2)):
        without = RULES[name].coefficients(1, 0.1, **hyper | {"weight_decay": none})
        assert not {"weight_decay", "shrink"} & without.keys()
    c = RULES[name].coefficients(1, 0.1, **hyper | {"weight_decay": np.array([0.0, 0.5])})
    assert {"weight_decay", "shrink"} & c.keys() == {"shrink" if decoupled else "weight_decay"}
    if decoupled:
        assert c["shrink"].tolist() == pytest.approx([1.0, 0.95])
    else:
        assert c["weight_decay"].tolist() == [0.0, 0.5]


def test_adafactors_vectors_are_no_weights():
    vector, other = torch.ones(1, 3), torch.ones(1, 3)
    for parameter, weight_decay in ((vector, 0.5), (other, 0.0)):
        state = RULES["adafactor"].init(parameter, 0.1)
        step(RULES["adafactor"], parameter, torch.ones(1, 3), state, 1, 0.1, eps1=1e-7, weight_decay=weight_decay)
    assert torch.equal(vector, other)


def test_adafactors_weights_may_vanish():
    # lr·λ = 1: w ← 0 − α·x, and of the size of w only the lower bound ε₂ is left; x = 1
    weights = torch.ones(1, 2, 2)
    state = RULES["adafactor"].init(weights, 0.1)
    step(RULES["adafactor"], weights, torch.ones(1, 2, 2), state, 1, 0.1, eps1=1e-7, weight_decay=10.0)
    torch.testing.assert_close(weights, torch.full((1, 2, 2), -1e-3 * 0.1))


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
    arguments = inspect.signature(RULES[name].coefficients).parameters.values()
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
    ours = place[None].clone()
    state = RULES["adafactor"].init(ours, 0.6, **hyper)
    for t, gradient in enumerate(gradients_like(place, 6), 1):
        parameter.grad = gradient.clone()
        optimizer.step()
        step(RULES["adafactor"], ours, gradient[None].clone(), state, t, 0.6, **hyper)
        torch.testing.assert_close(ours[0], parameter.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_rate_of_nearly_0_moves_nothing_also_where_all_gradients_were_0(name, dtype):
    for lr in (0.0, 1e-300, np.array([0.0, 1e-300])):
        place, gradient = torch.ones(2, 3, dtype=dtype), torch.tensor([[0.0, 1e-20, 5.0]] * 2, dtype=dtype)
        state = RULES[name].init(place, lr)
        for t in (1, 2):
            step(RULES[name], place, gradient.clone(), state, t, lr, weight_decay=0.0)
        assert torch.equal(place, torch.ones(2, 3, dtype=dtype))
        assert state["exp_avg"].isfinite().all()
