"""∇L(W) by formulas, by autograd and under vmap: by hand, against each other, in chunks and with little memory."""

import dataclasses

import pytest
import torch
from torch import nn

from deeprob import randomness
from deeprob.config import options
from deeprob.data import Examples
from deeprob.features.raw import Raw
from deeprob.models import LinearConfig, Model
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    FocalConfig,
    HingeConfig,
    HuberConfig,
    L1Config,
    L2Config,
    NoneConfig,
    Objective,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)
from deeprob.objective.regularizers import ElasticNet, NoRegularizer
from deeprob.optim import AdamConfig, Schedule, SGDConfig
from deeprob.optim.rules import RULES
from deeprob.training import TrainState
from deeprob.training.draws import Batch
from deeprob.training.gradient import (
    AutogradGradient,
    FormulaGradient,
    Terms,
    VmapGradient,
    correct_in_stack,
    stacked,
    with_numbers,
)
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.update import Update

LIKE = torch.zeros((), dtype=torch.float64)
KINDS = {"formulas": FormulaGradient, "autograd": AutogradGradient, "vmap": VmapGradient}
LOSSES = {
    "cross_entropy": CrossEntropyConfig(),
    "smoothing": CrossEntropyConfig(label_smoothing=0.2),
    "hinge": HingeConfig(margin=0.5),
    "squared_hinge": SquaredHingeConfig(margin=2.0),
    "one_vs_all_hinge": OneVsAllHingeConfig(),
    "squared_error": SquaredErrorConfig(),
    "focal": FocalConfig(gamma=1.5),
    "huber": HuberConfig(delta=0.3),
    "weighted": CrossEntropyConfig(class_weights=[1, 5, 2.5]),
    "weighted focal": FocalConfig(class_weights="balanced"),
}
REGULARIZERS = {
    "none": NoneConfig(),
    "l2": L2Config(strength=0.1),
    "l1": L1Config(strength=0.1),
    "proximal": L1Config(strength=0.1, proximal=True),
    "mixture": ElasticNetConfig(strength=0.2, l1_ratio=0.3),
}
MODELS = {
    "plain": {},
    "linear": {"hidden": []},
    "batch norm and dropout": {"norm": "batch", "dropout": 0.3},
    "layer norm": {"norm": "layer", "activation": "gelu"},
    "maxout": {"activation": "maxout"},
}


def objectives(*regularizers, losses=None):
    losses = losses or [CrossEntropyConfig()] * len(regularizers)
    return [Objective(loss.build(), r.build()) for loss, r in zip(losses, regularizers, strict=True)]


def numbers(objective):
    parts = objective.loss, objective.regularizer
    named = {name: getattr(part, name) for part in parts for name in part.numbers}
    return {name: n.flatten().tolist() if isinstance(n, torch.Tensor) else n for name, n in named.items()}


# ---------------------------------------------------------------- objectives put together


def test_numbers_become_columns_and_0_of_all_stays_a_number():
    objective = stacked(objectives(L2Config(strength=0.5), L2Config(strength=0.25)), LIKE)
    assert numbers(objective) == {"label_smoothing": 0.0, "l1": 0.0, "l2": [0.5, 0.25]}
    assert (objective.regularizer.l2.dtype, objective.regularizer.l2.shape) == (torch.float64, (2, 1))


def test_a_run_alone_has_columns_too():
    objective = stacked(objectives(L2Config(strength=0.1), losses=[HingeConfig(margin=0.7)]), LIKE.float())
    assert numbers(objective) == {"margin": [pytest.approx(0.7)], "l1": 0.0, "l2": [torch.tensor(0.1).item()]}
    assert objective.regularizer.l2.dtype == torch.float32


def test_none_is_a_strength_of_0():
    objective = stacked(objectives(NoneConfig(), L2Config(strength=0.5), L1Config(strength=2.0)), LIKE)
    assert isinstance(objective.regularizer, ElasticNet)
    assert numbers(objective) == {"label_smoothing": 0.0, "l1": [0, 0, 2], "l2": [0, 0.5, 0]}
    assert not objective.regularizer.proximal


def test_none_beside_a_proximal_one_takes_its_step_with_strength_0():
    objective = stacked(objectives(NoneConfig(), L1Config(strength=2.0, proximal=True)), LIKE)
    assert objective.regularizer.proximal
    assert numbers(objective)["l1"] == [0, 2]


def test_without_regularizers_there_is_none():
    objective = stacked(objectives(NoneConfig(), NoneConfig()), LIKE)
    assert isinstance(objective.regularizer, NoRegularizer)
    assert numbers(objective) == {"label_smoothing": 0.0}


