"""The fields of a training run's options: the values that they take, and those that they start with."""

import dataclasses

import pytest

from deeprob.config import options
from deeprob.config.schema import expected
from deeprob.models.activations import ACTIVATIONS

ANY = "a number that is finite"
POSITIVE = "a number greater than 0"
WEIGHTS = "none, balanced, or a list of numbers greater than 0, one per class, as in [1,5]"
NOT_NEGATIVE = "a number at least 0"
SHARE = "a number in [0, 1)"
SHARE_OR_1 = "a number in [0, 1]"
BETWEEN = "a number in (0, 1)"
BETWEEN_OR_1 = "a number in (0, 1]"
COUNT = "a whole number at least 1"
FLAG = "true or false"
NAMES = ", ".join(ACTIVATIONS)

BETAS = {"beta1": SHARE, "beta2": SHARE}
ADAM = {"lr": POSITIVE, **BETAS, "eps": NOT_NEGATIVE, "weight_decay": NOT_NEGATIVE}
FIELDS = {
    "optimizer": {
        "adadelta": {"lr": POSITIVE, "rho": SHARE_OR_1, "eps": NOT_NEGATIVE, "weight_decay": NOT_NEGATIVE},
        "adafactor": {
            "lr": POSITIVE,
            "beta2_decay": "a number at most 0",
            "eps1": f"{NOT_NEGATIVE} or null",
            "eps2": NOT_NEGATIVE,
            "d": "a number at least 1",
            "weight_decay": NOT_NEGATIVE,
        },
        "adagrad": {
            "lr": POSITIVE,
            "lr_decay": NOT_NEGATIVE,
            "weight_decay": NOT_NEGATIVE,
            "initial_accumulator_value": NOT_NEGATIVE,
            "eps": NOT_NEGATIVE,
        },
        "adam": {**ADAM, "amsgrad": FLAG, "decoupled_weight_decay": FLAG},
        "adamax": ADAM,
        "adamw": {**ADAM, "weight_decay": f"{NOT_NEGATIVE} or auto", "amsgrad": FLAG},
        "asgd": {
            "lr": POSITIVE,
            "lambd": NOT_NEGATIVE,
            "alpha": NOT_NEGATIVE,
            "t0": NOT_NEGATIVE,
            "weight_decay": NOT_NEGATIVE,
        },
        "lbfgs": {
            "lr": POSITIVE,
            "max_iter": COUNT,
            "max_eval": f"{COUNT} or null",
            "tolerance_grad": NOT_NEGATIVE,
            "tolerance_change": NOT_NEGATIVE,
            "history_size": COUNT,
            "line_search_fn": "one of strong_wolfe, null",
        },
        "nadam": {**ADAM, "momentum_decay": NOT_NEGATIVE, "decoupled_weight_decay": FLAG},
        "radam": {**ADAM, "decoupled_weight_decay": FLAG},
        "rmsprop": {
            "lr": POSITIVE,
            "alpha": SHARE,
            "eps": NOT_NEGATIVE,
            "weight_decay": NOT_NEGATIVE,
            "momentum": NOT_NEGATIVE,
            "centered": FLAG,
        },
        "rprop": {
            "lr": POSITIVE,
            "eta1": BETWEEN,
            "eta2": "a number greater than 1",
            "step_size1": POSITIVE,
            "step_size2": POSITIVE,
        },
        "sgd": {
            "lr": POSITIVE,
            "momentum": NOT_NEGATIVE,
            "dampening": ANY,
            "weight_decay": NOT_NEGATIVE,
            "nesterov": FLAG,
        },
    },
    "scheduler": {
        "constant": {"warmup": SHARE},
        "cosine": {"warmup": SHARE},
        "exponential": {"warmup": SHARE, "final": BETWEEN_OR_1},
        "one_cycle": {"warmup": SHARE, "peak": BETWEEN, "start": BETWEEN_OR_1, "final": SHARE_OR_1},
        "plateau": {
            "warmup": SHARE,
            "gamma": BETWEEN,
            "patience": "a whole number at least 0",
            "threshold": SHARE,
        },
        "step": {"warmup": SHARE, "gamma": BETWEEN_OR_1, "drops": COUNT},
    },
    "loss": {
        "cross_entropy": {"class_weights": WEIGHTS, "label_smoothing": SHARE},
        "focal": {"class_weights": WEIGHTS, "gamma": NOT_NEGATIVE},
        "hinge": {"class_weights": WEIGHTS, "margin": POSITIVE},
        "squared_hinge": {"class_weights": WEIGHTS, "margin": POSITIVE},
        "one_vs_all_hinge": {"class_weights": WEIGHTS},
        "squared_error": {"class_weights": WEIGHTS},
        "huber": {"delta": POSITIVE},
    },
    "regularizer": {
        "none": {},
        "l1": {"strength": NOT_NEGATIVE, "proximal": FLAG},
        "l2": {"strength": NOT_NEGATIVE},
        "elastic_net": {"strength": NOT_NEGATIVE, "l1_ratio": SHARE_OR_1, "proximal": FLAG},
    },
    "model": {
        "linear": {"bias": FLAG},
        "mlp": {
            "layers": "a whole number in [1, 1000]",
            "width": COUNT,
            "hidden": "a list of whole numbers at least 1 or null",
            "activation": f"one of {NAMES}, maxout",
            "pieces": "a whole number at least 2",
            "output_activation": f"one of {NAMES}",
            "bias": FLAG,
            "norm": "one of none, batch, layer",
            "dropout": SHARE,
            "init": "one of scaled, standard_normal",
        },
    },
}
OPTIONS = [(group, name) for group, choices in FIELDS.items() for name in choices]

