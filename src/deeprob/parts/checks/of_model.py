"""The clauses of a model."""

import torch
from torch import Tensor, nn

from deeprob import randomness
from deeprob.assembly.gradients_of import ByFormulas, differentiable, first_batch, in_float64, loss_over
from deeprob.assembly.setup import initial_model
from deeprob.errors import one_line
from deeprob.models import Model
from deeprob.parts.part_trial import (
    Broken,
    Clause,
    PartTrial,
    clause,
    concerns,
    dtype_name,
    expect,
    expect_near,
    expect_same,
    expect_slopes,
    generators,
)
from deeprob.training.predictor import forward

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""
BY_ITSELF = "let no example affect another, or define compares_examples, as BatchNorm needs it"
NOISE = "draw random numbers from the key (deeprob.parts.randomness), not from torch, and none without a key"


def _model_of(trial: PartTrial, seed: int | None = None, dtype: torch.dtype = torch.float64) -> Model:
    """Return the model of a trial with its initial weights."""
    trial = trial if seed is None else trial.but(seed=seed)
    setup = trial.setup()
    model = initial_model(trial.config, setup.predictor.features.output_count, setup.predictor.outputs)
    return model.to(dtype)


def _batch_of(trial: PartTrial, dtype: torch.dtype = torch.float64, count: int = 12) -> Tensor:
    """Return prepared inputs (B, …) of the trial's training split."""
    setup = trial.setup()
    prepared: Tensor = setup.predictor.features(setup.splits.train.inputs[:count])
    return prepared.to(dtype)


def _of_one(model: Model, inputs: Tensor) -> Tensor:
    """Return the scores of a single example (1, …)."""
    try:
        scores: Tensor = model(inputs)
    except ValueError as error:  # of torch's BatchNorm, for example
        raise Broken(f"expected scores of a single example: {BY_ITSELF}, came {one_line(error)}") from error
    return scores


@clause(CLAUSES, "build(inputs, outputs, rng) returns a Model with a weight matrix")
def _is_built(trial: PartTrial) -> None:
    setup = trial.setup()
    with torch.random.fork_rng(devices=[]):
        model = trial.part.build(setup.predictor.features.output_count, setup.predictor.outputs, torch.Generator())
    expect(isinstance(model, Model), "a subclass of deeprob.parts.Model", type(model).__name__)
    expect(any(p.dim() >= 2 for p in model.parameters()), "a parameter with two dimensions or more", "none")
    has = trial.part.has_formulas
    expect(
        (model.formulas() is not None) == has, f"formulas() to fit has_formulas={has}", type(model.formulas()).__name__
    )


@clause(CLAUSES, "Scores are (B, C), finite, and of the dtype of the inputs, in float32 and in float64")
def _scores(trial: PartTrial) -> None:
    outputs = trial.setup().predictor.outputs
    for dtype in (torch.float32, torch.float64):
        inputs = _batch_of(trial, dtype)
        found = _model_of(trial, dtype=dtype)(inputs)
        expect(found.shape == (len(inputs), outputs), f"scores (B, C) = {[len(inputs), outputs]}", list(found.shape))
        expect(found.dtype == dtype, f"scores of {dtype_name(dtype)}", dtype_name(found.dtype))
        expect(bool(found.isfinite().all()), "finite scores", "NaN or infinity")


@clause(CLAUSES, "The forward pass does not change its inputs")
def _inputs_stay(trial: PartTrial) -> None:
    inputs = _batch_of(trial)
    before = inputs.clone()
    _model_of(trial)(inputs)
    expect_same(inputs, before, "of the inputs after the forward pass")


@clause(CLAUSES, "The gradient of L(W), by autograd and by formulas, is that of differences in float64")
def _gradient(trial: PartTrial) -> None:
    setup = in_float64(trial.config, 12)
    batch = first_batch(setup)
    point = {name: values.detach().clone() for name, values in setup.state.parameters.items()}
    formula = None if trial.config.lacking_formulas() else ByFormulas(batch, setup)
    expect_slopes(loss_over(batch, setup, differentiable(setup.objective)), point, formula=formula)


