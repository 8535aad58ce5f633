"""An error in any formula is found by the gradient check, which names the tensors whose gradient is wrong."""

import dataclasses
import math
import re

import pytest

from deeprob.models.activations import ACTIVATIONS, MaxoutFormula
from deeprob.models.backpropagation import Backpropagation
from deeprob.models.dense import DenseFormula
from deeprob.models.dropout import DropoutFormula
from deeprob.models.mlp import MLP
from deeprob.models.norms import BatchNormFormula, LayerNormFormula
from deeprob.objective import losses, regularizers

WEIGHTS = {f"layers.{layer}.weight" for layer in range(3)}
BIASES = {f"layers.{layer}.bias" for layer in range(3)}
LAYERS = WEIGHTS | BIASES
BELOW = LAYERS - {"layers.2.weight", "layers.2.bias"}  # what an error in a hidden layer's way back reaches
NORMS = {f"norms.{layer}.{kind}" for layer in range(2) for kind in ("weight", "bias")}
FACTOR = 1.001


def spoil(cls, method, change):
    """Return a function that replaces a method: `change` gets the method, and the arguments of each call."""

    def plant(monkeypatch):
        original = getattr(cls, method)
        monkeypatch.setattr(cls, method, lambda self, *arguments: change(original, self, *arguments))

    return plant


def backward(cls):
    """An error in ∂L/∂inputs of a formula."""

    def change(original, *arguments):
        by_inputs = original(*arguments)
        return None if by_inputs is None else by_inputs * FACTOR

    return spoil(cls, "backward", change)


def by_parameter(cls, kind, factor=FACTOR):
    """An error in the gradient by the parameter whose name a formula has as attribute `kind`."""

    def change(original, self, gradient, saved, tensors, gradients, wanted):
        result = original(self, gradient, saved, tensors, gradients, wanted)
        gradients[getattr(self, kind)].mul_(factor)
        return result

    return spoil(cls, "backward", change)


def activation(name):
    """An error in the derivative of an activation."""

    def plant(monkeypatch):
        right = ACTIVATIONS[name]
        wrong = dataclasses.replace(right, backward=lambda *arguments: right.backward(*arguments) * FACTOR)
        monkeypatch.setitem(ACTIVATIONS, name, wrong)

    return plant


def slopes(cls):
    """An error in the derivative of a loss."""

    def change(original, *arguments):
        values, slopes = original(*arguments)
        return values, slopes * FACTOR

    return spoil(cls, "losses_and_slopes", change)


def penalty(original, self, weights, gradient):
    """An error in the gradient of a regularizer."""
    before = gradient.clone()
    cost = original(self, weights, gradient)
    gradient.add_((gradient - before) * (FACTOR - 1))
    return cost


def without_mean(original, self, gradient, saved, *rest):
    """The way back through a norm, as if mean and variance were constants."""
    normal, inverse, _ = saved
    return original(self, gradient, (normal, inverse, None), *rest)


def to_every_piece(original, self, gradient, saved, *rest):
    """The gradient of a maximum goes to all numbers, not only to the largest."""
    return original(self, gradient, saved.new_ones(saved.shape), *rest)


def of_another_layer(original, self, inputs, tensors, training, key):
    """The dropout mask of another layer."""
    self.number += 1
    try:
        return original(self, inputs, tensors, training, key)
    finally:
        self.number -= 1


def norm_after_activation(original, self):
    """The steps of the model, with norm and activation exchanged in each hidden layer."""
    steps = list(original(self))
    for place in (1, 4):
        steps[place], steps[place + 1] = steps[place + 1], steps[place]
    return steps


def swapped(original, self, gradient, saved, tensors, gradients):
    """The way back takes the norm of the first layer before its activation."""
    order, values = list(self.formulas), list(saved)
    for steps in (order, values):
        steps[1], steps[2] = steps[2], steps[1]
    original(dataclasses.replace(self, formulas=order), gradient, values, tensors, gradients)


def skipped(original, self, gradient, saved, tensors, gradients):
    """The way back leaves out the activation of the first layer."""
    order, values = list(self.formulas), list(saved)
    del order[1], values[1]
    original(dataclasses.replace(self, formulas=order), gradient, values, tensors, gradients)


