"""One update of a stack: what runs share and what is their own, by hand."""

import pytest
import torch
from deeprob.training.stacked.stack import Stack
from deeprob.training.stacked.update import StackedObjective, StackedUpdate

from deeprob.features.raw import Raw
from deeprob.models.linear import LinearConfig
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    HingeConfig,
    L1Config,
    L2Config,
    NoneConfig,
    Objective,
    SquaredErrorConfig,
)
from deeprob.objective.regularizers import ElasticNet, NoRegularizer
from deeprob.optim import AdamConfig, Schedule, SGDConfig
from deeprob.training import TrainState

LIKE = torch.zeros((), dtype=torch.float64)
ONES, ZEROS = torch.ones(2, 1, 1, dtype=torch.float64), torch.zeros(2, 1, 1, dtype=torch.float64)


def objectives(*regularizers, losses=None):
    losses = losses or [CrossEntropyConfig()] * len(regularizers)
    return [Objective(loss.build(), r.build()) for loss, r in zip(losses, regularizers, strict=True)]


def numbers(stacked):
    return {name: values.tolist() for name, values in stacked.numbers.items()}


# ---------------------------------------------------------------- objectives put together


def test_numbers_that_differ_become_tensors():
    stacked = StackedObjective.of(objectives(L2Config(strength=0.5), L2Config(strength=0.25)), LIKE)
    assert numbers(stacked) == {"l2": [0.5, 0.25]}
    assert stacked.numbers["l2"].dtype == torch.float64
    assert stacked.objective.regularizer.l1 == 0


def test_none_is_a_strength_of_0():
    stacked = StackedObjective.of(objectives(NoneConfig(), L2Config(strength=0.5), L1Config(strength=2.0)), LIKE)
    assert isinstance(stacked.objective.regularizer, ElasticNet)
    assert numbers(stacked) == {"l1": [0, 0, 2], "l2": [0, 0.5, 0]}
    assert not stacked.objective.regularizer.proximal


def test_none_beside_a_proximal_one_takes_its_step_with_strength_0():
    stacked = StackedObjective.of(objectives(NoneConfig(), L1Config(strength=2.0, proximal=True)), LIKE)
    assert stacked.objective.regularizer.proximal
    assert numbers(stacked) == {"l1": [0, 2]}


def test_without_regularizers_there_is_none():
    stacked = StackedObjective.of(objectives(NoneConfig(), NoneConfig()), LIKE)
    assert isinstance(stacked.objective.regularizer, NoRegularizer)
    assert stacked.numbers == {}


def test_what_varies_elsewhere_is_a_tensor_too():
    stacked = StackedObjective.of(objectives(NoneConfig(), NoneConfig()), LIKE, varying={"l2", "label_smoothing"})
    assert numbers(stacked) == {"l2": [0, 0], "label_smoothing": [0, 0]}


def test_numbers_of_losses():
    losses = [HingeConfig(margin=1.0), HingeConfig(margin=2.0)]
    stacked = StackedObjective.of(objectives(NoneConfig(), NoneConfig(), losses=losses), LIKE)
    assert numbers(stacked) == {"margin": [1, 2]}


def test_a_runs_objective_has_its_numbers_and_leaves_the_others_alone():
    stacked = StackedObjective.of(
        objectives(ElasticNetConfig(strength=1.0, l1_ratio=0.25), L2Config(strength=3.0)), LIKE
    )
    of_run = stacked.of_run({name: values[1] for name, values in stacked.numbers.items()})
    assert (of_run.regularizer.l1.item(), of_run.regularizer.l2.item()) == (0, 3)
    assert stacked.objective.regularizer.l1 == 0.25
    assert of_run.regularizer([torch.tensor([[1.0, -2.0]], dtype=torch.float64)]).item() == 15


# ---------------------------------------------------------------- updates


@pytest.fixture
def update_of():
    """Make an update of runs with one weight w = 2 and one bias 0, by squared error."""

    def make(*configs, regularizers=None):
        states = []
        for config in configs:
            model = LinearConfig().build(1, 1, torch.Generator()).double()
            with torch.no_grad():
                model.layer.weight.fill_(2.0)
                model.layer.bias.fill_(0.0)
            optimizer = config.build(model.parameters())
            states.append(TrainState.start(model, optimizer, Schedule(), torch.device("cpu"), accuracy=False))
        stack = Stack(states, configs)
        parts = objectives(
            *(regularizers or [NoneConfig()] * len(configs)), losses=[SquaredErrorConfig()] * len(configs)
        )
        features = Raw((1,), "none").double()
        return StackedUpdate(stack, StackedObjective.of(parts, LIKE), states[0].model, features, False, False)

    return make


def call(update, inputs=ONES, targets=ZEROS):
    update(update.tensors(), update.stack.lr, inputs, targets, None)
    return update.stack.parameters.tolist()


