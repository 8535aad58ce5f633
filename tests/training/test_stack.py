"""Runs laid into one tensor each: what lies where, and what stays each run's own."""

import numpy as np
import pytest
import torch

from deeprob.config import options
from deeprob.optim import AdafactorConfig, AdamConfig, ASGDConfig, CosineConfig, NAdamConfig, SGDConfig
from deeprob.optim.rules import RULES
from deeprob.training.stack import WHOLE, Stack, shared

COUNTS = [4 * 6, 6 * 5, 5 * 3, 6, 5, 3]  # weights of 4-6-5-3, then biases
SHAPED = {name for name, rule in RULES.items() if rule.shaped}


@pytest.fixture
def stack_of(bench, spec):
    """Make a stack of runs, one for each optimizer's config; returns it with the weights as they were."""

    def make(*optimizers, steps=0, rule=True, scheduler=None, **model):
        base = spec.but(model=model, **({} if scheduler is None else {"scheduler": scheduler}))
        learners = [bench.learner(base.but(seed=run, optimizer=o)) for run, o in enumerate(optimizers)]
        for learner in learners:
            bench.alone(learner, interrupted=bench.after(steps)) if steps else None
        before = [{n: p.detach().clone() for n, p in learner.state.parameters.items()} for learner in learners]
        return Stack([learner.state for learner in learners], optimizers, rule=rule), before

    return make


def test_parameters_lie_weights_first_and_states_are_views(stack_of):
    stack, before = stack_of(AdamConfig(), AdamConfig())
    assert len(stack) == 2
    assert stack.parameters.shape == stack.gradient.shape == (2, sum(COUNTS))
    assert [shape.numel() for shape in stack.shapes.values()] == COUNTS
    for run, state in enumerate(stack.states):
        assert torch.equal(stack.parameters[run], torch.cat([before[run][name].flatten() for name in stack.shapes]))
        assert all(torch.equal(parameter, before[run][name]) for name, parameter in state.parameters.items())
    stack.parameters[1] = 7.0
    assert all((parameter == 7).all() for parameter in stack.states[1].parameters.values())
    assert not any((parameter == 7).all() for parameter in stack.states[0].parameters.values())
    stack.sums[0, 2] = 5.0
    assert stack.states[0].meters.state_dict()["sums"].tolist() == [0, 0, 5, 0, 0, 0]
    assert not stack.states[1].meters.state_dict()["sums"].any()


def test_weights_are_the_entries_of_matrices(stack_of):
    stack, _ = stack_of(AdamConfig(), AdamConfig(), norm="batch")
    stack.weights.fill_(2.0)
    stack.weights_gradient.fill_(3.0)
    for values, number in ((stack.tensors, 2), (stack.gradients, 3)):
        for name, shape in stack.shapes.items():
            assert (values[name] == number).all() == (len(shape) == 2)
    assert {len(shape) for shape in stack.shapes.values()} == {1, 2}


def test_buffers_are_views_too(stack_of):
    stack, _ = stack_of(AdamConfig(), AdamConfig(), norm="batch", dropout=0.25)
    assert stack.buffers["dropout.rate"].tolist() == [0.25, 0.25]
    for buffer in stack.buffers.values():
        buffer[1] = 3
    for run in (0, 1):
        for name, buffer in stack.states[run].model.named_buffers():
            assert (buffer == 3).all() == (run == 1), name


def test_blocks_are_parameters_only_if_the_rule_needs_their_shapes(stack_of):
    assert {"adafactor"} == SHAPED
    for config in (AdamConfig(), AdafactorConfig()):
        stack, before = stack_of(config, config)
        blocks = stack.blocks(stack.parameters)
        assert set(blocks) == (set(before[0]) if isinstance(config, AdafactorConfig) else {WHOLE})
        assert all(block.untyped_storage().data_ptr() == stack.parameters.data_ptr() for block in blocks.values())
        assert {name: tensor[0].shape for name, tensor in stack.named(stack.gradient).items()} == stack.shapes


def test_numbers_that_differ_are_an_array_and_the_others_are_shared(stack_of):
    stack, _ = stack_of(AdamConfig(lr=0.1, beta1=0.5), AdamConfig(lr=0.2, beta1=0.25))
    assert (stack.lr.tolist(), stack.lr.dtype) == ([0.1, 0.2], np.float64)
    assert stack.hyper["beta1"].tolist() == [0.5, 0.25]
    assert (stack.hyper["beta2"], stack.hyper["amsgrad"], stack.hyper["weight_decay"]) == (0.999, False, 0)
    assert "lr" not in stack.hyper