def test_runs_without_class_weights_get_ones():
    counts = torch.tensor([3, 1])
    losses = [CrossEntropyConfig(), CrossEntropyConfig(class_weights="balanced")]
    runs = [Objective(loss.build(counts), NoneConfig().build()) for loss in losses]
    weights = stacked(runs, LIKE.float()).loss.class_weights
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor([[[1.0, 1.0]], [[2 / 3, 2.0]]]))
    assert stacked(runs[:1], LIKE).loss.class_weights is None
    assert runs[0].loss.class_weights is None


def test_the_objectives_of_the_runs_stay_as_they_are():
    runs = objectives(ElasticNetConfig(strength=1.0, l1_ratio=0.25), L2Config(strength=3.0))
    objective = stacked(runs, LIKE)
    of_run = with_numbers(objective, {"l1": torch.tensor(7.0), "l2": torch.tensor(8.0)})
    assert (runs[0].regularizer.l1, runs[0].regularizer.l2) == (0.25, 0.75)
    assert numbers(objective) == {"label_smoothing": 0.0, "l1": [0.25, 0], "l2": [0.75, 3]}
    assert of_run.regularizer([torch.tensor([[1.0, -2.0]])]).item() == 7 * 3 + 8 * 5


def test_correct_in_stack():
    scores = torch.tensor([[[1.0, 2.0], [2.0, 1.0]], [[0.0, 3.0], [0.0, 1.0]]])
    assert correct_in_stack(scores, torch.tensor([[1, 1], [1, 1]])).tolist() == [1, 2]
    assert correct_in_stack(scores, scores).tolist() == [0, 0]


def test_terms():
    of_sums = Terms(torch.tensor([10.0, 20.0]), 10, torch.tensor([3.0, 4.0]), torch.tensor([5, 6]))
    assert (of_sums.data_loss.tolist(), of_sums.loss.tolist()) == ([1, 2], [4, 6])
    of_means = Terms(torch.tensor([1.0]), 1, None, torch.tensor([5]))
    assert (of_means.data_loss.item(), of_means.loss.item()) == (1, 1)


# ---------------------------------------------------------------- gradients


@pytest.fixture
def gradient_of(bench):
    """Make the gradient of runs by one of the kinds, and a batch of theirs."""

    def make(kind, specs, chunk_size=10**6, bf16=False, halving=False, bench=bench):
        learners = bench.learners(specs)
        settings = LoopSettings(
            epochs=1, batch_size=9, chunk_size=chunk_size, log_every=1, formulas=kind == "formulas", bf16=bf16
        )
        update = Update.of(learners, bench.features, settings, whole=halving)
        if kind == "vmap":  # which a run alone does not use
            stack = update.stack
            objective = stacked([learner.objective for learner in learners], stack.parameters)
            model = learners[0].state.model
            update.gradient = VmapGradient(stack, objective, model, bench.features, chunk_size, bf16=bf16)
        assert type(update.gradient) is KINDS[kind]
        keys = randomness.fold(randomness.key(torch.arange(len(specs)), "dropout"), 3)
        part, runs = bench.examples[slice(0, 9)], len(specs)
        inputs, targets = (values.expand(runs, *values.shape) for values in (part.inputs, part.targets))
        return update.gradient, Batch(inputs, targets, keys if learners[0].state.model.noisy else None)

    return make


@pytest.mark.parametrize("kind", ["autograd", "vmap"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_all_kinds_agree_for_every_model(gradient_of, spec, kind, model):
    specs = [spec.but(model=model, regularizer=L2Config(strength=0.1))]
    (by_formulas, batch), (other, _) = (gradient_of(name, specs) for name in ("formulas", kind))
    mine, theirs = by_formulas(batch), other(batch)
    for name in ("data_loss", "regularization", "correct", "loss"):
        torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), check_dtype=False)
    assert by_formulas.stack.gradient.norm() > 0.1
    torch.testing.assert_close(other.stack.gradient, by_formulas.stack.gradient, rtol=1e-11, atol=1e-13)
    for name, buffer in by_formulas.stack.buffers.items():
        torch.testing.assert_close(other.stack.buffers[name], buffer, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["autograd", "vmap"])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("regularizer", REGULARIZERS.values(), ids=REGULARIZERS)
