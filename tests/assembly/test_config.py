"""A run's config: what `auto` stands for, and choices that do not go together."""

import dataclasses

import pytest

from deeprob.assembly.config import MAY_CHANGE, VARY, RunConfig, TrainConfig, is_seed
from deeprob.config import flat
from deeprob.data import ImageFolderConfig, RandomRegressionConfig, SpiralsConfig
from deeprob.features import HogConfig, RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, HingeConfig, L1Config, NoneConfig, SquaredErrorConfig
from deeprob.optim import AdamWConfig, CosineConfig, LBFGSConfig
from deeprob.training import TrainerConfig


def config(cls=RunConfig, **changes) -> RunConfig:
    parts = {
        "dataset": SpiralsConfig(),
        "features": RawConfig(),
        "model": MLPConfig(),
        "loss": CrossEntropyConfig(),
        "regularizer": NoneConfig(),
        "optimizer": AdamWConfig(),
        "scheduler": CosineConfig(),
    }
    return cls(**(parts | changes))


# ---------------------------------------------------------------- resolved


def test_auto_batch_size():
    assert config().resolved().trainer.batch_size == 32
    assert config(dataset=ImageFolderConfig(root="x")).resolved().trainer.batch_size == 128
    assert config(optimizer=LBFGSConfig()).resolved().trainer.batch_size == "full"
    assert config(trainer=TrainerConfig(batch_size=7)).resolved().trainer.batch_size == 7


def test_auto_monitor():
    assert config().resolved().trainer.monitor == "val/accuracy"
    assert config(dataset=RandomRegressionConfig()).resolved().trainer.monitor == "val/loss"
    assert config(trainer=TrainerConfig(monitor="val/loss")).resolved().trainer.monitor == "val/loss"


def test_a_relative_root_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert config(dataset=ImageFolderConfig(root="x")).resolved().dataset.root == str(tmp_path / "x")


def test_resolving_leaves_the_config_as_it_was():
    first = config()
    assert first.resolved() == first.resolved().resolved()
    assert first.trainer.batch_size == "auto"


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"optimizer": LBFGSConfig(), "trainer": TrainerConfig(batch_size=9)}, "set trainer.batch_size=full"),
        ({"optimizer": LBFGSConfig(), "model": MLPConfig(dropout=0.5)}, "set model.dropout=0"),
        (
            {"optimizer": LBFGSConfig(), "regularizer": L1Config(proximal=True)},
            "one gradient step per update, not lbfgs",
        ),
        ({"dataset": ImageFolderConfig(root="x", flip=True), "features": HogConfig()}, "features=hog are computed onc"),
        ({"dataset": RandomRegressionConfig()}, "loss=cross_entropy needs classes"),
        (
            {"dataset": RandomRegressionConfig(), "loss": SquaredErrorConfig(class_weights="balanced")},
            "loss.class_weights needs classes, and the targets are numbers: leave it out",
        ),
        (
            {
                "dataset": RandomRegressionConfig(),
                "loss": SquaredErrorConfig(),
                "trainer": TrainerConfig(monitor="val/accuracy"),
            },
            "set val/loss",
        ),
        ({"trainer": TrainerConfig(monitor="val/r2")}, "needs numbers as targets, and these are classes; set val/acc"),
        ({"trainer": TrainerConfig(patience_monitor="val/ece"), "loss": HingeConfig()}, "loss=hinge gives no probabil"),
    ],
)
def test_what_does_not_go_together_is_named(changes, line):
    (problem,) = config(**changes).problems()
    assert line in problem


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": LBFGSConfig(), "trainer": TrainerConfig(batch_size="full"), "regularizer": L1Config()},
        {"dataset": ImageFolderConfig(root="x", flip=True)},
        {"dataset": ImageFolderConfig(root="x"), "features": HogConfig()},
        {"dataset": RandomRegressionConfig(), "loss": SquaredErrorConfig()},
        {"dataset": SpiralsConfig(val_fraction=0.1), "trainer": TrainerConfig(patience=3)},
    ],
)
def test_what_goes_together_passes(changes):
    assert list(config(TrainConfig, **changes).problems()) == []


