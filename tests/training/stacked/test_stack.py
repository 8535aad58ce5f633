"""Runs laid into one tensor each: what lies where, and what stays each run's own."""

import pytest
import torch
from deeprob.training.stacked.stack import WHOLE, Stack, columns, templates

from deeprob.config import options
from deeprob.objective import NoneConfig
from deeprob.optim import AdafactorConfig, AdamConfig, ASGDConfig, NAdamConfig, SGDConfig
from deeprob.optim.rules import RULES

COUNTS = [2 * 8, 8, 8 * 8, 8, 8 * 3, 3]  # weights and biases of 2-8-8-3


@pytest.fixture
def stack_of(bench, spec):
    """Make a stack of runs, one for each optimizer's config; returns it with the weights as they were."""

    def make(*optimizers, varying=(), steps=0, **model):
        members = [bench.member(spec.but(seed=run, optimizer=o, model=model)) for run, o in enumerate(optimizers)]
        for member in members:
            bench.alone(member, interrupted=lambda member=member: member.state.step == steps) if steps else None
        before = [{n: p.detach().clone() for n, p in member.state.parameters.items()} for member in members]
        return Stack([member.state for member in members], optimizers, varying), before

    return make


def test_parameters_lie_one_after_another_and_states_are_views(stack_of):
    stack, before = stack_of(AdamConfig(), AdamConfig())
    assert len(stack) == 2
    assert stack.parameters.shape == (2, sum(COUNTS))
    for run, state in enumerate(stack.states):
        assert torch.equal(stack.parameters[run], torch.cat([tensor.flatten() for tensor in before[run].values()]))
        assert all(torch.equal(parameter, before[run][name]) for name, parameter in state.parameters.items())
    stack.parameters[1] = 7.0
    assert all((parameter == 7).all() for parameter in stack.states[1].parameters.values())
    assert not any((parameter == 7).all() for parameter in stack.states[0].parameters.values())
    stack.frozen[1], stack.sums[0, 2] = 1, 5.0
    assert (stack.states[0].frozen, stack.states[1].frozen) == (0, 1)
    assert stack.states[0].meters.state_dict()["sums"].tolist() == [0, 0, 5, 0, 0, 0]


def test_only_entries_of_weight_matrices_decay(stack_of):
    stack, _ = stack_of(AdamConfig(), AdamConfig(), norm="batch")
    flags = {name: float(shape.numel() > 0 and len(shape) == 2) for name, shape in stack.shapes.items()}
    for name, decays in stack.named(stack.decays).items():
        assert (decays == flags[name]).all()
    assert sum(flags.values()) == 3 < len(flags)


def test_buffers_are_views_too(stack_of):
    stack, _ = stack_of(AdamConfig(), AdamConfig(), norm="batch")
    name, buffer = next(iter(stack.buffers.items()))
    assert buffer.shape[0] == 2
    buffer[1] = 3
    assert (dict(stack.states[1].model.named_buffers())[name] == 3).all()
    assert not (dict(stack.states[0].model.named_buffers())[name] == 3).all()


def test_named_and_joined_are_inverse(stack_of):
    for config in (AdamConfig(), AdafactorConfig()):
        stack, before = stack_of(config, config)
        blocks = stack.blocks(stack.parameters)
        assert set(blocks) == (set(before[0]) if isinstance(config, AdafactorConfig) else {WHOLE})
        assert torch.equal(stack.joined(blocks, 2), stack.parameters)
        assert {name: tensor.shape for name, tensor in stack.named(stack.decays).items()} == stack.shapes


def test_numbers_that_differ_are_a_tensor_and_the_others_are_shared(stack_of):
    configs = [AdamConfig(lr=0.1, beta1=0.5), AdamConfig(lr=0.2, beta1=0.25)]
    stack, _ = stack_of(*configs, varying=("eps",))
    assert stack.lr.tolist() == [0.1, 0.2]
    assert stack.lr.dtype == torch.float64
    assert {name: values.tolist() for name, values in stack.hyper.items()} == {"beta1": [0.5, 0.25], "eps": [1e-8] * 2}
    assert stack.fixed["beta2"] == 0.999
    assert not {"lr", "beta1", "eps"} & stack.fixed.keys()


