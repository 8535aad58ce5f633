"""Passes over examples: the updates of the loop, bit for bit, and on with other examples."""

import pytest
import torch

from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.optim import AdamConfig, LBFGSConfig, SGDConfig
from deeprob.training.learner import LoopSettings
from deeprob.training.one_pass import one_pass

SETTINGS = LoopSettings(epochs=1, batch_size=5, chunk_size=10**6, log_every=2)


@pytest.mark.parametrize("model", [{}, {"dropout": 0.3}], ids=["plain", "dropout"])
def test_passes_over_the_same_examples_are_the_epochs_of_the_loop(bench, spec, model):
    spec = spec.but(model=model)
    looped, passed = bench.learner(spec), bench.learner(spec)
    records = [record.epoch_metrics for record in bench.alone(looped) if record.epoch_metrics]
    means = [one_pass(passed, bench.features, bench.examples, SETTINGS, number) for number in range(3)]
    bench.same(looped, passed)
    expected = [record["train/loss"] for record in records]
    assert [found["train/loss"] for found in means] == pytest.approx(expected, rel=1e-12)


def test_the_number_of_examples_may_change(bench, spec):
    learner = bench.learner(spec)
    for number, count in enumerate((23, 1, 7)):
        one_pass(learner, bench.features, bench.examples[:count], SETTINGS, number)
    assert learner.state.step == 5 + 1 + 2
    assert learner.state.evaluations == 8


def test_full_batches_of_lbfgs(bench, spec):
    learner = bench.learner(spec.but(optimizer=LBFGSConfig(max_iter=5)))
    settings = LoopSettings(epochs=1, batch_size=100, chunk_size=10**6, log_every=2)
    first, *_, last = (one_pass(learner, bench.features, bench.examples, settings, number) for number in range(4))
    assert last["train/loss"] < 0.5 * first["train/loss"]


@pytest.mark.parametrize("optimizer", [SGDConfig(lr=1e200), AdamConfig(lr=1e200)])
def test_a_number_that_is_not_finite(bench, spec, optimizer):
    learner = bench.learner(spec.but(optimizer=optimizer))
    with pytest.raises(Diverged, match="the loss became NaN or infinite at step 5"):
        one_pass(learner, bench.features, bench.examples, SETTINGS, 0)


def test_weights(bench_of, spec):
    few = Examples.weighted(torch.randn(4, 2), torch.tensor([0, 1, 2, 1]), torch.tensor([1, 2, 1, 3]))
    bench = bench_of(few)
    many = few[torch.arange(4).repeat_interleave(few.weights.long())]
    one, other = bench.learner(spec), bench.learner(spec)
    settings = LoopSettings(epochs=1, batch_size=100, chunk_size=10**6, log_every=2)
    found = one_pass(one, bench.features, few.as_floats(bench.dtype), settings, 0)
    plain = Examples(many.inputs, many.targets).as_floats(bench.dtype)
    assert found["train/loss"] == pytest.approx(one_pass(other, bench.features, plain, settings, 0)["train/loss"])
