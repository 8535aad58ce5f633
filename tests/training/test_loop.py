"""The loop: interruption anywhere, chunks, freezing, schedules; each against plain PyTorch or against itself."""

import copy

import pytest
import torch
from torch.utils._pytree import tree_flatten

from deeprob import randomness
from deeprob.config import options
from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features.raw import Raw
from deeprob.models.linear import LinearConfig
from deeprob.models.mlp import MLPConfig
from deeprob.objective import CrossEntropyConfig, L1Config, L2Config, NoneConfig, Objective, SquaredErrorConfig
from deeprob.optim import AdamWConfig, ASGDConfig, LBFGSConfig, PlateauConfig, RMSpropConfig, Schedule, SGDConfig
from deeprob.training import TrainState, train
from deeprob.training.loop import Learner, LoopSettings
from deeprob.training.update import Update, total_norm

OPTIMIZERS = {
    **{name: cls() for name, cls in options("optimizer").items()},
    "sgd": SGDConfig(lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": RMSpropConfig(momentum=0.5, centered=True),
    "asgd": ASGDConfig(t0=4.0),
    "adamw": AdamWConfig(lr=0.01, amsgrad=True),
    "lbfgs": LBFGSConfig(max_iter=3),
}


def examples(count: int = 23) -> Examples:
    rng = torch.Generator().manual_seed(1)
    return Examples(torch.randn(count, 4, generator=rng), torch.randint(3, (count,), generator=rng))


def start(optimizer=None, dropout: float = 0.0, norm: str = "none", schedule=lambda step: 1.0) -> TrainState:
    model = MLPConfig(hidden=[6, 5], dropout=dropout, norm=norm).build(4, 3, torch.Generator().manual_seed(2))
    optimizer = (optimizer or SGDConfig(lr=0.1)).build(model.parameters())
    return TrainState.start(model, optimizer, Schedule(schedule), torch.device("cpu"))


def raw(data: Examples) -> Raw:
    features = Raw((4,), "feature")
    features.fit(data.inputs)
    return features


def objective(strength: float = 0.01) -> Objective:
    regularizer = L2Config(strength=strength) if strength else NoneConfig()
    return Objective(CrossEntropyConfig().build(), regularizer.build())


def run(state, data, **changes):
    return trained(state, objective(), raw(data), data, **changes)


def trained(state, loss, features, data, **changes):
    """Return the generator of a run's records: `changes` are settings of the loop, a seed, or an interruption."""
    interrupted = changes.pop("interrupted", lambda: False)
    settings = {"epochs": 3, "batch_size": 5, "chunk_size": 100, "log_every": 2} | changes
    optimizer = LBFGSConfig() if isinstance(state.optimizer, torch.optim.LBFGS) else SGDConfig()
    learner = Learner(state, loss, optimizer, seed=settings.pop("seed", 0))
    return train(learner, features, data, LoopSettings(**settings), interrupted)


def weights(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.model.named_parameters()}


def assert_same(state: TrainState, other: TrainState) -> None:
    mine, shape = tree_flatten(state.state_dict() | {"seconds": 0.0})
    theirs, other_shape = tree_flatten(other.state_dict() | {"seconds": 0.0})
    assert shape == other_shape
    for one, two in zip(mine, theirs, strict=True):
        assert torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [1, 3, 7, 12])  # 5 updates an epoch: in the middle of the 1st, 2nd and 3rd
def test_an_interrupted_run_goes_on_bit_for_bit(name, stop):
    data, optimizer = examples(), OPTIMIZERS[name]
    batch_size = len(data) if name == "lbfgs" else 5
    dropout = 0.0 if name == "lbfgs" else 0.4
    settings = {"batch_size": batch_size, "epochs": 15 if name == "lbfgs" else 3}
    falling = {"schedule": lambda step: 1 / (1 + step)}

    whole = start(optimizer, dropout, **falling)
    records = list(run(whole, data, **settings))

    first = start(optimizer, dropout, **falling)
    before = list(run(first, data, **settings, interrupted=lambda: first.step == stop))
    assert first.step == stop
    written = copy.deepcopy(first.state_dict())

    second = start(optimizer, dropout, **falling)
    second.load_state_dict(written)
    after = list(run(second, data, **settings))
    assert_same(second, whole)
    assert [r for r in before if r.metrics] + after == records


