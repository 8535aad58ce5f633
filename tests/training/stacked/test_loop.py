"""The loop over a stack: what its runs draw, where they stop, and that one that ends leaves the others alone."""

import copy

import pytest
import torch
from deeprob.training.stacked.loop import Rates, StackedDraws
from torch.utils._pytree import tree_flatten

from deeprob import randomness
from deeprob.config import options
from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features.raw import Raw
from deeprob.objective import CrossEntropyConfig
from deeprob.optim import AdamConfig, RpropConfig, Schedule, SGDConfig
from deeprob.tracking.checkpoint_file import load
from deeprob.training import Predictor, evaluate
from deeprob.training.checkpoint import Checkpoints
from deeprob.training.draws import Draws


def sgd(spec, *rates):
    return [spec.but(seed=run, optimizer=SGDConfig(lr=lr, momentum=0.5)) for run, lr in enumerate(rates)]


def content(member):
    """What a checkpoint of the run would hold, but for the clock."""
    return tree_flatten(member.state.state_dict() | {"seconds": 0.0})


def assert_same(one, other):
    """Bit for bit."""
    (mine, shape), (theirs, other_shape) = content(one), content(other)
    assert shape == other_shape
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("size", [32, 90])
def test_draws_are_those_of_each_run(bench, size):
    seeds, augment = [3, 1, 3, 2**40], lambda inputs, key: inputs + randomness.bits(key, 1) % 7
    together = StackedDraws(bench.examples, size, seeds, noisy=True, augment=augment)
    alone = [Draws(bench.examples, size, seed, noisy=True, augment=augment) for seed in seeds]
    assert not together.together
    for step in (0, 1, 2, 3, 5):
        inputs, targets, keys = together[step]
        assert together.count(step) == len(alone[0][step][0])
        for run, draws in enumerate(alone):
            batch, key = draws[step]
            assert torch.equal(inputs[run], batch.inputs)
            assert torch.equal(targets[run], batch.targets)
            assert torch.equal(keys[run], key)


def test_a_full_batch_is_one_for_all(bench):
    draws = StackedDraws(bench.examples, 1000, [0, 1], noisy=False, augment=None)
    inputs, targets, keys = draws[4]
    assert (draws.together, draws.per_epoch, draws.count(4), keys) == (True, 1, 90, None)
    assert inputs is bench.examples.inputs
    assert targets is bench.examples.targets


def test_rates_by_hand():
    half, third = Schedule(lambda step: 0.5**step), Schedule(lambda step: 1 / (3 + step))
    lr = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert Rates(lr, [half] * 3)(2).tolist() == [0.25, 0.5, 1.0]
    assert Rates(lr, [half, third, half])(1).tolist() == [0.5, 0.5, 2.0]


@pytest.mark.parametrize("size", [32, 90])
def test_a_table_of_more_digits_trains_as_each_run_does_alone(bench_of, bench, spec, size):
    near = Examples(bench.examples.inputs.mul(1024).round() / 1024, bench.examples.targets)
    specs = [spec.but(seed=run) for run in range(3)]
    found = []
    for offset in (0.0, 1e6):
        single = bench_of(near, torch.float32)
        single.settings["batch_size"] = size
        single.examples = Examples(near.inputs + offset, near.targets)
        single.features.fit(single.examples.inputs)
        assert single.apart(specs, validation=single.examples) < 1e-4
        found.append([[record.metrics for record in records] for records in single.together(specs)])
    assert found[0] == found[1]


# ---------------------------------------------------------------- runs that diverge


@pytest.fixture
def single(bench, bench_of):
    """The bench in float32, which overflows sooner."""
    return bench_of(bench.examples, torch.float32)


@pytest.mark.parametrize("interval", [1, 2, 50])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adadelta", "rmsprop", "nadam"])
def test_a_run_that_diverges_says_when_and_why_as_it_does_alone(single, spec, name, interval):
    single.settings["log_every"] = interval
    cls = options("optimizer")[name]
    specs = [spec.but(seed=run, optimizer=cls(lr=lr)) for run, lr in enumerate((1e-3, 1e15, 1e30, 1e37))]
    alone, together = [single.alone(s) for s in specs], single.together(specs)
    for one, other in zip(alone, together, strict=True):
        assert [type(record) for record in other] == [type(record) for record in one]
        if isinstance(one[-1], Diverged):
            assert (str(other[-1]), other[-1].step) == (str(one[-1]), one[-1].step)
    assert isinstance(alone[-1][-1], Diverged)
    assert not isinstance(alone[0][-1], Diverged)


