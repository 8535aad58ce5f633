"""The loop: what it yields and when, interruption anywhere, and runs that diverge. See also test_company.py."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from deeprob import randomness
from deeprob.config import options
from deeprob.data import Examples
from deeprob.data.augmentation import Augmentation
from deeprob.errors import Diverged
from deeprob.features import RawConfig
from deeprob.features.raw import Raw
from deeprob.objective import CrossEntropyConfig, L1Config, L2Config, SquaredErrorConfig
from deeprob.optim import (
    AdamConfig,
    AdamWConfig,
    ASGDConfig,
    CosineConfig,
    LBFGSConfig,
    PlateauConfig,
    RMSpropConfig,
    SGDConfig,
    StepConfig,
)
from deeprob.optim.rules import RULES
from deeprob.training import Predictor, evaluate, train
from deeprob.training import loop as module
from deeprob.training.learner import LoopSettings
from deeprob.training.loop import Loop, Record, epoch_of, share_of_zeros
from deeprob.training.training_data import TrainingData

OPTIMIZERS = {
    **{name: cls() for name, cls in options("optimizer").items()},
    "sgd": SGDConfig(lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": RMSpropConfig(momentum=0.5, centered=True),
    "asgd": ASGDConfig(t0=4.0),
    "adamw": AdamWConfig(lr=0.01, amsgrad=True),
    "lbfgs": LBFGSConfig(max_iter=3),
}
SGD = SGDConfig(lr=0.1, momentum=0.9)
REPEATED = {"lbfgs": {"batch_size": 23, "epochs": 15}}
"""Settings of the optimizers that need the same L(W) at each evaluation."""


@pytest.fixture
def run(bench, spec):
    """A spec with a penalty, and a rate that falls."""
    return spec.but(regularizer=L2Config(strength=0.01), scheduler=CosineConfig(), optimizer=SGD)


def order_of(seed: int, epoch: int, count: int = 23) -> torch.Tensor:
    return randomness.permutation(randomness.fold(randomness.key(seed, "batches"), epoch), count)


# ---------------------------------------------------------------- against plain PyTorch


def by_hand(bench, spec, dropped=False):
    """Train as any program of PyTorch does; return the model, the optimizer and the losses of the updates."""
    learner = bench.learner(spec)
    model, optimizer, schedule = learner.state.model, learner.state.optimizer, learner.state.schedule
    inputs, targets, losses, step = bench.features(bench.examples.inputs), bench.examples.targets, [], 0
    base = spec.optimizer.lr
    for epoch in range(bench.settings["epochs"]):
        for places in order_of(spec.seed, epoch).split(bench.settings["batch_size"]):
            for group in optimizer.param_groups:
                group["lr"] = base * schedule(step)
            optimizer.zero_grad()
            key = randomness.fold(randomness.key(spec.seed, "dropout"), step) if dropped else None
            loss = functional.cross_entropy(model(inputs[places], key), targets[places])
            penalty = spec.regularizer.strength * sum(p.square().sum() for p in model.parameters() if p.dim() == 2)
            (loss + penalty).backward()
            optimizer.step()
            losses.append((loss + penalty).item())
            step += 1
    return model, optimizer, losses


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "lbfgs"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("model", [{}, {"norm": "batch", "dropout": 0.3}], ids=["plain", "norm and dropout"])
def test_autograd_with_torch_s_optimizer_is_a_plain_loop_bit_for_bit(bench_of, bench, run, name, dtype, model):
    bench = bench_of(bench.examples, dtype)
    of_run = run.but(optimizer=OPTIMIZERS[name], model=model)
    learner = bench.learner(of_run)
    records = bench.alone(learner, formulas=False, log_every=1)
    plain, optimizer, losses = by_hand(bench, of_run, dropped=bool(model))
    assert [record.metrics["train/loss"] for record in records] == pytest.approx(losses, rel=1e-6)
    mine, theirs = (dict(m.state_dict()) for m in (learner.state.model, plain))
    assert all(torch.equal(theirs[key], tensor) for key, tensor in mine.items())
    states = [o.state_dict()["state"] for o in (learner.state.optimizer, optimizer)]
    assert states[0].keys() == states[1].keys()
    for place, values in states[1].items():
        for key, value in values.items():
            kept = states[0][place][key]
            assert torch.equal(kept, value) if isinstance(value, torch.Tensor) else kept == value, key


@pytest.mark.parametrize("name", sorted(RULES))
def test_formulas_are_a_plain_loop(bench, run, name):
    of_run = run.but(optimizer=OPTIMIZERS[name], model={"dropout": 0.3, "norm": "layer"})
    learner = bench.learner(of_run)
    records = bench.alone(learner, log_every=1)
    plain, _, losses = by_hand(bench, of_run, dropped=True)
    assert [record.metrics["train/loss"] for record in records] == pytest.approx(losses, rel=1e-10)
    for key, parameter in plain.named_parameters():
        torch.testing.assert_close(learner.state.parameters[key], parameter.detach(), rtol=1e-10, atol=1e-10)


def test_means_over_epochs_weigh_updates_by_their_examples(bench, run):
    _, _, losses = by_hand(bench, run)
    epochs = [r.epoch_metrics["train/loss"] for r in bench.alone(run, log_every=2) if r.epoch_metrics]
    sizes = [5, 5, 5, 5, 3]
    expected = [sum(loss * n for loss, n in zip(losses[e * 5 : e * 5 + 5], sizes, strict=True)) / 23 for e in range(3)]
    assert epochs == pytest.approx(expected, rel=1e-10)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("runs", [1, 3])
def test_records_come_every_interval_and_at_the_end_of_an_epoch(bench, spec, runs):
    for records in bench.together(spec.three()[:runs]):
        assert [record.step for record in records] == [2, 4, 5, 6, 8, 10, 12, 14, 15]
        assert [record.epoch for record in records] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert [record.examples for record in records] == [10, 10, 3, 5, 10, 8, 10, 10, 3]
        assert [record.step for record in records if record.epoch_metrics] == [5, 10, 15]


@pytest.mark.parametrize("runs", [1, 3])
def test_pauses_are_empty_and_readings_go_on_as_without_them(bench, spec, runs):
    specs = spec.three()[:runs]
    changes = {"log_every": 4, "epochs": 2}
    for records, without in zip(
        bench.together(specs, pause_every=3, **changes), bench.together(specs, **changes), strict=True
    ):
        assert [record.step for record in records] == [3, 4, 5, 6, 8, 9, 10]
        assert [record for record in records if record.metrics] == without
        assert [record for record in records if not record.metrics] == [Record.empty(s, 5) for s in (3, 6, 9)]


def test_epochs_begin_with_their_first_update():
    assert [epoch_of(step, 2) for step in range(6)] == [0, 1, 1, 2, 2, 3]


def test_total_is_data_loss_plus_regularization(bench, run):
    for record in bench.alone(run):
        parts = record.metrics["train/data_loss"] + record.metrics["train/regularization"]
        assert record.metrics["train/loss"] == pytest.approx(parts, rel=1e-12)
        assert record.metrics["train/regularization"] > 0


def test_the_norms_and_the_accuracy(bench, spec):
    learner = bench.learner(spec.but(optimizer=SGDConfig(lr=1e-300)))
    (record,) = bench.alone(learner, batch_size=23, epochs=1)
    model = learner.state.model
    scores = model(bench.features(bench.examples.inputs))
    functional.cross_entropy(scores, bench.examples.targets).backward()
    squares = [(p.grad.square().sum(), p.detach().square().sum()) for p in model.parameters()]
    gradient, norm = (math.sqrt(sum(column)) for column in zip(*squares, strict=True))
    assert record.metrics["optim/grad_norm"] == pytest.approx(gradient, rel=1e-12)
    assert record.metrics["params/norm"] == pytest.approx(norm, rel=1e-12)
    accuracy = (scores.argmax(1) == bench.examples.targets).double().mean().item()
    assert record.metrics["train/accuracy"] == pytest.approx(accuracy)
    assert "params/zeros" not in record.metrics


@pytest.mark.parametrize("formulas", [True, False])
def test_the_schedule_multiplies_the_rate(bench, spec, formulas):
    steps = spec.but(scheduler=StepConfig(gamma=0.5, drops=2), optimizer=SGDConfig(lr=0.1))
    learner = bench.learner(steps)
    records = bench.alone(learner, log_every=1, formulas=formulas)
    assert [record.metrics["optim/lr"] for record in records] == [0.1] * 5 + [0.05] * 5 + [0.025] * 5
    assert [group["lr"] for group in learner.state.optimizer.param_groups] == [0.025] * 2


def test_rates_and_evaluations_are_told_to_each_state(bench, spec):
    learners = bench.learners(spec.three(optimizer=[SGDConfig(lr=lr) for lr in (0.01, 0.1, 0.2)]))
    bench.together(learners, log_every=4)
    assert [learner.state.evaluations for learner in learners] == [15] * 3
    rates = [[group["lr"] for group in learner.state.optimizer.param_groups] for learner in learners]
    assert rates == [[0.01] * 2, [0.1] * 2, [0.2] * 2]


def test_a_plateau_is_each_runs_own(bench, spec):
    configs = [SGDConfig(lr=lr) for lr in (1e-9, 0.1, 1e-9)]
    plateaus = [PlateauConfig(patience=0), PlateauConfig(patience=0, threshold=0), PlateauConfig(patience=1)]
    records = bench.together(spec.three(optimizer=configs, scheduler=plateaus), epochs=5, batch_size=23)
    last = [of_run[-1].metrics["optim/lr"] for of_run in records]
    assert last == pytest.approx([1e-12, 0.1, 1e-10], rel=1e-9, abs=0)  # drops before the fifth epoch: 3, 0 and 1


def test_the_share_of_zeros_is_measured_where_it_is_wanted(bench, spec):
    regularizers = [L1Config(strength=s, proximal=True) for s in (0.0, 0.05, 0.5)]
    learners = bench.learners(spec.three(optimizer=[SGDConfig(lr=0.1)] * 3, regularizer=regularizers))
    records = bench.together(learners, epochs=6)
    shares = [of_run[-1].metrics["params/zeros"] for of_run in records]
    assert shares[0] == 0 < shares[1] < shares[2]
    for share, learner in zip(shares, learners, strict=True):
        matrices = [p.flatten() for p in learner.state.model.parameters() if p.dim() == 2]
        assert share == pytest.approx((torch.cat(matrices) == 0).double().mean().item())
        assert (learner.state.parameters["layers.2.bias"] != 0).all()  # biases are spared
    assert share_of_zeros([torch.tensor([[0.0, 1.0]]), torch.tensor([[-0.0], [1e-30]])]) == 0.5


@pytest.mark.parametrize("formulas", [True, False])
def test_dropout_differs_between_steps_and_not_between_repetitions(bench, spec, formulas):
    def losses(dropout=0.5, seed=0):
        """Losses of a full batch three times, at a rate of almost 0: nothing but the masks can differ."""
        still = spec.but(seed=seed, optimizer=SGDConfig(lr=1e-300), model={"dropout": dropout})
        return [r.metrics["train/loss"] for r in bench.alone(still, batch_size=23, log_every=1, formulas=formulas)]

    assert len(set(losses(dropout=0.0))) == 1
    first = losses()
    assert len(set(first)) == 3
    assert losses() == first
    assert not set(losses(seed=1)) & set(first)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_give_the_result_of_the_whole_batch(bench, run, name):
    learners = bench.learners([run.but(optimizer=OPTIMIZERS[name])] * 2)
    for learner, size in zip(learners, (23, 4), strict=True):
        bench.alone(learner, epochs=4, batch_size=23, chunk_size=size, log_every=1)
    for key, parameter in learners[0].state.parameters.items():
        torch.testing.assert_close(learners[1].state.parameters[key], parameter, rtol=1e-10, atol=1e-11)
    assert learners[0].state.evaluations == learners[1].state.evaluations


def test_evaluations_of_lbfgs_are_counted_and_it_ends_when_it_has_converged(bench, spec):
    learner = bench.learner(spec.but(optimizer=LBFGSConfig(max_iter=3)))
    bench.alone(learner, batch_size=23)
    assert learner.state.step == 3
    assert learner.state.evaluations > 6  # three updates of up to three iterations, each with one evaluation or more
    convex = spec.but(optimizer=LBFGSConfig(), model={"hidden": []}, regularizer=L2Config(strength=1.0))
    learner = bench.learner(convex)
    records = bench.alone(learner, batch_size=23, epochs=1000)
    assert learner.state.finished
    assert records[-1].step == learner.state.step < 100
    assert bench.alone(learner, batch_size=23, epochs=1000) == []


def test_a_split_that_does_not_fit_is_halved_and_goes_on(bench, spec, monkeypatch, capsys):
    whole, halved = bench.learners([spec, spec])
    bench.alone(whole, batch_size=23)
    evaluate_whole = module.Update.of.__func__

    def of(cls, *words, **named):
        update = evaluate_whole(cls, *words, **named)
        plain = update.gradient.whole

        def scarce(batch, share=1.0):
            if batch.targets.shape[1] > 8:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(batch, share)

        update.gradient.whole = scarce
        return update

    monkeypatch.setattr(module.Update, "of", classmethod(of))
    bench.alone(halved, batch_size=23)
    for one, two in zip(whole.state.model.parameters(), halved.state.model.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)
    assert [line.split("continuing ")[1] for line in capsys.readouterr().err.splitlines()] == [
        "with 11 at once",
        "with 5 at once",
    ]
    assert halved.state.evaluations == whole.state.evaluations == 3
    for runs, size, augment in (([spec], 12, None), ([spec, spec], 23, None), ([spec], 23, lambda inputs, key: inputs)):
        with pytest.raises(torch.OutOfMemoryError):  # the user's choice, or a stack, which becomes smaller instead
            bench.together(runs, batch_size=size, augment=augment)


def test_products_in_bfloat16_train_almost_the_same(single, run):
    exact, rough = single.alone(run), single.alone(run, bf16=True)
    ends = exact[-1].epoch_metrics["train/loss"], rough[-1].epoch_metrics["train/loss"]
    assert ends[0] != ends[1] == pytest.approx(ends[0], rel=0.03)


def test_augmented_pictures(bench_of, spec):
    rng = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (12, 3, 6, 6), generator=rng, dtype=torch.uint8)
    bench = bench_of(Examples(pictures, torch.randint(3, (12,), generator=rng)))
    augment, still = Augmentation(flip=True, crop=2), spec.but(optimizer=SGDConfig(lr=1e-300))
    (record,) = bench.alone(still, batch_size=12, epochs=1, augment=augment)
    changed = augment(pictures, randomness.fold(randomness.key(0, "augmentation"), 0))
    scores = bench.learner(still).state.model(bench.features(changed))
    loss = functional.cross_entropy(scores, bench.examples.targets).item()
    assert record.metrics["train/loss"] == pytest.approx(loss, rel=1e-12)
    (plain,) = bench.alone(still, batch_size=12, epochs=1)
    assert plain.metrics["train/loss"] != pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize("size", [5, 23])
def test_a_table_of_more_digits_trains_as_the_same_near_0(bench_of, bench, spec, size):
    near = Examples(bench.examples.inputs.mul(1024).round() / 1024, bench.examples.targets)
    found = []
    for offset in (0.0, 1e6):
        rough = bench_of(near, torch.float32)
        rough.examples = Examples(near.inputs + offset, near.targets)
        rough.features.fit(rough.examples.inputs)
        records = rough.together(spec.three(), validation=rough.examples, batch_size=size)
        found.append([[(record.metrics, record.validation) for record in of_run] for of_run in records])
    assert found[0] == found[1]


def test_numbers_as_targets(bench_of, spec):
    rng = torch.Generator().manual_seed(0)
    bench = bench_of(Examples(torch.randn(23, 4, generator=rng), torch.randn(23, 2, generator=rng)))
    squared = spec.but(loss=SquaredErrorConfig())
    for records in bench.together([squared, squared.but(seed=1)], validation=bench.examples, epochs=20, log_every=5):
        assert "train/accuracy" not in records[-1].metrics
        assert records[-1].validation.keys() == {"loss", "r2", "mae", "rmse"}
        assert records[-1].metrics["train/loss"] < 0.9 * records[0].metrics["train/loss"]


# ---------------------------------------------------------------- the validation split


@pytest.mark.parametrize("size", [7, 10**6])
@pytest.mark.parametrize("formulas", [True, False])
@pytest.mark.parametrize("runs", [1, 3])
def test_a_validation_split_is_measured_as_evaluate_does(bench, spec, size, formulas, runs, monkeypatch):
    monkeypatch.setattr(module, "MEASURED_AT_ONCE", 4)
    losses = [CrossEntropyConfig(label_smoothing=0.1 * run) for run in range(3)]
    specs = spec.but(model={"norm": "batch", "dropout": 0.2}).three(loss=losses)[:runs]
    learners, held_out, epochs = bench.learners(specs), bench.examples[slice(0, 17)], 0
    for readings in bench.readings(learners, validation=held_out, chunk_size=size, formulas=formulas):
        for run, record in readings.items():
            assert (record.validation is None) == (record.epoch_metrics is None)
            if record.validation is not None:
                epochs += 1
                learner = learners[run]
                predictor = Predictor(bench.features, learner.state.model, (4,), 3, ("a", "b", "c"))
                expected = evaluate(predictor.scores, held_out, learner.objective.loss, 10)
                assert record.validation == pytest.approx(expected, rel=1e-12)
                assert learner.state.model.training
    assert epochs == 3 * runs


@pytest.mark.parametrize("formulas", [True, False])
@pytest.mark.parametrize("batch_size", [5, 100])
def test_runs_with_other_splits_train_as_alone(bench, spec, batch_size, formulas):
    splits = [
        TrainingData(features.double(), bench.examples[part], bench.examples[held_out])
        for features, part, held_out in (
            (RawConfig(standardize=how).build((4,)), slice(start, start + 14), slice(20 - start, 23 - start))
            for how, start in (("feature", 0), ("none", 6))
        )
    ]
    for data in splits:
        data.features.fit(data.train.inputs)
    specs, of_run = spec.but(model={"dropout": 0.2}).three(), [splits[1], splits[0], splits[1]]
    settings = LoopSettings(epochs=3, batch_size=batch_size, chunk_size=100, log_every=2, formulas=formulas)
    together = list(train(bench.learners(specs), of_run, settings))
    for run, data in enumerate(of_run):
        alone = list(train([bench.learner(specs[run])], [data], settings))
        for readings, (record,) in zip(together, (reading.values() for reading in alone), strict=True):
            if formulas:
                assert readings[run] == record
            else:
                assert readings[run].metrics == pytest.approx(record.metrics, rel=1e-10)
                assert (readings[run].validation or {}) == pytest.approx(record.validation or {}, rel=1e-10)


def test_a_run_that_diverges_on_its_own_split_is_told_and_the_others_go_on(single, spec):
    inputs = single.examples.inputs.clone()
    inputs[3] = math.inf
    wrong = replace(single.data, train=Examples(inputs, single.examples.targets))
    settings = LoopSettings(epochs=2, batch_size=5, chunk_size=100, log_every=5)
    turned = replace(single.data, train=Examples(single.examples.inputs.flip(0), single.examples.targets.flip(0)))
    first, second = train(single.learners(spec.three()), [single.data, wrong, turned], settings)
    assert "the input became NaN or infinite at step 5" in str(first[1])
    assert list(second) == [0, 2]
    (_, alone) = train([single.learner(spec.but(seed=2))], [turned], settings)
    assert second[2] == alone[0]


def test_without_a_validation_split_nothing_is_measured(bench, spec):
    assert {record.validation for record in bench.alone(spec)} == {None}


# ---------------------------------------------------------------- where the loop stops


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [1, 3, 7, 12])  # in the middle of the 1st, 1st, 2nd and 3rd epoch
@pytest.mark.parametrize("formulas", [True, False])
def test_an_interrupted_run_goes_on_bit_for_bit(bench, run, name, stop, formulas):
    changes = {"formulas": formulas, **REPEATED.get(name, {})}
    of_run = run.but(optimizer=OPTIMIZERS[name], model={} if name in REPEATED else {"dropout": 0.4, "norm": "batch"})
    whole, first = bench.learners([of_run] * 2)
    records = bench.alone(whole, **changes)
    before = bench.alone(first, **changes, interrupted=bench.after(stop))
    assert first.state.step == stop
    second = bench.resumed(of_run, first)
    after = bench.alone(second, **changes)
    bench.same(second, whole)
    assert bench.exact([record for record in before if record.metrics] + after) == bench.exact(records)


def test_the_comparison_notices_what_is_left_out(bench, run):
    whole, first = bench.learners([run, run])
    bench.alone(whole)
    bench.alone(first, interrupted=bench.after(7))
    second = bench.resumed(run, first)
    second.state.optimizer.state[second.state.parameters["layers.0.weight"]]["momentum_buffer"].zero_()
    bench.alone(second)
    with pytest.raises(AssertionError):
        bench.same(second, whole)


def test_a_run_that_is_done_yields_nothing(bench, spec):
    learner = bench.learner(spec)
    assert bench.alone(learner)
    assert bench.alone(learner) == []


def test_a_run_that_has_ended_changes_no_more_and_yields_nothing(bench, spec):
    specs = spec.three(optimizer=[AdamConfig(lr=lr) for lr in (0.01, 0.02, 0.03)])
    learners, ended = bench.learners(specs), []
    at, asked = {}, []

    def end(place):
        asked.append((learners[place].state.step, place))
        return place == 1 and learners[1].state.step >= 4

    for readings in bench.readings(learners, ended=end):
        if 1 in readings:
            at = {key: tensor.clone() for key, tensor in learners[1].state.model.state_dict().items()}
        ended.append((learners[0].state.step, sorted(readings)))
    assert ended[:4] == [(2, [0, 1, 2]), (4, [0, 1, 2]), (5, [0, 2]), (6, [0, 2])]
    assert asked[:8] == [(2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 2), (5, 0), (5, 2)]
    assert learners[1].state.step == 4
    assert all(torch.equal(tensor, at[key]) for key, tensor in learners[1].state.model.state_dict().items())


def test_a_stack_ends_when_all_have_ended(bench, spec):
    assert len(bench.together(spec.three(), ended=lambda place: True)[2]) == 1


# ---------------------------------------------------------------- runs that diverge


@pytest.fixture
def poisoned(bench):
    """A bench of which the example that comes `place`-th in the first epoch is infinite."""

    def make(place: int):
        bench.examples.inputs[order_of(0, 0)[place], 2] = float("inf")
        bench.features = Raw((4,), "none").double()
        return bench

    return make


@pytest.mark.parametrize("interval", [1, 2, 100])
@pytest.mark.parametrize("place", [0, 7, 22])
@pytest.mark.parametrize("formulas", [True, False])
@pytest.mark.parametrize(
    "changes",
    [{}, {"model": {"norm": "batch", "dropout": 0.3}, "optimizer": AdamConfig(lr=0.01)}],
    ids=["plain", "norm and dropout"],
)
def test_a_run_that_diverges_is_as_it_was_before_the_update_at_fault(poisoned, run, interval, place, formulas, changes):
    bench, of_run, batch = poisoned(place), run.but(**changes), place // 5 + 1
    learner, other = bench.learners([of_run] * 2)
    end = bench.alone(learner, log_every=interval, formulas=formulas)[-1]
    assert "the input became NaN or infinite" in str(end)
    assert f"(epoch 1, batch {batch})" in str(end)
    assert (end.step, end.status) == (batch, 3)
    if batch > 1:
        bench.alone(other, log_every=interval, formulas=formulas, interrupted=bench.after(batch - 1))
    assert (learner.state.step, learner.state.evaluations) == (batch - 1, batch - 1)
    other.state.meters.reset()
    found = bench.unequal(learner, other)
    assert found == [] or (batch == 1 and all("optimizer" in key for key in found))  # its state is new


def test_a_pause_notices_what_is_not_finite(poisoned, run):
    bench = poisoned(0)
    learner = bench.learner(run)
    (end,) = bench.alone(learner, log_every=100, pause_every=3)
    assert "the input became NaN or infinite at step 1 " in str(end)
    assert learner.state.step == 0


@pytest.mark.parametrize("interval", [2, 100])
@pytest.mark.parametrize("runs", [1, 3])
def test_parameters_that_overflow_are_named_at_the_update_that_does_it(single, spec, interval, runs):
    """At a rate of 1e38 in the fourth update the parameters are too large."""
    huge = spec.but(optimizer=SGDConfig(lr=0.1, momentum=0.9), regularizer=L2Config(strength=1.0))
    learners, others = single.learners(huge.three()[:runs]), single.learners(huge.three()[:runs])
    for learner in learners:
        learner.state.schedule.factor = lambda step: 1e39 if step == 3 else 1.0
    ends = single.together(learners, log_every=interval)
    single.together(others, log_every=interval, interrupted=single.after(3))
    for records, learner, other in zip(ends, learners, others, strict=True):
        assert "the updated parameters became NaN or infinite at step 4 " in str(records[-1])
        assert (records[-1].step, learner.state.step, learner.state.evaluations) == (4, 3, 3)
        other.state.meters.reset()
        single.same(learner, other)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"optimizer": SGDConfig(lr=1e15)}, "data loss became NaN or infinite at step 2 "),  # a product of weights
        ({"regularizer": L1Config(strength=1e38, proximal=True)}, "regularization became NaN or infinite at step 1 "),
        ({"optimizer": SGDConfig(lr=1e38)}, "updated parameters became NaN or infinite at step 1 "),
    ],
)
@pytest.mark.parametrize("interval", [1, 50])
@pytest.mark.parametrize("formulas", [True, False])
def test_the_first_number_that_is_not_finite_is_named(single, spec, changes, cause, interval, formulas):
    learner = single.learner(spec.but(**changes))
    end = single.alone(learner, log_every=interval, formulas=formulas)[-1]
    assert isinstance(end, Diverged)
    assert f"the {cause}" in str(end)
    assert all(parameter.isfinite().all() for parameter in learner.state.parameters.values())


@pytest.mark.parametrize("name", ["layers.1.weight", "layers.2.bias"])
def test_the_first_gradient_that_is_not_finite_is_named(bench, spec, name):
    learner = bench.learner(spec)
    learner.state.parameters[name].register_hook(lambda gradient: gradient * float("nan"))
    (end,) = bench.alone(learner, formulas=False)
    assert f"the gradient of {name} became NaN or infinite at step 1 " in str(end)
    assert (learner.state.step, learner.state.evaluations) == (0, 0)


def test_to_name_the_cause_changes_no_buffer(bench, spec):
    learner = bench.learner(spec.but(model={"norm": "batch"}))
    settings = module.LoopSettings(**bench.settings)
    with torch.no_grad():
        own = Loop([learner], [bench.data], settings)
        before = {key: tensor.clone() for key, tensor in learner.state.model.state_dict().items()}
        assert "the updated parameters" in str(own.diverged(0))  # for nothing is wrong
        assert all(torch.equal(tensor, before[key]) for key, tensor in learner.state.model.state_dict().items())


@pytest.mark.parametrize("interval", [1, 100])
def test_updates_before_a_drop_of_the_rate_are_made_again_at_the_rate_before(single, spec, interval):
    """No loss is below the first, so the rate is halved after each epoch but the first; update 23 overflows."""
    falling = spec.but(optimizer=SGDConfig(lr=0.1), scheduler=PlateauConfig(patience=0, gamma=0.5))

    def start():
        learner = single.learner(falling)
        schedule = learner.state.schedule
        observe, factor = schedule.observe, type(schedule).__call__
        schedule.observe = lambda loss: observe(1.0)
        return learner, schedule, factor

    def fail(learner):
        class Failing(type(learner.state.schedule)):
            def __call__(self, step):
                return 1e39 if step == 22 else super().__call__(step)

        learner.state.schedule.__class__ = Failing

    (learner, *_), (other, *_) = start(), start()
    fail(learner)
    end = single.alone(learner, log_every=interval, epochs=9)[-1]
    assert "at step 23 " in str(end)
    single.alone(other, log_every=interval, epochs=9, interrupted=single.after(22))
    other.state.meters.reset()
    single.same(learner, other)


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_a_run_that_fails_at_once_has_a_new_optimizer(poisoned, spec, name):
    bench = poisoned(0)
    of_run = spec.but(optimizer=options("optimizer")[name]())
    learner, new = bench.learners([of_run] * 2)
    (end,) = bench.alone(learner, batch_size=23)
    assert "the input became NaN or infinite at step 1 " in str(end)
    assert learner.state.step == learner.state.evaluations == 0
    for key, parameter in new.state.parameters.items():
        assert torch.equal(learner.state.parameters[key], parameter)


def test_a_stack_ends_when_all_have_diverged(single, spec):
    records = single.together(spec.three(optimizer=[SGDConfig(lr=1e38)] * 3), epochs=1000, log_every=50)
    assert [[type(record) for record in of_run] for of_run in records] == [[Diverged]] * 3


def test_nothing_is_copied_for_optimizers_that_keep_their_parameters_finite(bench, spec):
    settings = module.LoopSettings(**bench.settings | {"batch_size": 23})
    for optimizer, some in ((LBFGSConfig(), False), (AdamConfig(), True)):
        loop = Loop([bench.learner(spec.but(optimizer=optimizer))], [bench.data], settings)
        assert bool(loop._copies) == some


def test_copies_are_made_once_an_interval_and_when_a_rate_drops(bench, spec):
    learner = bench.learner(spec.but(scheduler=PlateauConfig(patience=0)))
    loop = Loop([learner], [bench.data], module.LoopSettings(**bench.settings | {"log_every": 10}))
    kept = []
    for step in range(1, 21):
        if step in (12, 13):
            learner.state.schedule.observe(1.0)
        loop.keep(step)
        kept.append(loop._kept)
    assert kept == [0] * 9 + [10] * 2 + [12] + [13] * 7 + [13]