def test_running_means_go_on_bit_for_bit():
    data = examples()
    whole, first, second = (start(norm="batch") for _ in range(3))
    list(run(whole, data))
    list(run(first, data, interrupted=lambda: first.step == 7))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    list(run(second, data))
    assert_same(second, whole)


def test_the_comparison_notices_what_is_left_out():
    data, optimizer = examples(), OPTIMIZERS["sgd"]
    whole, first = start(optimizer), start(optimizer)
    list(run(whole, data))
    list(run(first, data, interrupted=lambda: first.step == 7))
    written = copy.deepcopy(first.state_dict())
    second = start(optimizer)
    written["optimizer"]["state"][0]["momentum_buffer"].zero_()
    second.load_state_dict(written)
    list(run(second, data))
    with pytest.raises(AssertionError):
        assert_same(second, whole)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_updates_equal_a_loop_by_hand(name):
    data, state = examples(), start(OPTIMIZERS[name])
    model = copy.deepcopy(state.model)
    optimizer = OPTIMIZERS[name].build(model.parameters())
    inputs = (data.inputs - data.inputs.mean(0)) / data.inputs.std(0, correction=0)
    losses = []
    for epoch in range(3):
        order = randomness.permutation(randomness.fold(randomness.key(0, "batches"), epoch), len(data))
        for batch in order.split(5):
            loss = torch.nn.functional.cross_entropy(model(inputs[batch]), data.targets[batch])
            loss = loss + 0.01 * sum(p.square().sum() for p in model.parameters() if p.dim() == 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((loss.item(), len(batch)))
    records = list(run(state, data))
    torch.testing.assert_close(weights(state), {n: p.detach() for n, p in model.named_parameters()})
    epochs = [record.epoch_metrics["train/loss"] for record in records if record.epoch_metrics]
    expected = [sum(loss * n for loss, n in losses[e * 5 : e * 5 + 5]) / 23 for e in range(3)]
    assert epochs == pytest.approx(expected, rel=1e-5)


def test_records_come_every_interval_and_at_the_end_of_an_epoch():
    records = list(run(start(), examples()))
    assert [record.step for record in records] == [2, 4, 5, 6, 8, 10, 12, 14, 15]
    assert [record.epoch for record in records] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [record.examples for record in records] == [10, 10, 3, 5, 10, 8, 10, 10, 3]
    assert [record.step for record in records if record.epoch_metrics] == [5, 10, 15]


def test_total_is_data_loss_plus_regularization():
    for record in run(start(), examples()):
        parts = record.metrics["train/data_loss"] + record.metrics["train/regularization"]
        assert record.metrics["train/loss"] == pytest.approx(parts, rel=1e-6)
        assert record.metrics["train/regularization"] > 0


def test_the_schedule_multiplies_the_rate():
    rates = [r.metrics["optim/lr"] for r in run(start(schedule=lambda step: 0.5**step), examples(), log_every=1)]
    assert rates == [0.1 * 0.5**step for step in range(15)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_give_the_result_of_the_whole_batch(name):
    data = examples()
    whole, chunked = start(OPTIMIZERS[name]), start(OPTIMIZERS[name])
    for state in (whole, chunked):
        state.model.double()
    features = raw(data).double()
    for state, size in ((whole, 23), (chunked, 4)):
        list(trained(state, objective(), features, data, epochs=4, batch_size=23, chunk_size=size, log_every=1))
    torch.testing.assert_close(weights(chunked), weights(whole), rtol=1e-10, atol=1e-12)
    assert chunked.meters.state_dict()["epoch"] == whole.meters.state_dict()["epoch"]


def test_dropout_differs_between_steps_and_not_between_runs():
    def losses(dropout=0.5, seed=0):
        """Losses of a full batch three times, at a rate of 0: nothing but the masks can differ."""
        state = start(dropout=dropout, schedule=lambda step: 0.0)
        return [r.metrics["train/loss"] for r in run(state, examples(), seed=seed, batch_size=23, log_every=1)]

    assert len(set(losses(dropout=0.0))) == 1
    first = losses()
    assert len(set(first)) == 3
    assert losses() == first
    assert not set(losses(seed=1)) & set(first)


@pytest.fixture
def poisoned():
    """Examples of which the one that comes `place`-th in the first epoch is infinite."""

    def make(place: int) -> Examples:
        data = examples()
        order = randomness.permutation(randomness.fold(randomness.key(0, "batches"), 0), 23).tolist()
        data.inputs[order[place], 2] = float("inf")
        return data

    return make


def after(count: int):
    """Interrupt after so many updates."""
    calls = []
    return lambda: calls.append(1) or len(calls) == count


@pytest.mark.parametrize("interval", [1, 2, 100])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "lbfgs"])
def test_a_run_that_diverges_goes_back_to_its_last_finite_state(name, interval, poisoned):
    state, other = (start(OPTIMIZERS[name], norm="batch") for _ in range(2))
    features = raw(examples())
    settings = {"epochs": 1, "batch_size": 5, "chunk_size": 100, "log_every": interval}
    list(trained(other, objective(), features, examples(), **settings, interrupted=after(4)))
    with pytest.raises(Diverged):
        list(trained(state, objective(), features, poisoned(-1), **settings))
    assert (state.step, state.evaluations, state.frozen) == (4, 4, 0)
    other.meters.reset()
    assert_same(state, other)