@pytest.mark.parametrize("interval", [1, 2, 50])
@pytest.mark.parametrize("model", [{}, {"norm": "layer", "dropout": 0.2}], ids=str)
def test_the_others_go_on_bit_for_bit_as_without_it(single, spec, interval, model):
    single.settings["log_every"] = interval
    bad, good = ([single.member(s.but(model=model)) for s in sgd(spec, 0.01, lr, 0.1)] for lr in (1e37, 0.05))
    records, without = single.together(bad), single.together(good)
    assert isinstance(records[1][-1], Diverged)
    for run in (0, 2):
        assert records[run] == without[run]
        assert_same(bad[run], good[run])


def test_a_run_that_diverged_stays_as_it_was_before_the_update_at_fault(bench_of, spec):
    # With inputs that are not standardised: x = 1, 1 and ∞ in batches of one, in the order of the run's seed.
    examples = Examples(torch.tensor([[1.0], [1.0], [float("inf")]]), torch.tensor([0, 1, 2]))
    bench = bench_of(examples, shape=(1,))
    bench.features = Raw((1,), "none").double()
    bench.settings |= {"batch_size": 1, "epochs": 1, "log_every": 100}
    specs = [spec.but(seed=seed, optimizer=SGDConfig(lr=0.1), model={"norm": "layer"}) for seed in range(3)]
    members = [bench.member(s) for s in specs]
    ends = [records[-1] for records in bench.together(members)]
    for s, member, end in zip(specs, members, ends, strict=True):
        order = randomness.permutation(randomness.fold(randomness.key(s.seed, "batches"), 0), 3).tolist()
        assert end.step == order.index(2) + 1
        before = bench.member(s)
        calls = []
        if end.step > 1:
            bench.alone(before, interrupted=lambda calls=calls, end=end: calls.append(1) or len(calls) == end.step - 1)
        assert member.state.frozen == 1
        for name, tensor in before.state.model.state_dict().items():
            torch.testing.assert_close(member.state.model.state_dict()[name], tensor, rtol=1e-12, atol=1e-14)


def test_inputs_that_are_not_finite_are_named(bench, spec):
    poisoned = Examples(bench.examples.inputs.clone(), bench.examples.targets)
    poisoned.inputs[7, 1] = float("inf")
    bench.examples = poisoned
    specs = sgd(spec, 0.01, 0.1)
    for one, other in zip(map(bench.alone, specs), bench.together(specs), strict=True):
        assert str(other[-1]) == str(one[-1])
        assert "the input became NaN or infinite" in str(other[-1])


def test_a_stack_ends_when_all_have_diverged(single, spec):
    records = single.together(sgd(spec, 1e30, 1e31), epochs=1000, log_every=50)
    assert [[type(record) for record in run] for run in records] == [[Diverged], [Diverged]]


# ---------------------------------------------------------------- where the loop stops


def test_records_come_when_those_of_a_run_alone_do(bench, spec):
    changes = {"log_every": 4, "pause_every": 5, "epochs": 4}
    alone, together = bench.alone(spec, **changes), bench.together([spec, spec.but(seed=1)], **changes)[0]
    assert [record.step for record in together] == [3, 4, 5, 6, 8, 9, 10, 12]
    assert [(r.step, r.epoch, r.examples, bool(r.metrics)) for r in together] == [
        (r.step, r.epoch, r.examples, bool(r.metrics)) for r in alone
    ]


