"""Weights of examples: as often as copies of the row, in formulas, autograd and vmap, in chunks, batches and stacks."""

import copy
from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from deeprob.data import Examples
from deeprob.objective import CrossEntropyConfig, HuberConfig, L2Config, SquaredErrorConfig
from deeprob.optim import LBFGSConfig
from deeprob.training import evaluate, train
from deeprob.training.draws import Draws
from deeprob.training.gradient import AutogradGradient, FormulaGradient, VmapGradient
from deeprob.training.learner import LoopSettings
from deeprob.training.training_data import TrainingData
from deeprob.training.update import Update

KINDS = {"formulas": FormulaGradient, "autograd": AutogradGradient, "vmap": VmapGradient}
COPIES = torch.tensor([3, 1, 2, 1, 4, 1])


def examples(*, classes: bool = True) -> Examples:
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 2, 1, 0]) if classes else torch.randn(6, 2, generator=rng, dtype=torch.float64)
    return Examples.weighted(inputs, targets, COPIES)


def repeated(of: Examples) -> Examples:
    places = torch.arange(len(of)).repeat_interleave(of.weights.long())
    return replace(of, weights=None)[places]


def terms_of(bench, spec, kind, chunk_size=100):
    """Return the terms of L(W) over the full batch, and its gradient."""
    settings = LoopSettings(epochs=1, batch_size=100, chunk_size=chunk_size, log_every=1, formulas=kind == "formulas")
    learners = [bench.learner(spec)] * (1 if kind != "vmap" else 2)
    learners = [copy.deepcopy(learner) for learner in learners]
    update = Update.of(learners, bench.features, settings)
    assert type(update.gradient) is KINDS[kind]
    draws = Draws(bench.examples, 100, [0] * len(learners))
    terms = update.gradient(draws[0])
    update.measure(terms, len(bench.examples))
    return terms.loss[0], terms.data_loss[0], update.stack.gradient[0], draws[0]


LOSSES = [
    CrossEntropyConfig(),
    CrossEntropyConfig(class_weights=[1, 5, 2.5]),
    SquaredErrorConfig(),
    HuberConfig(delta=0.3),
]