def test_lbfgs_that_diverges_stays_at_its_last_finite_state():
    state, data = start(OPTIMIZERS["lbfgs"]), examples()
    training = trained(state, objective(), raw(data), data, batch_size=23)
    next(training)
    before, evaluations = weights(state), state.evaluations
    next(state.model.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(Diverged, match="step 2"):
        list(training)
    assert (state.step, state.evaluations, state.frozen) == (1, evaluations, 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(state).items())


@pytest.mark.parametrize("interval", [2, 100])
def test_a_state_whose_parameters_overflowed_unnoticed_is_found(interval):
    # at a rate of 1e30 in the fourth update the parameters are too large, and the loss is infinite in the fifth
    state, other = (start(OPTIMIZERS["sgd"], schedule=lambda step: 1e30 if step == 3 else 1.0) for _ in range(2))
    list(run(other, examples(), log_every=interval, interrupted=after(3)))
    with pytest.raises(Diverged, match="the updated parameters became NaN or infinite at step 4 ") as caught:
        list(run(state, examples(), log_every=interval))
    assert (caught.value.step, state.step, state.evaluations) == (4, 3, 3)
    other.meters.reset()
    assert_same(state, other)


@pytest.mark.parametrize("interval", [1, 100])
def test_updates_before_a_drop_of_the_rate_are_made_again_at_the_rate_before(interval):
    def observed(state, **changes):
        state.schedule = PlateauConfig(patience=0, gamma=0.5).build(15)
        for record in run(state, examples(), log_every=interval, epochs=9, **changes):
            if record.epoch_metrics:
                state.schedule.observe(1.0)  # no better, so the rate is halved after each epoch but the first

    def fail(update, finite):
        check(update, finite & torch.tensor(update.state.step != 22))

    other, state, check = start(), start(), Update.check
    observed(other, interrupted=lambda: other.step == 22)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Update, "check", fail)
        with pytest.raises(Diverged, match="step 23 "):
            observed(state)
    other.meters.reset()
    assert_same(state, other)


def test_a_pause_notices_what_is_not_finite(poisoned):
    state, records = start(), []
    settings = {"epochs": 3, "batch_size": 5, "chunk_size": 100, "log_every": 100, "pause_every": 3}
    with pytest.raises(Diverged, match="the input became NaN or infinite at step 1 "):
        records += trained(state, objective(), raw(examples()), poisoned(0), **settings)
    assert (records, state.step) == ([], 0)


def test_divergence_names_step_and_batch():
    data = examples()
    poisoned = Examples(data.inputs.clone(), data.targets)
    poisoned.inputs[3, 2] = float("inf")
    features = raw(data)
    order = randomness.permutation(randomness.fold(randomness.key(0, "batches"), 0), 23).tolist()
    settings = {"epochs": 3, "batch_size": 5, "chunk_size": 100, "log_every": 100}
    with pytest.raises(Diverged, match="the input became NaN or infinite") as caught:
        list(trained(start(), objective(), features, poisoned, **settings))
    batch = order.index(3) // 5 + 1
    assert caught.value.step == batch
    assert f"(epoch 1, batch {batch})" in str(caught.value)
    assert caught.value.status == 3


