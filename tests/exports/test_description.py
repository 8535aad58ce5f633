"""What files of networks tell about themselves."""

import deeprob
from deeprob import config as configs
from deeprob import load_run
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput
from deeprob.exports.description import as_texts, columns_described, described


def test_a_run_is_described(one_run):
    run = load_run(one_run)
    assert described(run) == {
        "inputs": {"shape": [2]},
        "outputs": 3,
        "probabilities": True,
        "classes": ["arm 0", "arm 1", "arm 2"],
        "targets": [],
        "model": "mlp",
        "features": "raw",
        "loss": "cross_entropy",
        "deeprob": deeprob.__version__,
        "config": configs.digest(run.config),
        "data": run.seal,
    }


def test_columns_are_described_in_their_order():
    color = CategoryInput("color", ("blue", "red"), (5, 4), pooled=("gold",), missing=True)
    encoding = Encoding((NumberInput("length", 10.0, 2.0, fill=True), color, NumberInput("width", 1.0, 1.0)), ("kind",))
    assert columns_described(encoding) == [
        {"name": "length", "kind": "number", "fill": 10.0},
        {"name": "color", "kind": "category", "levels": ["blue", "red"], "other": ["gold"], "missing": True},
        {"name": "width", "kind": "number", "fill": None},
    ]


def test_values_become_texts():
    assert as_texts({"a": "x", "b": ["ä", 1], "c": None}) == {"a": "x", "b": '["ä", 1]'}