@pytest.mark.parametrize("chunk_size", [100, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_weight_is_so_many_copies(bench_of, spec, kind, loss, chunk_size):
    few = examples(classes=not isinstance(loss, HuberConfig))
    spec = spec.but(loss=loss, regularizer=L2Config(strength=0.1))
    one, many = bench_of(few), bench_of(repeated(few))
    many.features = one.features
    many.learner = one.learner  # class weights and shapes of the same training split
    found, wanted = terms_of(one, spec, kind, chunk_size), terms_of(many, spec, kind)
    for mine, theirs in zip(found[:3], wanted[:3], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_the_mean_within_a_batch(bench_of, spec):
    *_, batch = terms_of(bench_of(examples()), spec, "formulas")
    torch.testing.assert_close(batch.weights, COPIES[None] * 6 / 12.0, rtol=1e-15, atol=0, check_dtype=False)
    part = Draws(examples(), 4, [0, 1])[1]
    assert part.weights.shape == (2, 2)
    torch.testing.assert_close(part.weights.mean(1), torch.ones(2, dtype=torch.float64))


def test_batches_are_drawn_as_without_weights():
    few = examples()
    weighted, plain = Draws(few, 4, [0, 1]), Draws(replace(few, weights=None), 4, [0, 1])
    for step in range(4):
        assert torch.equal(weighted[step].inputs, plain[step].inputs)
        assert plain[step].weights is None
        of_row = {tuple(row.tolist()): weight for row, weight in zip(few.inputs, few.weights.tolist(), strict=True)}
        drawn = torch.tensor([[of_row[tuple(row.tolist())] for row in rows] for rows in weighted[step].inputs])
        torch.testing.assert_close(weighted[step].weights, drawn.double() / drawn.double().mean(1, keepdim=True))


@pytest.mark.parametrize("batch_size", [5, 100])
def test_a_run_has_the_same_bits_alone_and_in_a_stack(bench_of, spec, batch_size):
    rng = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(23, 4, generator=rng), torch.randint(3, (23,), generator=rng)
    bench = bench_of(Examples.weighted(inputs, targets, torch.rand(23, generator=rng)), torch.float32)
    val = Examples.weighted(inputs[:9].clone(), targets[:9], torch.rand(9, generator=rng))
    bench.settings["batch_size"] = batch_size
    assert bench.unlike(spec.three(), [0, 2], validation=val) == []


def test_the_validation_loss_is_weighted(bench_of, spec):
    few = examples()
    bench = bench_of(few)
    record = [r for r in bench.alone(spec, validation=few) if r.validation][-1]
    plain = [r for r in bench.alone(spec, validation=repeated(few)) if r.validation][-1]
    assert record.validation["loss"] == pytest.approx(plain.validation["loss"], rel=1e-12)


def test_evaluate_by_hand():
    two = Examples.weighted(torch.zeros(3, 1), torch.tensor([0, 1, 0]), torch.tensor([3, 1, 0]))
    scores = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    found = evaluate(lambda part: scores[: len(part)], two, CrossEntropyConfig().build(), 100)
    log2, wrong = torch.tensor(2.0).log().item(), (1 + torch.tensor(1.0).exp()).log().item()
    assert found["loss"] == pytest.approx((3 * log2 + wrong) / 4, rel=1e-6)


def test_logistic_regression_of_scikit_learn(bench_of, spec):
    rng = torch.Generator().manual_seed(5)
    inputs = torch.randn(60, 4, generator=rng, dtype=torch.float64)
    targets = (inputs @ torch.randn(4, 3, generator=rng, dtype=torch.float64)).argmax(1)
    targets[::7] = 0
    weights = torch.rand(60, generator=rng, dtype=torch.float64)
    data = Examples.weighted(inputs, targets, weights)
    bench = bench_of(data)
    bench.settings |= {"batch_size": 60, "epochs": 30}
    linear = spec.but(
        optimizer=LBFGSConfig(max_iter=200, tolerance_change=0, tolerance_grad=1e-12),
        regularizer=L2Config(strength=0.01),
        model={"hidden": []},
    )
    learner = bench.learner(linear)
    bench.alone(learner)
    found = learner.state.model(bench.features(inputs)).softmax(1)
    # C Σ wL + ½Σ W² has the minimum of Σ wL/Σ w + 0.01 Σ W² if C = 1/(0.02 Σ w)
    theirs = LogisticRegression(C=1 / (0.02 * weights.sum().item()), tol=1e-10, max_iter=10_000)
    theirs.fit(bench.features(inputs).numpy(), targets.numpy(), sample_weight=weights.numpy())
    wanted = torch.from_numpy(theirs.predict_proba(bench.features(inputs).numpy()))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_runs_with_weights_of_their_own_train_together(bench_of, spec):
    rng = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(23, 4, generator=rng), torch.randint(3, (23,), generator=rng)
    bench = bench_of(Examples(inputs, targets), torch.float32)
    weights = [torch.rand(23, generator=rng) for _ in range(2)]
    data = [TrainingData(bench.features, Examples.weighted(inputs, targets, of_run)) for of_run in weights]
    data = [replace(of_run, validation=of_run.train[:9]) for of_run in data]
    settings = LoopSettings(epochs=2, batch_size=5, chunk_size=10**6, log_every=2)
    together, alone = bench.learners(spec.three()[:2]), bench.learners(spec.three()[:2])
    stacked = list(train(together, data, settings))
    for run, (one, other) in enumerate(zip(together, alone, strict=True)):
        single = list(train([other], [data[run]], settings))
        bench.same(one, other)
        assert [record[run] for record in stacked] == [record[0] for record in single]
    assert not torch.equal(together[0].state.model.layers[0].weight, together[1].state.model.layers[0].weight)
    plain = TrainingData(bench.features, Examples(inputs, targets))
    assert replace(data[0], validation=None).shapes != plain.shapes