@pytest.mark.parametrize(
    ("name", "poison"),
    [
        ("gradient of layers.1.weight", lambda state: state.model.layers[1].weight),
        ("gradient of layers.2.bias", lambda state: state.model.layers[2].bias),
    ],
)
def test_divergence_names_the_first_tensor(name, poison):
    state = start()
    poison(state).register_hook(lambda gradient: gradient * float("nan"))
    evaluations = state.evaluations
    with pytest.raises(Diverged, match=name):
        list(run(state, examples()))
    assert (state.step, state.evaluations) == (0, evaluations)


def test_parameters_that_overflow_are_noticed():
    state = start(SGDConfig(lr=1e38))
    with pytest.raises(Diverged):
        list(run(state, examples()))


def test_evaluations_are_counted():
    state = start(OPTIMIZERS["lbfgs"])
    list(run(state, examples(), batch_size=23))
    assert state.step == 3
    assert state.evaluations > 6  # three updates of up to three iterations, each with one evaluation or more


def test_total_norm():
    assert total_norm([torch.tensor([[3.0]]), torch.tensor([4.0, 12.0])]) == 13


def test_the_proximal_step_makes_exact_zeros_and_spares_biases():
    data, state = examples(), start(SGDConfig(lr=0.1))
    lasso = Objective(CrossEntropyConfig().build(), L1Config(strength=0.2, proximal=True).build())
    with torch.no_grad():
        for name, parameter in state.parameters.items():
            if name.endswith("bias"):
                parameter.fill_(0.01)
    settings = {"epochs": 30, "batch_size": 23, "chunk_size": 100, "log_every": 5}
    list(trained(state, lasso, raw(data), data, **settings))
    zeros = {name: (tensor == 0).float().mean().item() for name, tensor in weights(state).items()}
    assert all(share > 0.5 for name, share in zeros.items() if name.endswith("weight"))
    assert all(share == 0 for name, share in zeros.items() if name.endswith("bias"))


def test_one_proximal_update_by_hand():
    # L = ½-free squared error of one weight: w = 1, x = 1, y = 0: gradient 2; w ← 1 − 0.1·2 = 0.8, then − 0.1·3 = 0.5
    model = LinearConfig().build(1, 1, torch.Generator())
    with torch.no_grad():
        model.layer.weight.fill_(1.0)
    state = TrainState.start(model, SGDConfig(lr=0.1).build(model.parameters()), Schedule(), torch.device("cpu"))
    squared = Objective(SquaredErrorConfig().build(), L1Config(strength=3.0, proximal=True).build())
    features = Raw((1,), "none")
    Update(state, squared, features, 10)(Examples(torch.ones(1, 1), torch.zeros(1, 1)), None)
    assert model.layer.weight.item() == pytest.approx(0.5)
    assert model.layer.bias.item() == pytest.approx(-0.2)


def test_a_full_batch_that_does_not_fit_is_halved_and_goes_on(monkeypatch, capsys):
    data = examples()
    whole, halved = start(), start()
    for state in (whole, halved):
        state.model.double()
    features = raw(data).double()
    settings = {"epochs": 3, "batch_size": 23, "chunk_size": 100, "log_every": 1}
    list(trained(whole, objective(), features, data, **settings))
    chunk = Update._chunk

    def scarce(update, part, key, share):
        if len(part) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return chunk(update, part, key, share)

    monkeypatch.setattr(Update, "_chunk", scarce)
    list(trained(halved, objective(), features, data, **settings))
    for one, two in zip(whole.model.parameters(), halved.model.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-12)
    assert capsys.readouterr().err.splitlines() == [
        "note: not enough memory for 23 examples at once; continuing with trainer.chunk_size=11",
        "note: not enough memory for 11 examples at once; continuing with trainer.chunk_size=5",
    ]
    assert halved.evaluations == whole.evaluations
    with pytest.raises(torch.OutOfMemoryError):  # a mini-batch's size is the user's choice
        list(trained(start(), objective(), raw(data), data, **settings | {"batch_size": 12}))