@clause(CLAUSES, "The same seed gives the same weights, and another seed gives others")
def _seeds(trial: PartTrial) -> None:
    with generators(1):
        first = _model_of(trial, 0).state_dict()
    with generators(2):
        again, other = _model_of(trial, 0).state_dict(), _model_of(trial, 1).state_dict()
    expect_same(first, again, "of the weights with the same seed: draw all from rng")
    expect(
        any(not torch.equal(first[name], other[name]) for name in first), "other weights with another seed", "the same"
    )


@clause(CLAUSES, "A batch of one example has scores (1, C)")
def _batch_of_one(trial: PartTrial) -> None:
    model, inputs = _model_of(trial), _batch_of(trial)[:1]
    if trial.part.compares_examples:
        model.eval()
    found = _of_one(model, inputs)
    expect(found.shape == (1, trial.setup().predictor.outputs), "scores (1, C)", list(found.shape))
    expect(bool(found.isfinite().all()), "finite scores", "NaN or infinity")


@clause(CLAUSES, "The scores of an example do not depend on the rest of the batch, unless compares_examples says so")
def _each_by_itself(trial: PartTrial) -> None:
    model, inputs = _model_of(trial), _batch_of(trial)
    modes = (False,) if trial.part.compares_examples else (False, True)
    for training in modes:
        model.train(training)
        alone = torch.cat([_of_one(model, inputs[place : place + 1]) for place in range(len(inputs))])
        expect_near(alone, model(inputs), f"the same scores alone and in a batch: {BY_ITSELF}")


@clause(CLAUSES, "Without a key two calls give the same scores, in training and in evaluation")
def _quiet(trial: PartTrial) -> None:
    model, inputs = _model_of(trial), _batch_of(trial)
    for training in (False, True):
        model.train(training)
        with generators(1):
            first = model(inputs)
        with generators(2):
            expect_same(first, model(inputs), f"of two calls without a key (training={training}): {NOISE}")


@clause(CLAUSES, "The key alone decides the noise: noisy and noise_sources() say whether there is any")
def _keys(trial: PartTrial) -> None:
    model, inputs = _model_of(trial).train(), _batch_of(trial)
    one, other = randomness.key(0, "one"), randomness.key(0, "other")
    with generators(1):
        first = forward(model, inputs, one, False)
    with generators(2):
        again = forward(model, inputs, one, False)
    expect_same(first, again, f"with the same key: {NOISE}")
    differ = not torch.equal(first, forward(model, inputs, other, False))
    expect(
        differ == model.noisy,
        f"noisy={differ}, because the key {'changes' if differ else 'does not change'} the scores",
    )
    if model.noisy:
        expect(bool(trial.part.noise_sources()), "noise_sources() to name the settings that switch the noise off", "[]")


@clause(CLAUSES, "The state is complete: a model with another seed that loads it gives the same scores")
def _state(trial: PartTrial) -> None:
    one, other, inputs = _model_of(trial, 0), _model_of(trial, 1), _batch_of(trial)
    one.train()(inputs)  # running means, if there are any, leave their start
    other.load_state_dict(one.state_dict())
    expect_same(other.eval()(inputs), one.eval()(inputs), "of the scores after load_state_dict()")


@clause(CLAUSES, "stages() ends with the scores, and linear_layers holds layers of the model")
def _stages(trial: PartTrial) -> None:
    model, inputs = _model_of(trial).eval(), _batch_of(trial)
    *_, (name, last) = model.stages(inputs)
    expect(name == "scores", "the last stage to be called scores", name)
    expect_same(last, model(inputs), "of the last stage and the scores")
    own = list(model.modules())
    for layer in model.linear_layers:
        inside = isinstance(layer, nn.Linear) and any(layer is module for module in own)
        expect(inside, "modules nn.Linear of the model in linear_layers", type(layer).__name__)


@clause(CLAUSES, "A model that calls itself linear is: f(½x + ½y) = ½f(x) + ½f(y)")
def _linear(trial: PartTrial) -> None:
    concerns(trial.part.linear, "it does not")
    model, inputs = _model_of(trial).eval(), _batch_of(trial)
    other = inputs.flip(0)
    expect_near(model((inputs + other) / 2), (model(inputs) + model(other)) / 2, "a linear function")