def test_shared():
    assert shared([0.5, 0.5]) == 0.5
    assert shared([0.5]) == 0.5
    assert shared([0.5, 0.25, 0.5]).tolist() == [0.5, 0.25, 0.5]


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("runs", [1, 2])
def test_each_run_keeps_the_optimizer_state_that_torch_has(stack_of, bench, spec, name, steps, runs):
    cls = options("optimizer")[name]
    stack, _ = stack_of(*[cls()] * runs, steps=steps)
    of_torch = bench.learner(spec.but(seed=runs - 1, optimizer=cls()))
    bench.alone(of_torch, interrupted=bench.after(max(1, steps)), formulas=False)
    expected = of_torch.state.optimizer.state_dict()["state"]
    state = stack.states[-1].optimizer.state_dict()["state"]
    assert {place for place, kept in state.items() if kept} == {place for place, kept in expected.items() if kept}
    for parameter, values in expected.items():
        assert state[parameter].keys() == {key for key, value in values.items() if value is not None}
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                mine = state[parameter][key]
                assert (mine.dtype, mine.shape) == (value.dtype, value.shape) or key == "step"
                if steps:
                    torch.testing.assert_close(mine, value, rtol=1e-7, atol=1e-12, check_dtype=False)
        if "step" in values:
            assert (int(state[parameter]["step"]), int(values["step"])) == (steps, max(1, steps))


@pytest.mark.parametrize("name", sorted(RULES))
def test_torch_goes_on_from_the_state_of_a_stack(bench, spec, name):
    """torch.optim's own step goes on after an update rule, and lands where the rule lands."""
    specs = [spec.but(seed=run, optimizer=options("optimizer")[name]()) for run in range(2)]
    whole, learners = bench.learners(specs), bench.learners(specs)
    bench.together(whole)
    bench.together(learners, interrupted=bench.after(7))
    for one, other, of_run in zip(whole, learners, specs, strict=True):
        goes_on = bench.resumed(of_run, other)
        bench.alone(goes_on, formulas=False)
        assert goes_on.state.step == 15
        for key, parameter in one.state.parameters.items():
            torch.testing.assert_close(goes_on.state.parameters[key], parameter, rtol=1e-9, atol=1e-9)


def test_what_torch_has_as_numbers_is_one_a_run(stack_of):
    stack, _ = stack_of(NAdamConfig(), NAdamConfig(), steps=3)
    states = stack.optimizer[WHOLE]
    assert {name: tuple(values.shape) for name, values in states.items()} == {
        "mu_product": (2, 1), "exp_avg": (2, sum(COUNTS)), "exp_avg_sq": (2, sum(COUNTS)),
    }  # fmt: skip
    assert stack.steps.tolist() == [3, 3]
    product = 1.0
    for t in (1, 2, 3):
        product *= 0.9 * (1 - 0.5 * 0.96 ** (t * 4e-3))
    assert states["mu_product"].flatten().tolist() == pytest.approx([product] * 2, rel=1e-6)


def test_the_first_rate_of_asgd_is_each_runs_own(stack_of):
    stack, _ = stack_of(ASGDConfig(lr=0.1), ASGDConfig(lr=0.3))
    assert stack.optimizer[WHOLE]["eta"].flatten().tolist() == pytest.approx([0.1, 0.3])
    stack, _ = stack_of(ASGDConfig(lr=0.1), ASGDConfig(lr=0.3), scheduler=CosineConfig(warmup=0.2))
    assert stack.optimizer[WHOLE]["eta"].flatten().tolist() == pytest.approx([0.1 / 3, 0.1])  # 3 updates of warm-up


def test_momentum_of_0_keeps_no_sum_of_gradients(stack_of):
    stack, _ = stack_of(SGDConfig(momentum=0.0), SGDConfig(momentum=0.9))
    kept = [list(state.optimizer.state_dict()["state"].values()) for state in stack.states]
    assert not any(isinstance(values.get("momentum_buffer"), torch.Tensor) for values in kept[0])
    assert [isinstance(values["momentum_buffer"], torch.Tensor) for values in kept[1]] == [True] * len(COUNTS)


def test_what_an_update_changes(stack_of):
    stack, _ = stack_of(AdamConfig(amsgrad=True), AdamConfig(amsgrad=True), norm="batch")
    found = [tensor.data_ptr() for tensor in stack.changing()]
    assert len(found) == len(set(found)) == 1 + 2 * 3 + 1 + 3  # parameters, buffers of two norms, rate, moments
    assert stack.parameters.data_ptr() in found
    assert {state.data_ptr() for state in stack.optimizer[WHOLE].values()} <= set(found)
    assert not {stack.sums.data_ptr(), stack.gradient.data_ptr()} & set(found)


@pytest.mark.parametrize("rule", [True, False])
def test_weights_and_states_are_as_before(stack_of, rule):
    stack, before = stack_of(*[AdamConfig()] * (2 if rule else 1), steps=4, rule=rule)
    for run, state in enumerate(stack.states):
        assert state.step == 4
        assert all(torch.equal(parameter, before[run][name]) for name, parameter in state.parameters.items())
    assert stack.steps.tolist() == [4] * len(stack)


def test_without_a_rule_torch_finds_gradients_and_keeps_its_state(stack_of):
    stack, _ = stack_of(AdamConfig(), rule=False)
    assert (stack.rule, stack.optimizer, stack.hyper) == (None, {}, {})
    stack.gradient.fill_(2.0)
    assert all((parameter.grad == 2).all() for parameter in stack.states[0].parameters.values())
    assert stack.states[0].optimizer.state_dict()["state"] == {}