@pytest.mark.parametrize("stop", [1, 4, 6])
@pytest.mark.parametrize(
    "optimizer", [SGDConfig(lr=0.1, momentum=0.9), AdamConfig(lr=0.01, amsgrad=True), RpropConfig()], ids=str
)
def test_an_interrupted_stack_goes_on_bit_for_bit(bench, spec, stop, optimizer):
    bench.settings |= {"epochs": 3, "log_every": 2}
    specs = [spec.but(seed=run, optimizer=optimizer, model={"dropout": 0.3, "norm": "batch"}) for run in range(3)]
    whole, first, second = ([bench.member(s) for s in specs] for _ in range(3))
    records = bench.together(whole)
    calls = []
    before = bench.together(first, interrupted=lambda: calls.append(1) or len(calls) == stop)
    assert [member.state.step for member in first] == [stop] * 3
    for member, other in zip(first, second, strict=True):
        other.state.load_state_dict(copy.deepcopy(member.state.state_dict()))
    after = bench.together(second)
    for run in range(3):
        assert [record for record in before[run] if record.metrics] + after[run] == records[run]
        assert_same(second[run], whole[run])


def test_a_run_of_a_stack_goes_on_alone_and_back(bench, spec, tmp_path):
    specs = [spec.but(seed=run, model={"dropout": 0.3}) for run in range(3)]
    whole, members = ([bench.member(s) for s in specs] for _ in range(2))
    bench.together(whole)

    def through_files():
        others = [bench.member(s) for s in specs]
        for number, (member, other) in enumerate(zip(members, others, strict=True)):
            Checkpoints(tmp_path / str(number), member.state, {}, best_is_last=True).write({})
            other.state.load_state_dict(load(tmp_path / str(number) / "last.pt"))
        return others

    calls = []
    bench.together(members, interrupted=lambda: calls.append(1) or len(calls) == 4)
    members = through_files()
    for member in members:
        bench.alone(member, interrupted=lambda member=member: member.state.step == 7)
    members = through_files()
    bench.together(members)
    for one, other in zip(whole, members, strict=True):
        assert other.state.step == 15
        assert {int(state["step"]) for state in other.state.optimizer.state.values()} == {15}
        for name, parameter in one.state.parameters.items():
            torch.testing.assert_close(other.state.parameters[name], parameter, rtol=1e-12, atol=1e-13)


def test_a_run_that_has_ended_changes_no_more_and_yields_nothing(bench, spec):
    specs = sgd(spec, 0.01, 0.05, 0.1)
    members, others = ([bench.member(s) for s in specs] for _ in range(2))
    at = {}
    for readings in bench.stack(members, ended=lambda run: run == 1 and members[1].state.step >= 4):
        if members[1].state.step == 4 and 1 in readings:
            at |= {name: tensor.clone() for name, tensor in members[1].state.model.state_dict().items()}
        assert (1 in readings) == (members[0].state.step <= 4)
    assert all(torch.equal(tensor, at[name]) for name, tensor in members[1].state.model.state_dict().items())
    bench.together(others)
    for run in (0, 2):
        assert_same(members[run], others[run])


def test_evaluations_and_rates_are_told_to_each_state(bench, spec):
    members = [bench.member(s) for s in sgd(spec, 0.01, 0.1)]
    bench.together(members, log_every=4)
    assert [member.state.evaluations for member in members] == [15, 15]
    assert [group["lr"] for member in members for group in member.state.optimizer.param_groups] == [0.01] * 2 + [
        0.1
    ] * 2


# ---------------------------------------------------------------- the validation split


@pytest.mark.parametrize("size", [7, 10**6])
def test_a_validation_split_is_measured_as_each_run_alone_measures_it(bench, spec, size):
    specs = [
        spec.but(
            seed=seed, model={"norm": "batch", "dropout": 0.2}, loss=CrossEntropyConfig(label_smoothing=0.1 * seed)
        )
        for seed in range(3)
    ]
    members = [bench.member(spec) for spec in specs]
    held_out = bench.examples[slice(0, 40)]
    epochs = 0
    for readings in bench.stack(members, validation=held_out, chunk_size=size, log_every=2):
        for run, record in readings.items():
            if record.epoch_metrics is None:
                assert record.validation is None
                continue
            epochs += 1
            member = members[run]
            predictor = Predictor(bench.features, member.state.model, (2,), 3, ("a", "b", "c"))
            alone = evaluate(predictor.scores, held_out, member.objective.loss, 10)
            assert record.validation == pytest.approx(alone, rel=1e-12)
            assert member.state.model.training
    assert epochs == 3 * bench.settings["epochs"]