# The defaults of optimizers are torch's: see optim/test_base.py.
DEFAULTS = {
    "constant": {"warmup": 0},
    "cosine": {"warmup": 0},
    "exponential": {"warmup": 0, "final": 0.01},
    "one_cycle": {"warmup": 0, "peak": 0.3, "start": 1 / 25, "final": 1 / 25 / 1e4},  # torch's div factors: 25 and 1e4
    "plateau": {"warmup": 0, "gamma": 0.1, "patience": 10, "threshold": 1e-4},  # torch's
    "step": {"warmup": 0, "gamma": 0.1, "drops": 2},
    "cross_entropy": {"class_weights": "none", "label_smoothing": 0},
    "focal": {"class_weights": "none", "gamma": 2},
    "hinge": {"class_weights": "none", "margin": 1},
    "squared_hinge": {"class_weights": "none", "margin": 1},
    "one_vs_all_hinge": {"class_weights": "none"},
    "squared_error": {"class_weights": "none"},
    "huber": {"delta": 1},
    "none": {},
    "l1": {"strength": 1e-3, "proximal": False},
    "l2": {"strength": 1e-3},
    "elastic_net": {"strength": 1e-3, "l1_ratio": 0.5, "proximal": False},
    "linear": {"bias": True},
    "mlp": {
        "layers": 3,
        "width": 128,
        "hidden": None,
        "activation": "relu",
        "pieces": 2,
        "output_activation": "identity",
        "bias": True,
        "norm": "none",
        "dropout": 0,
        "init": "scaled",
    },
}


@pytest.mark.parametrize("group", FIELDS)
def test_the_options_of_the_lecture_are_there(group):
    assert FIELDS[group].keys() <= options(group).keys()


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_the_values_that_fields_take(group, name):
    cls = options(group)[name]
    assert {field.name: expected(cls, field.name) for field in dataclasses.fields(cls)} == FIELDS[group][name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_values_that_fields_start_with(name):
    (cls,) = (options(group)[name] for group, other in OPTIONS if other == name)
    assert dataclasses.asdict(cls()) == pytest.approx(DEFAULTS[name])


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_fields_are_given_by_name_and_there_are_no_others(group, name):
    cls = options(group)[name]
    with pytest.raises(TypeError, match="positional argument"):
        cls(1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        cls(nonsense=1)
    with pytest.raises(AttributeError):
        cls().nonsense = 1
