"""One update of all runs: what it measures and changes, by hand. See also test_loop.py and test_company.py."""

from dataclasses import dataclass

import pytest
import torch

from deeprob.errors import UserError
from deeprob.features.raw import Raw
from deeprob.models.linear import LinearConfig
from deeprob.objective import L1Config, L2Config, NoneConfig, Objective, SquaredErrorConfig
from deeprob.optim import (
    AdafactorConfig,
    AdamConfig,
    AdamWConfig,
    LBFGSConfig,
    NAdamConfig,
    OptimizerConfig,
    Schedule,
    SGDConfig,
)
from deeprob.training import TrainState
from deeprob.training.draws import Batch
from deeprob.training.gradient import AutogradGradient, FormulaGradient, Terms, VmapGradient
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.stack import NotTogether
from deeprob.training.update import PROXIMAL_LR, Update

NONE = NoneConfig()


def learner(config, regularizer=NONE, schedule=lambda step: 1.0) -> Learner:
    """A run with one weight w = 2 and one bias 0, by squared error."""
    model = LinearConfig().build(1, 1, torch.Generator()).double()
    with torch.no_grad():
        model.layer.weight.fill_(2.0)
        model.layer.bias.fill_(0.0)
    optimizer = config.build(model.parameters())
    state = TrainState.start(model, optimizer, Schedule(schedule), torch.device("cpu"), accuracy=False)
    return Learner(state, Objective(SquaredErrorConfig().build(), regularizer.build()), config, 0)


@pytest.fixture(params=[True, False], ids=["formulas", "autograd"])
def update_of(request):
    """Make the update of some runs."""

    def make(*learners, plan=10):
        settings = LoopSettings(epochs=1, batch_size=9, chunk_size=9, log_every=1, formulas=request.param)
        update = Update.of(learners, Raw((1,), "none").double(), settings)
        update.plan(0, plan)
        return update

    return make


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def batch(runs: int = 1, inputs=((1.0,),)) -> Batch:
    """The same examples for all runs, with targets 0."""
    values = torch.tensor(inputs, dtype=torch.float64)
    return Batch(values.expand(runs, *values.shape), torch.zeros(runs, len(values), 1).double(), None)


def parameters(update) -> list[list[float]]:
    return update.stack.parameters.tolist()


def test_one_update_of_two_runs_by_hand(update_of):
    # L = (wx + b)² + λw², w = 2, x = 1: 4 and 4 + 2; ∂w = 4 + 4λ, ∂b = 4
    update = update_of(learner(SGDConfig(lr=0.1)), learner(SGDConfig(lr=0.2), L2Config(strength=0.5)))
    update(batch(2), 0)
    assert parameters(update) == [pytest.approx([2 - 0.4, -0.4]), pytest.approx([2 - 1.2, -0.8])]
    assert update.stack.sums[0].tolist() == pytest.approx([0, 4, 0, 0, 32**0.5, 0])
    assert update.stack.sums[1].tolist() == pytest.approx([0, 4, 2, 0, 52**0.5, 0])
    assert update.gradient.evaluations == 1


def test_one_update_of_a_run_alone_by_hand(update_of):
    update = update_of(learner(SGDConfig(lr=0.1), L2Config(strength=0.5)))
    update(batch(), 0)
    assert parameters(update) == [pytest.approx([2 - 0.6, -0.4])]
    assert update.stack.sums.tolist() == [pytest.approx([0, 4, 2, 0, 52**0.5, 0])]


def test_sums_weigh_losses_by_examples_and_norms_by_updates(update_of):
    update = update_of(learner(SGDConfig(lr=1e-300)))
    update(batch(inputs=((1.0,), (0.0,))), 0)  # losses 4 and 0: ∂w = ∂b = 2
    update(batch(inputs=((1.0,), (1.0,), (0.5,))), 1)  # losses 4, 4 and 1: ∂w = 4·2¼/3 = 3, ∂b = 4·2.5/3
    expected = [0, 4 + 9, 0, 0, 8**0.5 + (3**2 + (10 / 3) ** 2) ** 0.5, 0]
    assert update.stack.sums[0].tolist() == pytest.approx(expected)