def cases():
    """A name, the words of the run, the error, and the tensors whose gradient it makes wrong."""
    yield "dense: weight", "", by_parameter(DenseFormula, "weight"), WEIGHTS
    yield "dense: weight is lost", "", by_parameter(DenseFormula, "weight", 0.0), WEIGHTS
    yield "dense: weight is not a number", "", by_parameter(DenseFormula, "weight", math.nan), WEIGHTS
    yield "dense: bias", "", by_parameter(DenseFormula, "bias"), BIASES
    yield "dense: inputs", "", backward(DenseFormula), BELOW
    for name in ACTIVATIONS:
        if name != "identity":  # which is no step of the chain
            yield name, f"model.activation={name}", activation(name), BELOW
            yield f"scores: {name}", f"model.activation=tanh model.output_activation={name}", activation(name), LAYERS
    yield "maxout", "model.activation=maxout", backward(MaxoutFormula), BELOW
    yield "maxout: to all", "model.activation=maxout", spoil(MaxoutFormula, "backward", to_every_piece), BELOW
    for norm, cls in (("batch", BatchNormFormula), ("layer", LayerNormFormula)):
        words, biases = f"model.norm={norm}", BELOW & BIASES if norm == "layer" else set()  # of batch norm: 0
        reached = (BELOW & WEIGHTS) | biases | {"norms.0.weight", "norms.0.bias"}
        yield f"{norm} norm: gamma", words, by_parameter(cls, "weight"), {"norms.0.weight", "norms.1.weight"}
        yield f"{norm} norm: beta", words, by_parameter(cls, "bias"), {"norms.0.bias", "norms.1.bias"}
        yield f"{norm} norm: inputs", words, backward(cls), reached
        yield f"{norm} norm: constants", words, spoil(cls, "backward", without_mean), reached | (BELOW & BIASES)
    yield "dropout", "model.dropout=0.3", backward(DropoutFormula), BELOW
    yield "dropout: mask", "model.dropout=0.3", spoil(DropoutFormula, "forward", of_another_layer), LAYERS
    for name, cls in (
        ("cross_entropy", losses.CrossEntropy),
        ("cross_entropy loss.label_smoothing=0.1", losses.CrossEntropy),
        ("hinge", losses.Hinge),
        ("squared_hinge", losses.Hinge),
        ("one_vs_all_hinge", losses.OneVsAllHinge),
        ("focal", losses.Focal),
        ("squared_error", losses.SquaredError),
        ("huber", losses.Huber),
    ):
        yield name, f"loss={name}", slopes(cls), LAYERS
    for name in ("l1", "l2", "elastic_net"):
        words = f"regularizer={name} regularizer.strength=1"
        yield name, words, spoil(regularizers.ElasticNet, "with_gradient", penalty), WEIGHTS
    yield "chain: forward", "model.norm=layer", spoil(MLP, "formulas", norm_after_activation), LAYERS | NORMS
    first = {name for name in LAYERS | NORMS if ".0." in name}
    yield "chain: exchanged", "model.norm=layer", spoil(Backpropagation, "backward", swapped), first
    yield "chain: left out", "", spoil(Backpropagation, "backward", skipped), first & LAYERS


@pytest.mark.parametrize(("words", "plant", "tensors"), [pytest.param(*case, id=name) for name, *case in cases()])
def test_an_error_in_a_formula_is_found_in_each_tensor_that_it_reaches(deeprob, monkeypatch, words, plant, tensors):
    few = ["check.entries=9", "check.examples=25", "check.curve=false", "model.hidden=[7,6]"]
    assert deeprob(*words.split(), *few, command="check_gradients").status == 0
    plant(monkeypatch)
    status, out, err = deeprob(*words.split(), *few, command="check_gradients")
    assert status == 4
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith(("layers.", "norms."))}
    assert {name for name, row in rows.items() if row.endswith("wrong")} == tensors
    assert all(re.search(r"  formula \d+ wrong$", rows[name]) for name in tensors)
    found = re.fullmatch(r"error: wrong gradient by formula \(\d+ of \d+ checked\), worst ([\w.]+\w).*: (.*)\n", err)
    assert found[1] in tensors
    slopes = dict(re.findall(r"(\w+) ([^ ,]+)", found[2]))
    assert float(slopes["autograd"]) == pytest.approx(float(slopes["numeric"]), rel=1e-5)
    assert float(slopes["formula"]) != pytest.approx(float(slopes["numeric"]), rel=1e-5)