def test_one_update_of_two_runs_by_hand(update_of):
    # L = (wx + b)² + λw², w = 2, x = 1: 4 and 4 + 2; ∂w = 4 + 4λ, ∂b = 4
    update = update_of(SGDConfig(lr=0.1), SGDConfig(lr=0.2), regularizers=[NoneConfig(), L2Config(strength=0.5)])
    assert call(update)[0] == pytest.approx([2 - 0.4, -0.4])
    assert update.stack.parameters[1].tolist() == pytest.approx([2 - 1.2, -0.8])
    assert update.stack.sums[0].tolist() == pytest.approx([4, 4, 0, 0, 32**0.5, 0])
    assert update.stack.sums[1].tolist() == pytest.approx([6, 4, 2, 0, 52**0.5, 0])


def test_sums_count_examples(update_of):
    update = update_of(SGDConfig(lr=0.0), SGDConfig(lr=0.0))
    inputs = torch.tensor([[[1.0], [0.0]], [[0.5], [0.5]]], dtype=torch.float64)  # losses 4 and 0, 1 and 1
    call(update, inputs, torch.zeros(2, 2, 1, dtype=torch.float64))
    assert update.stack.sums[:, 0].tolist() == pytest.approx([4, 2])


def test_weight_decay_spares_the_bias(update_of):
    update = update_of(SGDConfig(lr=0.1, weight_decay=0.5), SGDConfig(lr=0.1, weight_decay=0.0))
    with torch.no_grad():
        update.stack.parameters[:, 1] = 1.0
    # ∂w = 2·3 + 0.5·2 = 7 or 6, ∂b = 6
    assert call(update) == [pytest.approx([2 - 0.7, 1 - 0.6]), pytest.approx([2 - 0.6, 1 - 0.6])]


def test_the_proximal_step_shrinks_weights_alone(update_of):
    # 2 − 0.1·4 = 1.6, then − 0.1·3 = 1.3; the bias is −0.4
    update = update_of(
        SGDConfig(lr=0.1), SGDConfig(lr=0.1), regularizers=[L1Config(strength=s, proximal=True) for s in (3.0, 100.0)]
    )
    assert call(update) == [pytest.approx([1.3, -0.4]), pytest.approx([0, -0.4])]
    assert update.stack.sums[:, 2].tolist() == pytest.approx([6, 200])


def test_a_run_whose_loss_is_not_finite_stays_and_the_other_goes_on(update_of):
    update = update_of(AdamConfig(lr=0.1), AdamConfig(lr=0.1))
    call(update)
    before = {name: values.clone() for name, values in update.stack.optimizer["parameters"].items()}
    parameters = update.stack.parameters.clone()
    inputs = torch.tensor([[[1.0]], [[float("nan")]]], dtype=torch.float64)
    call(update, inputs)
    call(update)
    assert update.stack.frozen.tolist() == [0, 1]
    assert torch.equal(update.stack.parameters[1], parameters[1])
    assert not torch.equal(update.stack.parameters[0], parameters[0])
    for name, values in update.stack.optimizer["parameters"].items():
        assert torch.equal(values[1], before[name][1])
    assert update.stack.optimizer["parameters"]["step"].tolist() == [3, 1]
    assert update.stack.sums[:, -1].tolist() == [0, 2]


def test_buffers_of_a_frozen_run_stay(bench, spec):
    members = [bench.member(spec.but(seed=seed, model={"norm": "batch"})) for seed in range(2)]
    for _ in bench.stack(members):
        if members[0].state.step == 3:
            kept = {name: b.clone() for name, b in members[1].state.model.named_buffers()}
            members[1].state.frozen.fill_(1)
        elif members[0].state.step > 3:
            break
    assert kept.keys() == dict(members[1].state.model.named_buffers()).keys() != set()
    assert all(torch.equal(b, kept[name]) for name, b in members[1].state.model.named_buffers())


def test_inputs_may_be_the_same_for_all(update_of):
    apart, together = (update_of(SGDConfig(lr=0.1), SGDConfig(lr=0.2)) for _ in range(2))
    object.__setattr__(together, "together", True)
    assert call(together, ONES[0], ZEROS[0]) == call(apart)


def test_constants_are_what_is_no_tensor(update_of):
    def constants(*configs, **named):
        return update_of(*configs, **named).constants

    same = constants(SGDConfig(lr=0.1), SGDConfig(lr=0.2))
    assert same == constants(SGDConfig(lr=3.0), SGDConfig(lr=4.0))
    assert same != constants(SGDConfig(momentum=0.9), SGDConfig(momentum=0.9))
    decays = [constants(SGDConfig(weight_decay=a), SGDConfig(weight_decay=b)) for a, b in ((0.1, 0.2), (0.3, 0.4))]
    assert decays[0] == decays[1] != same
    l2 = [[L2Config(strength=s)] * 2 for s in (0.1, 0.2)]
    assert len({constants(SGDConfig(), SGDConfig(), regularizers=r) for r in l2}) == 2
