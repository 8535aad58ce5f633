"""One type a key, asked of TensorBoard's own HParams plugin."""

import dataclasses
import math
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import get_args

import pytest
from tensorboard.plugins.hparams import api_pb2

from deeprob.assembly.config import RunConfig
from deeprob.config import options
from deeprob.running.hyperparameters import hyperparameters
from deeprob.tracking.events import EventFile

SAMPLES = {NoneType: None, bool: True, int: 3, float: 0.5, str: "auto", list[str]: ["a b", "c"], list[int]: [8, 4]}


def every_kind_of_value() -> Iterator[dict]:
    """Yield each option of each group, and a value of each type that one of its fields may have."""
    for group in (f.name for f in dataclasses.fields(RunConfig)):
        for name, option in options(group).items():
            if getattr(option, "from_python", False):  # it needs data, and has the keys of other tables
                continue
            yield {group: name}
            for f in dataclasses.fields(option):
                for kind in get_args(f.type) if isinstance(f.type, UnionType) else ():
                    yield {group: name, f"{group}.{f.name}": SAMPLES[kind]}


def test_every_key_has_one_type_and_no_filter_loses_a_run(tmp_path, config_of, hparams_tab):
    values = list(every_kind_of_value())
    for number, chosen in enumerate(values):
        (tmp_path / f"{number}").mkdir()
        events = EventFile(tmp_path / f"{number}")
        events.hyperparameters(hyperparameters(config_of(chosen), 90))
        events.write()
    experiment, listed = hparams_tab(tmp_path)
    runs = listed()
    assert len(runs) == len(values) > 100
    types = {info.name: api_pb2.DataType.Name(info.type).removeprefix("DATA_TYPE_") for info in experiment.hparam_infos}
    kinds = {"number_value": "FLOAT64", "string_value": "STRING", "bool_value": "BOOL"}
    for run in runs:
        assert {name: kinds[value.WhichOneof("kind")] for name, value in run.hparams.items()}.items() <= types.items()
    numbers = ["trainer.batch_size", "trainer.threads", "dataset.limit", "optimizer.lr", "features.epsilon", "seed"]
    assert {types[name] for name in numbers} == {"FLOAT64"}
    assert (types["dataset.header"], types["optimizer.nesterov"]) == ("BOOL", "BOOL")
    texts = ["optimizer", "model.hidden", "trainer.preflight", "trainer.figures", "dataset.inputs"]
    assert {types[name] for name in texts} == {"STRING"}
    columns = []
    for info in experiment.hparam_infos:  # each filter lets all values pass
        column = api_pb2.ColParams(hparam=info.name, order=api_pb2.ORDER_ASC)
        if info.type == api_pb2.DATA_TYPE_FLOAT64:
            column.filter_interval.min_value, column.filter_interval.max_value = -math.inf, math.inf
        else:
            column.filter_discrete.CopyFrom(info.domain_discrete)
        columns.append(column)
    assert len(listed(*columns)) == len(runs)
    patterns = [api_pb2.ColParams(hparam=name, filter_regexp="") for name in types if types[name] == "STRING"]
    assert len(listed(*patterns)) == len(runs)


@pytest.mark.parametrize(
    ("values", "key", "told"),
    [
        ({"trainer.batch_size": 16}, "trainer.batch_size", 16),
        ({"trainer.batch_size": "full"}, "trainer.batch_size", 90),  # all examples
        ({"trainer.threads": "auto"}, "trainer.threads", None),
        ({"dataset.limit": 60}, "dataset.limit", 60),
        ({"dataset.limit": None}, "dataset.limit", None),
        ({"dataset": "random_regression"}, "dataset.inputs", "1000"),  # names of columns with dataset=csv
        ({"dataset": "csv", "dataset.inputs": ["x", "a b"]}, "dataset.inputs", "[x,'a b']"),
        ({"dataset": "csv", "dataset.header": None}, "dataset.header", None),
        ({"dataset": "csv", "dataset.header": False}, "dataset.header", False),
        ({"model.hidden": [8, 4]}, "model.hidden", "[8,4]"),
        ({"model.hidden": None}, "model.hidden", "null"),
        ({"trainer.preflight": True}, "trainer.preflight", "true"),
        ({"optimizer": "sgd", "optimizer.nesterov": True}, "optimizer.nesterov", True),
        ({"optimizer": "sgd"}, "optimizer", "sgd"),
    ],
)
def test_values(config_of, values, key, told):
    found = hyperparameters(config_of(values), 90).get(key)
    assert (found, type(found)) == (told, type(told))