def test_patience_needs_a_validation_split_when_a_run_begins(tmp_path):
    waiting = {"trainer": TrainerConfig(patience=3), "dataset": ImageFolderConfig(root=str(tmp_path))}
    line = "trainer.patience needs a validation split: set dataset.val_fraction=0.1, say"
    assert list(config(TrainConfig, **waiting).problems()) == [line]
    assert list(config(**waiting).problems()) == []  # of a finished run, which may have lost its pictures
    for name in ("train", "val", "test"):
        (tmp_path / name).mkdir()
    assert list(config(TrainConfig, **waiting).problems()) == []


def test_keys_that_would_do_nothing_are_refused_when_a_run_begins():
    held_out = SpiralsConfig(val_fraction=0.1)
    by_loss, pieces = TrainerConfig(monitor="val/loss"), MLPConfig(pieces=3)
    line = "trainer.monitor=val/loss needs a validation split: set dataset.val_fraction=0.1, say"
    assert list(config(TrainConfig, trainer=by_loss).problems()) == [line]
    by_area = TrainerConfig(monitor="val/auroc")
    assert list(config(TrainConfig, trainer=by_area).problems()) == [line.replace("val/loss", "val/auroc")]
    line = "model.pieces=3 needs maxout units: set model.activation=maxout"
    assert list(config(TrainConfig, model=pieces).problems()) == [line]
    for changes in (
        {"trainer": by_loss, "dataset": held_out},
        {"trainer": TrainerConfig(monitor="val/accuracy")},  # what config.yaml has for auto
        {"trainer": by_loss, "dataset": RandomRegressionConfig(), "loss": SquaredErrorConfig()},
        {"model": MLPConfig(pieces=3, activation="maxout")},
        {"model": LinearConfig()},
    ):
        assert list(config(TrainConfig, **changes).problems()) == []
    assert list(config(trainer=by_loss, model=pieces).problems()) == []  # a run that was trained so can be looked at


# ---------------------------------------------------------------- parts of a config


def test_a_plans_run_is_the_run_alone():
    plan = config(TrainConfig, seed=3, resume="auto")
    assert type(plan.run) is RunConfig
    assert dataclasses.asdict(plan.run) == dataclasses.asdict(config(seed=3))


def test_seeds():
    keys = ("seed", "dataset.seed", "dataset.fold", "dataset.folds", "figure.seed_", "model.seeds", "lr")
    assert [key for key in keys if is_seed(key)] == ["seed", "dataset.seed", "dataset.fold"]


def test_the_keys_named_are_keys_of_a_run():
    known = set(flat(config())) | {f.name for f in dataclasses.fields(RunConfig)}
    assert set(MAY_CHANGE) <= known
    numbers = {"loss.delta", "loss.gamma", "loss.label_smoothing", "loss.margin"}
    assert known | numbers >= VARY


@pytest.mark.parametrize("key", ["batch_size", "chunk_size"])
def test_batch_norm_of_single_examples_is_not_trained(key):
    trainer, norm = TrainerConfig(**{key: 1}), MLPConfig(norm="batch")
    (line,) = config(TrainConfig, model=norm, trainer=trainer).problems()
    assert line.startswith(f"trainer.{key}=1: batch norm needs two or more examples in a batch")
    assert line.endswith(f"set trainer.{key}=2 or more, or model.norm=layer")
    assert list(config(model=norm, trainer=trainer).problems()) == []  # a run that was trained so can be looked at
    for model in (MLPConfig(norm="layer"), MLPConfig(), MLPConfig(norm="batch", layers=1)):
        assert list(config(TrainConfig, model=model, trainer=trainer).problems()) == []
    assert list(config(TrainConfig, model=norm, trainer=TrainerConfig(**{key: 2})).problems()) == []


def test_the_options_that_a_run_uses(config_of):
    config = config_of({"features": "chain", "trainer.figures": ["weights", "roc size=3"], "optimizer": "sgd"})
    config.features.parts = ["hog", {"name": "pca", "dims": 3}]
    assert list(config.choices())[:3] == [("dataset", "spirals"), ("features", "chain"), ("model", "mlp")]
    assert list(config.choices())[-6:] == [
        ("features", "hog"),
        ("features", "pca"),
        ("figure", "weights"),
        ("figure", "roc"),
        ("tracker", "tensorboard"),
        ("tracker", "csv"),
    ]
    assert ("optimizer", "sgd") in list(config.choices())
