import dataclasses

import pytest

from deeprob.commands import check_gradients, compare, evaluate, optimizer_paths, optimizers, train, visualize
from deeprob.config import options
from deeprob.config.synonyms import KEYS, OPTIONS, VALUES
from deeprob.errors import did_you_mean

COMMANDS = (check_gradients, compare, evaluate, optimizer_paths, optimizers, train, visualize)
GROUPS = [f.name for f in dataclasses.fields(train.COMMAND.schema) if options(f.name)]
REAL = {f"{group}.{f.name}" for group in GROUPS for cls in options(group).values() for f in dataclasses.fields(cls)}
REAL |= {f.name for f in dataclasses.fields(train.COMMAND.schema)}


@pytest.mark.parametrize("synonym", KEYS)
def test_every_key_that_may_be_meant_exists(synonym):
    assert KEYS[synonym]
    assert set(KEYS[synonym]) <= REAL | {"hydra.run.dir"}


def test_no_synonym_is_a_key_of_the_group_that_it_is_suggested_in():
    false = {synonym for synonym, keys in KEYS.items() for key in keys if f"{key.partition('.')[0]}.{synonym}" in REAL}
    assert false == set()


@pytest.mark.parametrize(("group", "synonym"), [(group, synonym) for group in OPTIONS for synonym in OPTIONS[group]])
def test_every_option_that_may_be_meant_exists_and_has_no_other_of_the_name(group, synonym):
    assert OPTIONS[group][synonym] in {*options(group), ""}
    assert synonym not in options(group)


@pytest.mark.parametrize(("key", "synonym"), [(key, synonym) for key in VALUES for synonym in VALUES[key]])
def test_every_value_that_may_be_meant_is_accepted(key, synonym):
    group, _, name = key.partition(".")
    fields = [f for cls in options(group).values() for f in dataclasses.fields(cls) if f.name == name]
    assert fields
    for f in fields:
        assert VALUES[key][synonym] == "" or f.metadata["accepted"].holds(VALUES[key][synonym])
        assert not f.metadata["accepted"].holds(synonym)


def test_what_has_no_counterpart_gets_no_false_suggestion():
    for name in ("mnist", "cifar100", "fashion-mnist", "Imagenet"):
        assert did_you_mean(name, options("dataset"), OPTIONS["dataset"]).startswith("choose from ")


KEYS_MEANT = {
    "learning_rate": "optimizer.lr",
    "optimizer.learning_rate": "optimizer.lr",
    "trainer.learning-rate": "optimizer.lr",
    "trainer.lr": "optimizer.lr",
    "wd": "optimizer.weight_decay",
    "bs": "trainer.batch_size",
    "batchsize": "trainer.batch_size",
    "batch": "trainer.batch_size",
    "num_epochs": "trainer.epochs",
    "n_epochs": "trainer.epochs",
    "max_epochs": "trainer.epochs",
    "trainer.num_epochs": "trainer.epochs",
    "hidden_size": "model.width",
    "model.hidden_size": "model.width",
    "hidden_dim": "model.width",
    "hidden_units": "model.width",
    "hidden_layers": "model.hidden",
    "num_layers": "model.layers",
    "n_layers": "model.layers",
    "depth": "model.layers",
    "path": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "dataset.path": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "data": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "data_dir": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "directory": "hydra.run.dir",
    "trainer.directory": "hydra.run.dir",
    "dataset.directory": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "folder": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "file": "dataset.root (with dataset=cifar10, csv or image_folder)",
    "target": "dataset.targets (with dataset=csv)",
    "label": "dataset.targets (with dataset=csv)",
    "dataset.columns": "dataset.inputs (with dataset=csv, gaussians or random_regression)",
    "reg": "regularizer.strength (with regularizer=elastic_net, l1 or l2)",
    "lambda": "regularizer.strength (with regularizer=elastic_net, l1 or l2)",
    "l2": "regularizer.strength (with regularizer=elastic_net, l1 or l2)",
    "penalty": "regularizer.strength (with regularizer=elastic_net, l1 or l2)",
    "regularizer=l2 regularizer.lambda": "regularizer.strength",
    "dropout_rate": "model.dropout",
    "p": "model.dropout",
    "act": "model.activation",
    "nonlinearity": "model.activation",
    "gpu": "trainer.device",
    "cuda": "trainer.device",
    "workers": "trainer.threads",
    "random_state": "seed",
    "random_seed": "seed",
    "name": "hydra.run.dir",
    "momentum": "optimizer.momentum (with optimizer=rmsprop or sgd)",
    "optimizer=sgd momentum": "optimizer.momentum",
    "optim": "optimizer",
}


@pytest.mark.parametrize("typed", KEYS_MEANT)
def test_keys_of_other_frameworks(deeprob, typed):
    *_, key = typed.split()
    line = f"error: {key}: no such key; did you mean {KEYS_MEANT[typed]}?\n"
    assert deeprob(*f"{typed}=1".split()) == (2, "", line)


def test_a_command_without_training_suggests_nothing_of_it(deeprob):
    assert "did you mean" not in deeprob("name=1", command="evaluate").err


WORDS_MEANT = {
    "optimizer=adam_w": "adamw",
    "optimizer=SGD": "sgd",
    "model=perceptron": "mlp",
    "model=nn": "mlp",
    "model=network": "mlp",
    "model=logistic": "linear",
    "model=softmax": "linear",
    "loss=mse": "squared_error",
    "loss=ce": "cross_entropy",
    "loss=nll": "cross_entropy",
    "loss=cross-entropy": "cross_entropy",
    "loss=svm": "hinge",
    "scheduler=none": "constant",
    "model.activation=swish": "silu",
    "model.activation=none": "identity",
    "model.activation=linear": "identity",
    "model.activation=logistic": "sigmoid",
    "model.activation=ReLU": "relu",
    "model.output_activation=swish": "silu",
    "trainer.device=gpu": "cuda",
}


@pytest.mark.parametrize("word", WORDS_MEANT)
def test_options_and_values_of_other_frameworks(deeprob, word):
    status, out, err = deeprob(word)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"did you mean {WORDS_MEANT[word]}?\n") or err.endswith(f"did you mean {WORDS_MEANT[word]}\n")
