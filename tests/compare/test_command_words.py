"""Values as Hydra reads them, and the fewest words that make a config."""

import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.compare.command_words import shortest, value_of, word_of
from deeprob.config import read
from deeprob.config.application import Application, started
from deeprob.errors import UserError


def parsed(word: str) -> object:
    return OverridesParser.create().parse_override(f"key={word}").value()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (-2, "-2"),
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-5, "1e-5"),
        (1.5e-10, "1.5e-10"),
        (1e22, "1e22"),
        ("full", "full"),
        ("/data/a-b_c.csv", "/data/a-b_c.csv"),
        ("a b", '"a b"'),
        ("null", '"null"'),
        ("1e3", '"1e3"'),
        ("", '""'),
        ([64, 0.5], "[64,0.5]"),
        ([{"name": "hog", "cell": 4, "signed": True}, "raw"], "[{name:hog,cell:4,signed:true},raw]"),
    ],
)
def test_a_value_as_a_word(value, word):
    assert word_of(value) == word
    assert parsed(word) == value


def test_any_text_survives_hydra():
    rng = random.Random(0)
    letters = "ab1.e-+\"\\' ,[]{}:=$~%/@#é()\t"
    texts = {"".join(rng.choices(letters, k=rng.randint(0, 6))) for _ in range(500)}
    for text in texts:
        if "${" not in text:  # which stands for something else, in any quotes
            assert parsed(word_of(text)) == text


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-4", 1e-4),
        ("0.0001", 1e-4),
        ("8", 8),
        ("True", True),
        ("null", None),
        ("adam", "adam"),
        ("[8]", [8]),
        ("[8, 0.5]", [8, 0.5]),
        ("[]", []),
        ('"a b"', "a b"),
        ("'1'", "1"),
        ("[{name:hog,cell:4},raw]", [{"name": "hog", "cell": 4}, "raw"]),
        ("${seed}", "${seed}"),
        ("a,b", "a,b"),
        ("range(3)", "range(3)"),
        ("[1", "[1"),
        ("/data/a b.csv", "/data/a b.csv"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_cells_of_a_table(word, value):
    assert value_of(word) == value
    assert type(value_of(word)) is type(value)


COMMANDS = [
    [],
    ["seed=3"],
    ["model=linear", "optimizer=lbfgs", "regularizer=l2", "regularizer.strength=1e-2"],
    ["model.hidden=[64,32]", "optimizer.lr=1e-5", "optimizer=sgd", "optimizer.momentum=0.9", "trainer.batch_size=16"],
    ["dataset=circles", "features=polar", "dataset.noise=0.3", "trainer.monitor=val/loss", "dataset.val_fraction=0.2"],
    ["dataset=random_regression", "loss=squared_error", "scheduler=plateau", "scheduler.patience=2"],
    ["dataset=image_folder", 'dataset.root="a b/c"', "features=concat", "features.parts=[{name:hog,cell:4},raw]"],
]


@pytest.fixture
def composed():
    """Return the config that ``deeprob-train`` makes of some words."""
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)

        def compose(words) -> RunConfig:
            plan: TrainConfig = application.load(application.compose(words, multirun=False), words)
            return plan.run.resolved()

        yield compose


@pytest.mark.parametrize("words", COMMANDS)
def test_the_shortest_command_makes_the_same_config(composed, words):
    config = composed(words)
    found = shortest(config)
    assert composed(found) == config
    assert {word.split("=")[0] for word in found} <= {word.split("=")[0] for word in words}


def test_defaults_are_told_only_if_they_are_kept(composed):
    config = composed(["optimizer.lr=1e-3", "model.width=16"])  # the first is the default
    assert shortest(config) == ["model.width=16"]
    assert shortest(config, keep=["optimizer", "optimizer.lr", "regularizer.strength"]) == [
        "optimizer=adamw", "model.width=16", "optimizer.lr=0.001",
    ]  # fmt: skip


def test_what_auto_stands_for_is_not_told(composed):
    assert composed([]).trainer.batch_size == 32
    assert shortest(composed([])) == []
    assert shortest(composed(["optimizer=lbfgs"])) == ["optimizer=lbfgs"]  # of the full batch


def test_a_finished_run_is_made_again(one_run, composed):
    config = read(RunConfig, one_run / "config.yaml")
    found = shortest(config)
    assert composed(found) == config
    assert "dataset.points_per_class=30" in found


def test_a_config_of_other_defaults(composed):
    config = composed([])
    config.model.width = -1
    with pytest.raises(UserError, match="the present configs cannot make such a run"):
        shortest(config)