def test_measure_adds_what_it_is_given(update_of):
    update = update_of(learner(SGDConfig()), learner(SGDConfig()))
    update.stack.gradient.copy_(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    update.measure(Terms(torch.tensor([1.0, 2.0]), 1, torch.tensor([0.5, 0.0]), torch.tensor([3, 1])), 4)  # means
    update.measure(Terms(torch.tensor([2.0, 4.0]), 2, None, torch.tensor([0.5, 0.0])), 2)  # sums over two examples
    # accuracy is a share of the examples, which `Meters` divides by: the number of correct ones counts once
    assert update.stack.sums[:, :3].tolist() == [[0, 4 + 2, 4 * 0.5], [0, 8 + 4, 0]]
    assert update.stack.sums[:, 3].tolist() == [3 + 0.5, 1]
    assert update.stack.sums[:, 4:].tolist() == [[10, 0], [4, 0]]


def test_weight_decay_spares_the_bias(update_of):
    for config, decayed in ((SGDConfig, 2 - 0.7), (AdamWConfig, 2 * (1 - 0.05) - 0.1)):
        for others in ((), (learner(config(lr=0.1, weight_decay=0.0)),)):
            update = update_of(learner(config(lr=0.1, weight_decay=0.5)), *others)
            update.stack.parameters[:, 1] = 1.0
            update(batch(1 + len(others)), 0)
            # ∂w = 2·3 + 0.5·2 = 7, ∂b = 6; the first step of AdamW is of length α
            assert parameters(update)[0] == pytest.approx([decayed, 1 - (0.6 if config is SGDConfig else 0.1)])
            if others:
                assert parameters(update)[1][0] == pytest.approx(2 - (0.6 if config is SGDConfig else 0.1))


def test_the_proximal_step_shrinks_weights_alone(update_of):
    # 2 − 0.1·4 = 1.6, then − 0.1·3 = 1.3; the bias is −0.4
    alone = update_of(learner(SGDConfig(lr=0.1), L1Config(strength=3.0, proximal=True)))
    alone(batch(), 0)
    assert parameters(alone) == [pytest.approx([1.3, -0.4])]
    regularizers = [L1Config(strength=s, proximal=True) for s in (3.0, 100.0)]
    update = update_of(*(learner(SGDConfig(lr=0.1), r) for r in (*regularizers, NONE)))
    update(batch(3), 0)
    assert parameters(update) == [pytest.approx([1.3, -0.4]), pytest.approx([0, -0.4]), pytest.approx([1.6, -0.4])]
    assert update.stack.sums[:, 2].tolist() == pytest.approx([6, 200, 0])


def test_the_proximal_step_has_the_scheduled_rate(update_of):
    for others in (0, 1):
        lasso, halving = L1Config(strength=3.0, proximal=True), lambda step: 0.5**step
        update = update_of(*(learner(SGDConfig(lr=0.1), lasso, halving) for _ in range(1 + others)))
        update(batch(1 + others, ((0.0,),)), 1)  # no gradient by w
        assert parameters(update)[0] == pytest.approx([2 - 0.05 * 3, 0])


def test_rates_are_those_of_each_schedule(update_of):
    half, third = lambda step: 0.5**step, lambda step: 1 / (3 + step)
    alone = update_of(learner(SGDConfig(lr=4.0), schedule=half))
    assert (alone.rates(0), alone.rates(2)) == (4, 1)
    update = update_of(*(learner(SGDConfig(lr=lr), schedule=s) for lr, s in ((1.0, half), (2.0, third), (4.0, half))))
    assert update.rates(1).tolist() == [0.5, 0.5, 2.0]
    assert update.rates(2).tolist() == [0.25, 0.4, 1.0]
    same = update_of(learner(SGDConfig(lr=0.5)), learner(SGDConfig(lr=0.5)))
    assert same.rates(3) == 0.5  # one number for all


@pytest.mark.parametrize("config", [SGDConfig(lr=1.0), AdafactorConfig(lr=1.0)], ids=str)
def test_an_update_has_the_rate_of_its_number_however_it_was_planned(update_of, config):
    def walk(*plans):
        update = update_of(learner(config, schedule=lambda step: 0.1 * 0.5**step), plan=1)
        for first, last in plans:
            update.plan(first, last)
            for step in range(first, last):
                update(batch(), step)
        return parameters(update)

    assert walk((0, 6)) == walk((0, 1), (1, 5), (5, 6)) != walk((0, 1), (2, 7))


def test_the_measures_of_lbfgs_are_those_of_its_first_evaluation(update_of):
    update = update_of(learner(LBFGSConfig(max_iter=5)))
    assert update.stack.rule is None
    update(batch(), 0)
    assert update.stack.sums.tolist() == [pytest.approx([0, 4, 0, 0, 32**0.5, 0])]
    assert update.gradient.evaluations > 1
    assert parameters(update)[0][0] + parameters(update)[0][1] == pytest.approx(0, abs=1e-6)


def test_torch_s_own_optimizer_has_the_scheduled_rate():
    settings = LoopSettings(epochs=1, batch_size=9, chunk_size=9, log_every=1, formulas=False)
    run = learner(SGDConfig(lr=0.1), schedule=lambda step: 0.5**step)
    update = Update.of([run], Raw((1,), "none").double(), settings)
    update(batch(), 2)
    assert parameters(update) == [pytest.approx([2 - 0.1, -0.1])]
    assert [group["lr"] for group in run.state.optimizer.param_groups] == [0.025] * 2


def test_only_a_run_alone_without_formulas_is_torch_s():
    def of(count, config, formulas):
        settings = LoopSettings(epochs=1, batch_size=9, chunk_size=7, log_every=1, formulas=formulas, bf16=formulas)
        update = Update.of([learner(config) for _ in range(count)], None, settings, whole=True)
        assert (update.gradient.chunk_size, update.gradient.bf16) == (7, formulas)
        return type(update.gradient), update.stack.rule is None, update.gradient.halving

    assert of(1, AdamConfig(), True) == (FormulaGradient, False, True)
    assert of(2, AdamConfig(), True) == (FormulaGradient, False, False)
    assert of(1, AdamConfig(), False) == (AutogradGradient, True, True)
    assert of(2, AdamConfig(), False) == (VmapGradient, False, False)
    assert of(1, LBFGSConfig(), True) == (FormulaGradient, True, True)
    assert of(1, LBFGSConfig(), False) == (AutogradGradient, True, True)


def test_a_noisy_model_stands_for_all(bench, spec):
    learners = bench.learners(spec.three(model=[{"dropout": rate} for rate in (0.0, 0.0, 0.5)]))
    update = Update.of(learners, None, LoopSettings(**bench.settings))
    assert update.gradient.model is learners[2].state.model


def test_coefficients_are_columns_of_each_run():
    settings = LoopSettings(epochs=1, batch_size=9, chunk_size=9, log_every=1)
    runs = [learner(SGDConfig(lr=lr), L1Config(strength=1.0, proximal=True)) for lr in (0.1, 0.2)]
    update = Update.of(runs, None, settings)
    update.plan(3, 5)
    update(batch(2), 4)
    assert update._coefficients[PROXIMAL_LR].tolist() == [[0.1], [0.2]]
    assert {tuple(column.shape) for column in update._coefficients.values()} == {(2, 1)}


def test_some_coefficients_are_float64_in_any_precision(single, spec):
    learners = single.learners([spec.but(seed=seed, optimizer=NAdamConfig()) for seed in range(2)])
    update = Update.of(learners, None, LoopSettings(**single.settings))
    update.plan(0, 1)
    wide = update.stack.rule.wide
    assert wide
    for name, column in update._coefficients.items():
        assert column.dtype == (torch.float64 if name in wide else torch.float32)


class Scaled(torch.optim.Optimizer):
    """w ← w − lr·(calls so far)·∂w, after `closures` calls of the closure per step."""

    closures = 1

    def __init__(self, parameters, lr) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure):
        for _ in range(self.closures):
            closure()
        for p in self.param_groups[0]["params"]:
            self.state[p]["count"] = self.state[p].get("count", 0) + 1
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"] * self.state[p]["count"])


