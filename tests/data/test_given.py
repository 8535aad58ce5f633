"""Given data: found by their digest while something refers to them, and split like a table from a file."""

import gc
import pickle

import numpy as np
import pytest
import torch

from deeprob.data import CSVConfig, GivenConfig
from deeprob.data.columns import Column, Table
from deeprob.data.frames import table_of
from deeprob.data.given import Given
from deeprob.errors import UserError

NUMBERS = np.arange(40.0).reshape(10, 4) % 7


def given(numbers=NUMBERS, name="data") -> Given:
    table = table_of(np.column_stack([numbers, np.arange(len(numbers)) % 2]))
    return Given(Table(name, table.names, table.columns, header=False)).found()


def test_a_config_finds_its_data_only_as_long_as_something_refers_to_them():
    data = given()
    config = GivenConfig(digest=data.digest)
    assert len(config.load().train) == 8
    assert given() is data  # equal data are kept once
    del data
    gc.collect()
    with pytest.raises(UserError) as raised:
        config.load()
    assert str(raised.value) == (
        "dataset=given: the data were given from Python, and are not here; give them again: "
        "deeprob.load_run(DIR, data=(X, y))"
    )


def test_splits_are_those_of_the_same_table_in_a_file(tmp_path):
    path, data = tmp_path / "t.csv", given()
    np.savetxt(path, np.column_stack([column.numbers for column in data.table.columns]), delimiter=",")
    for fields in ({"val_fraction": 0.25}, {"folds": 3, "fold": 1}, {"limit": 5, "inputs": ["2", "0"]}):
        file, memory = CSVConfig(root=str(path), **fields).load(), GivenConfig(digest=data.digest, **fields).load()
        for split in ("train", "val", "test"):
            ours, theirs = getattr(memory, split), getattr(file, split)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert torch.equal(ours.inputs, theirs.inputs)
                assert torch.equal(ours.targets, theirs.targets)
        assert memory.told == ()


def test_test_and_validation_data_of_their_own():
    train, test, val = given(), given(NUMBERS[:4] + 1, "test"), given(NUMBERS[:6] + 2, "val")
    config = GivenConfig(digest=train.digest, test=test.digest, val=val.digest)
    assert config.has_validation
    splits = config.load()
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [10, 6, 4]
    assert torch.equal(splits.test.inputs, torch.tensor(NUMBERS[:4] + 1))
    assert torch.equal(splits.val.inputs, torch.tensor(NUMBERS[:6] + 2))
    config = GivenConfig(digest=train.digest, val=val.digest, val_fraction=0.2)
    assert list(config.problems()) == [
        "val_fraction=0.2: the data given as val are the validation split; set one of them"
    ]


def test_pictures_with_splits_of_their_own():
    def pictures(count: int, first: int) -> Given:
        table = Table("data", ("target",), (Column(numbers=np.arange(count) % 2.0),))
        return Given(table, ("target",), {"target": "int"}, torch.full((count, 1, 2, 2), first).byte()).found()

    train, test, val = pictures(8, 1), pictures(4, 2), pictures(2, 3)
    splits = GivenConfig(digest=train.digest, test=test.digest, val=val.digest).load()
    assert [part.inputs.unique().tolist() for part in (splits.train, splits.val, splits.test)] == [[1], [3], [2]]
    splits = GivenConfig(digest=train.digest, val=val.digest).load()
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [6, 2, 2]
    numbers = GivenConfig(digest=train.digest, task="regression").load()
    assert numbers.train.targets.dtype == torch.float64
    two = Table("data", ("a", "b"), train.table.columns * 2)
    data = Given(two, ("a", "b"), {}, train.inputs).found()
    with pytest.raises(UserError, match="data: classes are given by one column"):
        GivenConfig(digest=data.digest).load()


def test_targets_are_given_once():
    data = given()
    whole = Given(data.table, targets=("4",)).found()
    with pytest.raises(UserError, match=r"dataset.targets: data=\(X, y\) gives the targets already; leave it out"):
        GivenConfig(digest=whole.digest, targets=["3"]).load()


def test_the_type_of_labels_is_that_of_the_target():
    data = given()
    typed = Given(data.table, labels={"4": "bool", "3": "float"}).found()
    assert GivenConfig(digest=typed.digest).resolved().label_type == "bool"
    assert GivenConfig(digest=typed.digest, targets=["3"]).resolved().label_type == "float"
    assert GivenConfig(digest=typed.digest, drop=["4"]).resolved().label_type == "float"
    assert GivenConfig(digest="gone", label_type="int").resolved().labels_of(("1", "2")).tolist() == [1, 2]


def test_pickled_data_are_found_where_they_arrive():
    data = given()
    text, digest = pickle.dumps(data), data.digest
    del data
    gc.collect()
    with pytest.raises(UserError, match="are not here"):
        GivenConfig(digest=digest).load()
    again = pickle.loads(text)
    assert again.digest == digest
    assert len(GivenConfig(digest=digest).load().train) == 8


def test_targets_may_lack_a_class():
    numbers = table_of(np.arange(8.0)[:, None])
    column = Column(codes=np.array([0, 2] * 4, np.int32), levels=("a", "b", "c"))
    table = Table("data", (*numbers.names, "kind"), (*numbers.columns, column))
    known = Given(table, ("kind",), classes=("a", "b", "c")).found()
    splits = GivenConfig(digest=known.digest, test=known.digest).load()
    assert splits.classes == ("a", "b", "c")
    assert splits.train.targets.tolist() == [0, 2] * 4
    assert splits.test is splits.train  # the same rows are encoded once
    assert Given(table, ("kind",)).digest != known.digest
    held = GivenConfig(digest=known.digest, test=known.digest, val_fraction=0.25).load()
    assert (len(held.train), len(held.val), len(held.test)) == (6, 2, 8)


@pytest.mark.parametrize("pictures", [False, True])
def test_weights_are_given_with_the_data(pictures):
    table = table_of(NUMBERS)
    kinds, weights = Column(numbers=np.arange(10.0) % 2), Column(numbers=np.arange(1.0, 11))
    inputs = torch.arange(10 * 12, dtype=torch.uint8).reshape(10, 3, 2, 2) if pictures else None
    columns = {} if pictures else dict(zip(table.names, table.columns, strict=True))
    columns |= {"kind": kinds, "weights": weights}
    whole = Table("data", tuple(columns), tuple(columns.values()))
    data = Given(whole, ("kind",), inputs=inputs, weights="weights").found()
    plain = dict(list(columns.items())[:-1])
    other = Given(Table("test", tuple(plain), tuple(plain.values())), ("kind",), inputs=inputs).found()
    splits = GivenConfig(digest=data.digest, test=other.digest).load()
    assert splits.train.weights.tolist() == list(range(1, 11))
    assert splits.test.targets.tolist() == [0, 1] * 5
    assert len(splits.columns) == (0 if pictures else 4)
    with pytest.raises(UserError, match=r"dataset.weights: data=\(X, y, weights\) gives the weights already"):
        GivenConfig(digest=data.digest, weights="kind").load()