def test_all_kinds_agree_for_every_objective(gradient_of, spec, kind, loss, regularizer):
    specs = [spec.but(loss=loss, regularizer=regularizer)]
    (by_formulas, batch), (other, _) = (gradient_of(name, specs) for name in ("formulas", kind))
    mine, theirs = by_formulas(batch), other(batch)
    torch.testing.assert_close(mine.loss, theirs.loss)
    torch.testing.assert_close(mine.data_loss, theirs.data_loss)
    torch.testing.assert_close(other.stack.gradient, by_formulas.stack.gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", ["formulas", "vmap"])
def test_each_run_of_a_stack_has_its_own_numbers_and_noise(gradient_of, spec, kind):
    specs = spec.three(
        loss=[CrossEntropyConfig(label_smoothing=s) for s in (0.0, 0.1, 0.2)],
        regularizer=[NoneConfig(), L2Config(strength=0.1), L1Config(strength=0.2)],
        model=[{"dropout": rate, "norm": "batch"} for rate in (0.1, 0.3, 0.5)],
    )
    gradient, batch = gradient_of(kind, specs)
    terms = gradient(batch)
    for run, of_run in enumerate(specs):
        alone, _ = gradient_of("autograd", [of_run])
        of_alone = alone(Batch(batch.inputs[:1], batch.targets[:1], batch.keys[run : run + 1]))
        torch.testing.assert_close(terms.loss[run], of_alone.loss[0])
        torch.testing.assert_close(gradient.stack.gradient[run], alone.stack.gradient[0], rtol=1e-11, atol=1e-13)
        for name, buffer in alone.stack.buffers.items():
            torch.testing.assert_close(gradient.stack.buffers[name][run], buffer[0])


@pytest.mark.parametrize("kind", ["formulas", "vmap"])
def test_each_run_of_a_stack_has_its_own_class_weights(gradient_of, spec, kind):
    weights, gammas = ("none", "balanced", [1.0, 5.0, 2.5]), (0.0, 0.5, 3.0)
    losses = [FocalConfig(gamma=g, class_weights=w) for g, w in zip(gammas, weights, strict=True)]
    gradient, batch = gradient_of(kind, spec.three(loss=losses))
    terms = gradient(batch)
    data_losses, _ = gradient.losses(batch.inputs, batch.targets)
    for run, loss in enumerate(losses):
        alone, _ = gradient_of("autograd", [spec.but(seed=run, loss=loss)])
        of_alone = alone(Batch(batch.inputs[:1], batch.targets[:1], None))
        torch.testing.assert_close(terms.loss[run], of_alone.loss[0])
        torch.testing.assert_close(gradient.stack.gradient[run], alone.stack.gradient[0], rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(data_losses[run], alone.losses(batch.inputs[:1], batch.targets[:1])[0][0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_is_written_not_added(gradient_of, spec, kind):
    gradient, batch = gradient_of(kind, [spec.but(regularizer=L2Config(strength=0.1))])
    gradient(batch)
    first = gradient.stack.gradient.clone()
    gradient(batch)
    assert torch.equal(gradient.stack.gradient, first)
    assert gradient.evaluations == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 4, 8])
def test_chunks_give_the_gradient_of_the_whole_batch(gradient_of, spec, kind, size):
    loss = CrossEntropyConfig(class_weights="balanced")
    specs = [spec.but(regularizer=L2Config(strength=0.1), model={"norm": "layer"}, loss=loss)]
    (whole, batch), (chunked, _) = gradient_of(kind, specs), gradient_of(kind, specs, chunk_size=size)
    counts, evaluate = [], chunked.whole
    chunked.whole = lambda part, share: (counts.append(part.targets.shape[1]), evaluate(part, share))[1]
    for one, two in zip(whole(batch), chunked(batch), strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(chunked.stack.gradient, whole.stack.gradient, rtol=1e-11, atol=1e-13)
    assert counts == [size] * (9 // size) + [9 % size] * (9 % size > 0)
    assert chunked.evaluations == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_chunk_draws_its_own_noise(gradient_of, spec, kind):
    gradient, batch = gradient_of(kind, [spec.but(model={"dropout": 0.5})], chunk_size=4)
    seen, evaluate = [], gradient.whole
    gradient.whole = lambda part, share: (seen.append(part.keys), evaluate(part, share))[1]
    gradient(batch)
    assert [keys.tolist() for keys in seen] == [randomness.fold(batch.keys, start).tolist() for start in (0, 4, 8)]


def scarce(gradient, most, error=torch.OutOfMemoryError):
    """Let memory run out for more than so many examples."""
    evaluate = gradient.whole

    def whole(part, share=1.0):
        if part.targets.shape[1] > most:
            raise error("CUDA out of memory")
        return evaluate(part, share)

    gradient.whole = whole


@pytest.mark.parametrize("kind", ["formulas", "autograd"])
def test_chunks_of_a_whole_split_are_halved_until_they_fit(gradient_of, spec, kind, capsys):
    (plenty, batch), (little, _) = (gradient_of(kind, [spec], halving=True) for _ in range(2))
    scarce(little, 2)
    for one, two in zip(plenty(batch), little(batch), strict=True):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(little.stack.gradient, plenty.stack.gradient, rtol=1e-11, atol=1e-13)
    assert (little.chunk_size, little.evaluations) == (2, 1)
    assert capsys.readouterr().err.splitlines() == [
        "note: not enough memory for chunks of 9 examples; continuing with 4 at once",
        "note: not enough memory for chunks of 4 examples; continuing with 2 at once",
    ]


def test_memory_that_runs_out_elsewhere_is_an_error(gradient_of, spec):
    for specs, halving, most, error in (
        ([spec], False, 8, torch.OutOfMemoryError),  # the size of a mini-batch is the user's choice
        ([spec, spec], True, 8, torch.OutOfMemoryError),  # a stack becomes smaller instead
        ([spec], True, 0, torch.OutOfMemoryError),
        ([spec], True, 8, ZeroDivisionError),
    ):
        gradient, batch = gradient_of("formulas", specs, halving=halving)
        scarce(gradient, most, error)
        with pytest.raises(error):
            gradient(batch)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_have_no_noise_and_change_nothing(gradient_of, bench, spec, kind):
    specs = [spec.but(model={"norm": "batch", "dropout": 0.5}, loss=HingeConfig(margin=0.7))]
    gradient, batch = gradient_of(kind, specs)
    gradient(batch)  # moves the running means
    before = {name: buffer.clone() for name, buffer in gradient.stack.buffers.items()}
    inputs, targets = bench.features(bench.examples.inputs), bench.examples.targets
    losses, found = gradient.losses(inputs[None], targets[None])
    model = gradient.model
    assert model.training
    scores = model.eval()(inputs)
    torch.testing.assert_close(losses[0], HingeConfig(margin=0.7).build()(scores, targets))
    torch.testing.assert_close(found[0], scores)
    assert all(torch.equal(buffer, before[name]) for name, buffer in gradient.stack.buffers.items())


@pytest.mark.parametrize("kind", KINDS)
def test_products_in_bfloat16_are_near_and_not_the_same(gradient_of, spec, single, kind):
    specs = [spec.but(model={"hidden": [32]})]
    (rough, batch), (exact, _) = (gradient_of(kind, specs, bf16=bf16, bench=single) for bf16 in (True, False))
    losses = rough(batch).loss, exact(batch).loss
    assert losses[0].dtype == rough.stack.gradient.dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0.02, atol=0.02)
    apart = (rough.stack.gradient - exact.stack.gradient).norm() / exact.stack.gradient.norm()
    assert 1e-4 < apart < 0.03
    measured = [gradient.losses(batch.inputs, batch.targets)[0] for gradient in (rough, exact)]
    torch.testing.assert_close(*measured, rtol=0.05, atol=0.05)
    assert not torch.equal(*measured)


# ---------------------------------------------------------------- parts without formulas


class Scaled(Model):
    """A user's model that has no formulas: s·(Wx + b)."""

    def __init__(self, inputs, outputs, shape=(1,)):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs).double()
        self.scale = nn.Parameter(torch.full(shape, 1.5, dtype=torch.float64))

    def forward(self, inputs, key=None):
        return self.scale * self.layer(inputs)

    def stages(self, inputs):
        yield "scores", self(inputs)

    @property
    def linear_layers(self):
        return [self.layer]


def test_a_user_s_model_trains_alone_and_in_a_stack(bench):
    def learners():
        for run, lr in enumerate((0.05, 0.1)):
            torch.manual_seed(run)
            model, config = Scaled(4, 3), SGDConfig(lr=lr, momentum=0.5)
            state = TrainState.start(model, config.build(model.parameters()), Schedule(), torch.device("cpu"))
            yield Learner(state, objectives(L2Config(strength=0.01))[0], config, run)

    stack, alone = list(learners()), list(learners())
    together = bench.together(stack, formulas=False, batch_size=23, epochs=15)
    for records, one, other in zip(together, stack, alone, strict=True):
        mine = bench.alone(other, formulas=False, batch_size=23, epochs=15)
        assert mine[-1].metrics["train/loss"] < mine[0].metrics["train/loss"]
        assert records[-1].metrics == pytest.approx(mine[-1].metrics, rel=1e-10)
        for name, parameter in other.state.parameters.items():
            torch.testing.assert_close(one.state.parameters[name], parameter, rtol=1e-10, atol=1e-12)
    assert stack[0].state.parameters["scale"].item() != 1.5


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_parameter_of_no_dimension_in_a_stack_is_updated_as_alone(bench, name):
    def learners():
        for run, lr in enumerate((0.01, 0.05, 0.02)):
            torch.manual_seed(run)
            numbers = {"momentum": 0.5} if name in ("sgd", "rmsprop") else {}
            model, config = Scaled(4, 3, shape=()), options("optimizer")[name](lr=lr, **numbers)
            state = TrainState.start(model, config.build(model.parameters()), Schedule(), torch.device("cpu"))
            yield Learner(state, objectives(L2Config(strength=0.01))[0], config, run)

    stack, alone = list(learners()), list(learners())
    bench.together(stack, formulas=False)
    for one, other in zip(stack, alone, strict=True):
        bench.alone(other, formulas=False)
        for parameter in ("scale", "layer.weight"):
            mine, its = (learner.state.parameters[parameter] for learner in (other, one))
            torch.testing.assert_close(its, mine, rtol=1e-9, atol=1e-11)
        kept, states = (learner.state.optimizer.state_dict()["state"] for learner in (other, one))
        assert {place: set(entries) for place, entries in kept.items()} == {p: set(e) for p, e in states.items() if e}
        for place, entries in kept.items():
            assert all(torch.as_tensor(value).shape == states[place][key].shape for key, value in entries.items())


# ---------------------------------------------------------------- over many updates


def cases():
    for name, rule in sorted(RULES.items()):
        yield pytest.param(options("optimizer")[name](), id=name)
        for flag in rule.flags:
            momentum = {"momentum": 0.9} if flag == "nesterov" else {}
            yield pytest.param(options("optimizer")[name](**{flag: True}, **momentum), id=f"{name} {flag}")


@pytest.mark.parametrize("optimizer", list(cases()))
def test_formulas_and_autograd_agree_over_20_updates(bench, spec, optimizer):
    decay = {"weight_decay": 0.01} if hasattr(optimizer, "weight_decay") else {}
    optimizer = dataclasses.replace(optimizer, **decay)
    specs = [
        spec.but(seed=seed, optimizer=optimizer, regularizer=regularizer, model={"activation": "tanh", "dropout": 0.2})
        for seed, regularizer in enumerate((L2Config(strength=0.01), L1Config(strength=0.01, proximal=True)))
    ]
    for of_run in specs:
        one, other = bench.learners([of_run, of_run])
        records = bench.alone(one, epochs=4), bench.alone(other, epochs=4, formulas=False)
        assert one.state.step == 20
        for mine, theirs in zip(*records, strict=True):
            assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-10)
        for name, parameter in one.state.parameters.items():
            torch.testing.assert_close(other.state.parameters[name], parameter, rtol=1e-10, atol=1e-10)


def test_vmap_and_formulas_agree_over_15_updates(bench, spec):
    specs = spec.three(
        optimizer=[AdamConfig(lr=lr) for lr in (0.01, 0.02, 0.03)],
        regularizer=[NoneConfig(), L1Config(strength=0.01, proximal=True), L1Config(strength=0.1, proximal=True)],
        loss=[CrossEntropyConfig(label_smoothing=s) for s in (0.0, 0.1, 0.2)],
        model=[{"dropout": rate, "norm": "batch"} for rate in (0.0, 0.1, 0.2)],
    )
    held_out = bench.examples[slice(0, 7)]
    records = [bench.together(specs, formulas=formulas, validation=held_out) for formulas in (True, False)]
    for mine, theirs in zip(*records, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert one.metrics == pytest.approx(other.metrics, rel=1e-9)
            assert one.validation == (None if other.validation is None else pytest.approx(other.validation, rel=1e-9))


def test_prepared_inputs_are_those_of_the_features():
    examples = Examples(torch.randint(256, (2, 3, 5), dtype=torch.uint8), torch.zeros(2, 3).long())
    features = Raw((5,), "feature")
    features.fit(examples.inputs.flatten(0, 1))
    model = LinearConfig().build(5, 2, torch.Generator())
    config = SGDConfig()
    state = TrainState.start(model, config.build(model.parameters()), Schedule(), torch.device("cpu"))
    settings = LoopSettings(epochs=1, batch_size=3, chunk_size=9, log_every=1)
    learner = Learner(state, objectives(NoneConfig())[0], config, 0)
    gradient = Update.of([learner], features, settings).gradient
    for run in (0, 1):
        assert torch.equal(gradient.prepared(examples.inputs)[run], features(examples.inputs[run]))
    assert Update.of([learner], None, settings).gradient.prepared(examples.inputs) is examples.inputs