@dataclass
class ScaledConfig(OptimizerConfig):
    lr: float = 0.1

    def build(self, parameters):
        return Scaled(parameters, self.lr)


def test_optimizers_of_the_user_make_their_own_steps_in_a_stack(update_of):
    # w = 2, ∂w = ∂b = 4, then 2·(w + b) of the new parameters; the second step has twice the length
    update = update_of(learner(ScaledConfig(lr=0.1)), learner(ScaledConfig(lr=0.05), schedule=lambda step: 1.0 - step))
    update(batch(2), 0)
    assert parameters(update) == [pytest.approx([1.6, -0.4]), pytest.approx([1.8, -0.2])]
    update(batch(2), 1)
    assert parameters(update) == [pytest.approx([1.6 - 0.48, -0.88]), pytest.approx([1.8, -0.2])]
    assert update.gradient.evaluations == 2
    states = [state.optimizer.state_dict()["state"] for state in update.stack.states]
    assert states == [{0: {"count": 2}, 1: {"count": 2}}] * 2


def test_proximal_steps_with_optimizers_of_the_user(update_of):
    # after the step w = 1.6 and 1.8; then w shrinks by lr·λ: 0.1·2 and 0.05·4
    kinds = [L1Config(strength=2.0, proximal=True), L1Config(strength=4.0, proximal=True)]
    both = [learner(ScaledConfig(lr=lr), kind) for lr, kind in zip((0.1, 0.05), kinds, strict=True)]
    update = update_of(*both)
    update(batch(2), 0)
    assert parameters(update) == [pytest.approx([1.4, -0.4]), pytest.approx([1.6, -0.2])]
    alone = update_of(learner(ScaledConfig(lr=0.1), kinds[0]))
    alone(batch(), 0)
    assert parameters(alone) == [pytest.approx([1.4, -0.4])]


def test_what_an_optimizer_in_a_stack_must_not_do(update_of, monkeypatch):
    monkeypatch.setattr(Scaled, "closures", 2)
    update = update_of(learner(ScaledConfig()), learner(ScaledConfig()))
    with pytest.raises(NotTogether, match=r"optimizer=ScaledConfig evaluates L\(W\) several times per update"):
        update(batch(2), 0)
    monkeypatch.setattr(Scaled, "closures", 0)
    for count in (1, 2):
        update = update_of(*(learner(ScaledConfig()) for _ in range(count)))
        with pytest.raises(UserError, match=r"optimizer=ScaledConfig: step\(closure\) never calls closure\(\)"):
            update(batch(count), 0)
