"""In which keys runs differ."""

import itertools

import pytest

from deeprob.compare.keys import swept_keys
from deeprob.compare.past_runs import PastRun, read_run


@pytest.fixture
def runs_of(make_run):
    numbers = itertools.count()

    def make(*values) -> list[PastRun]:
        return [read_run(make_run(f"{next(numbers)}", each)) for each in values]

    return make


def test_what_differs_as_it_stands_in_a_config(runs_of):
    runs = runs_of({"optimizer.lr": 0.1, "model.width": 8}, {"optimizer.lr": 0.2, "seed": 1})
    assert swept_keys(runs) == ["model.width", "optimizer.lr", "seed"]
    assert swept_keys(runs, ["seed", "optimizer.lr", "model.layers"]) == ["seed", "optimizer.lr", "model.width"]
    assert swept_keys(runs[:1]) == []


def test_defaults_of_another_choice_say_no_more_than_the_choice(runs_of):
    # adadelta has lr 1, adamw has 1e-3 and weight decay, and either has keys of its own
    assert swept_keys(runs_of({"optimizer": "adamw"}, {"optimizer": "adadelta"})) == ["optimizer"]
    runs = runs_of({"optimizer": "adamw"}, {"optimizer": "adadelta", "optimizer.lr": 0.5})
    assert swept_keys(runs) == ["optimizer", "optimizer.lr"]
    runs = runs_of({"optimizer": "adamw"}, {"optimizer": "adadelta"})
    assert swept_keys(runs, ["optimizer", "optimizer.lr"]) == ["optimizer", "optimizer.lr"]


def test_a_key_of_one_choice_counts_if_it_differs_there(runs_of):
    values = {"optimizer": "sgd", "optimizer.momentum": 0.9}
    assert swept_keys(runs_of({"optimizer": "adamw"}, {"optimizer": "sgd"}, values)) == [
        "optimizer", "optimizer.momentum",
    ]  # fmt: skip
    assert swept_keys(runs_of({"optimizer": "adamw"}, values)) == ["optimizer"]  # one momentum tells nothing apart


def test_what_auto_stands_for_follows_from_a_choice(runs_of):
    runs = runs_of({"optimizer": "adamw"}, {"optimizer": "lbfgs"})
    assert {run.values["trainer.batch_size"] for run in runs} == {32, "full"}
    assert swept_keys(runs) == ["optimizer"]
    runs = runs_of({"optimizer": "adamw"}, {"optimizer": "adamw", "trainer.batch_size": 8}, {"optimizer": "lbfgs"})
    assert swept_keys(runs) == ["optimizer", "trainer.batch_size"]


def test_keys_without_a_part_in_the_numbers_count_only_if_a_sweep_names_them(runs_of):
    runs = runs_of({"trainer.threads": 1, "trainer.epochs": 3}, {"trainer.threads": 2, "trainer.epochs": 4})
    assert swept_keys(runs) == ["trainer.epochs"]
    assert swept_keys(runs, ["trainer.threads"]) == ["trainer.threads", "trainer.epochs"]
