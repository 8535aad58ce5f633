"""The check of a part from the command line. What it checks is tested beside its clauses."""

from pathlib import Path

import pytest

from deeprob.assembly.config import RunConfig
from deeprob.commands.check_part import small
from deeprob.data import RandomRegressionConfig, SpiralsConfig
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig, LBFGSConfig
from deeprob.parts.contract import CLAUSES


def config(**parts) -> RunConfig:
    parts = {"dataset": SpiralsConfig(), "model": MLPConfig(), "optimizer": AdamWConfig(), **parts}
    return RunConfig(
        features=RawConfig(), loss=CrossEntropyConfig(), regularizer=NoneConfig(), scheduler=ConstantConfig(), **parts
    )


def test_one_line_a_check_and_no_files(deeprob):
    status, out, err = deeprob("scheduler=step", "scheduler.drops=3", command="check_part")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == len(CLAUSES["scheduler"])
    assert {line[:10] for line in lines} <= {"ok        ", "left out  "}
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "no part: name one, as in deeprob-check-part model=mlp; the groups are dataset, features, model, loss, "),
        ("trainer.epochs=2", "no part: name one, "),
        ("-m loss=hinge", "-m: deeprob-check-part has no sweeps; call it once for each part"),
        ("figure=all", "figure=all: stands for several parts; name one of them"),
        ("features=hog", "features=hog needs pictures, not inputs of shape [2]"),
        ("figure=roc dataset=random_regression loss=squared_error", "figure=roc needs classes"),
        ("model=mlp model.width=0", "model.width=0: expected a whole number at least 1"),
    ],
)
def test_a_mistake_is_one_line(deeprob, words, line):
    status, out, err = deeprob(*words.split(), command="check_part")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_runs_are_small_except_where_the_user_typed_a_value():
    found = small(config(), ["dataset", "model.width"])
    assert (found.dataset.points_per_class, found.model.width, found.trainer.batch_size) == (20, 128, 16)
    assert (found.trainer.epochs, found.trainer.device, found.trainer.threads) == (3, "cpu", 1)
    found = small(config(dataset=RandomRegressionConfig(), optimizer=LBFGSConfig()), ["trainer.epochs"])
    assert (found.dataset.limit, found.trainer.batch_size, found.trainer.epochs) == (200, "full", "auto")