def test_weight_decay_is_a_number_an_entry(stack_of):
    decays = torch.tensor([1.0, 0.0])
    stack, _ = stack_of(AdamConfig(weight_decay=0.5), AdamConfig(weight_decay=0.5))
    assert stack.settings({}, decays)["weight_decay"].tolist() == [0.5, 0.0]
    assert stack.settings({"weight_decay": torch.tensor(0.25)}, decays)["weight_decay"].tolist() == [0.25, 0.0]
    stack, _ = stack_of(AdamConfig(), AdamConfig())
    assert stack.settings({}, decays)["weight_decay"] == 0


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("steps", [0, 4])
def test_each_run_keeps_the_optimizer_state_that_torch_has(stack_of, bench, spec, name, steps):
    cls = options("optimizer")[name]
    stack, _ = stack_of(cls(), cls(), steps=steps)
    alone = bench.member(spec.but(seed=1, optimizer=cls()))
    if steps:
        bench.alone(alone, interrupted=lambda: alone.state.step == steps)
    expected = alone.state.optimizer.state_dict()["state"] if steps else alone.state.optimizer_after_an_update()
    state = {place: kept for place, kept in stack.states[1].optimizer.state_dict()["state"].items() if kept}
    assert state.keys() == expected.keys()
    for parameter, values in expected.items():
        assert state[parameter].keys() == values.keys()
        for key, value in values.items():
            mine = state[parameter][key]
            if isinstance(value, torch.Tensor):
                assert (mine.dtype, mine.shape) == (value.dtype, value.shape)
                assert not steps or torch.equal(mine, value)
            else:
                assert (mine is None) == (value is None)
    if not steps:
        assert all(int(values["step"]) == 0 for values in state.values() if "step" in values)


def test_what_torch_has_as_numbers_is_one_a_run(stack_of):
    stack, _ = stack_of(NAdamConfig(), NAdamConfig(), steps=3)
    states = stack.optimizer[WHOLE]
    assert {name: tuple(values.shape) for name, values in states.items()} == {
        "step": (2,), "mu_product": (2,), "exp_avg": (2, sum(COUNTS)), "exp_avg_sq": (2, sum(COUNTS)),
    }  # fmt: skip
    assert states["step"].tolist() == [3, 3]
    product = 1.0
    for t in (1, 2, 3):
        product *= 0.9 * (1 - 0.5 * 0.96 ** (t * 4e-3))
    assert states["mu_product"].tolist() == pytest.approx([product] * 2, rel=1e-6)


def test_the_first_rate_of_asgd_is_each_runs_own(stack_of):
    stack, _ = stack_of(ASGDConfig(lr=0.1), ASGDConfig(lr=0.3))
    assert stack.optimizer[WHOLE]["eta"].tolist() == pytest.approx([0.1, 0.3])


def test_momentum_of_0_keeps_no_sum_of_gradients(stack_of):
    stack, _ = stack_of(SGDConfig(momentum=0.0), SGDConfig(momentum=0.9))
    kept = [state.optimizer.state_dict()["state"].values() for state in stack.states]
    assert not any(isinstance(values.get("momentum_buffer"), torch.Tensor) for values in kept[0])
    assert [isinstance(values["momentum_buffer"], torch.Tensor) for values in kept[1]] == [True] * len(COUNTS)


def test_templates_are_asked_for_once_for_each_pattern_of_zeros(bench, spec, monkeypatch):
    rates = (0.0, 0.5, 0.9, 0.0)
    states = [bench.member(spec.but(optimizer=SGDConfig(momentum=m), regularizer=NoneConfig())).state for m in rates]
    asked = []
    cls = type(states[0])
    original = cls.optimizer_after_an_update
    monkeypatch.setattr(cls, "optimizer_after_an_update", lambda self: asked.append(1) or original(self))
    found = templates(states, {"momentum": columns(rates, torch.device("cpu"))})
    assert len(asked) == 2
    assert [isinstance(t["layers.0.weight"].get("momentum_buffer"), torch.Tensor) for t in found] == [
        False, True, True, False,
    ]  # fmt: skip


def test_weights_and_states_are_as_before(stack_of, bench, spec):
    stack, before = stack_of(AdamConfig(), AdamConfig(), steps=4)
    for run, state in enumerate(stack.states):
        assert state.step == 4
        assert all(torch.equal(parameter, before[run][name]) for name, parameter in state.parameters.items())
