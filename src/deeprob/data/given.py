"""Data given from Python: a config names them by a fingerprint, and finds them in the memory of this process."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from omegaconf import MISSING
from torch import Tensor

from deeprob.config import choice, register
from deeprob.data.columns import Column, Table
from deeprob.data.examples import Examples, Splits
from deeprob.data.table_dataset import TableConfig
from deeprob.data.tabular import choose_roles, class_numbers, numbers_to_predict, weights_of_rows
from deeprob.errors import UserError
from deeprob.tracking.cache import fingerprint

LABELS: Mapping[str, Any] = {
    "text": str,
    "int": int,
    "float": float,
    "bool": lambda name: name == "true",
}
"""The types of labels, and for each the function that makes a label of the name of its class."""

_here: WeakValueDictionary[str, "Given"] = WeakValueDictionary()
"""All given data that some object still refers to, by digest."""


@dataclass(frozen=True, eq=False)
class Given:
    """Data given from Python.

    Attributes
    ----------
    table
        The columns. If `inputs` is given, these are the targets alone.
    targets
        The names of the columns that were given as targets. If it is empty, ``dataset.targets`` chooses them.
    labels
        The type of each column, as a word of `LABELS`.
    inputs
        (N, …) inputs that are not a table, such as pictures; None for a table.
    classes
        The names of all classes, if the targets may lack some of them. None: the classes are those of the targets.
    weights
        The name of the column that was given as weights. None: ``dataset.weights`` chooses it.
    """

    table: Table
    targets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Tensor | None = None
    classes: tuple[str, ...] | None = None
    weights: str | None = None
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self))

    def __reduce__(self) -> tuple[Any, ...]:  # another process finds the data too
        return _again, tuple(getattr(self, part.name) for part in dataclasses.fields(self) if part.init)

    def found(self) -> "Given":
        """Let configs with this digest find the data, as long as an object refers to them.

        Return the data. If equal data are known already, return those.
        """
        return _here.setdefault(self.digest, self)


def _again(*parts: Any) -> Given:
    """Return pickled data."""
    return Given(*parts).found()


def _digest(given: Given) -> str:
    """Return a hash of names and values."""
    table, digest = given.table, hashlib.blake2b(digest_size=16)
    digest.update(
        repr(
            (table.names, table.header, given.targets, sorted(given.labels.items()), given.classes, given.weights)
        ).encode()
    )
    for column in table.columns:
        values: Any = column.codes if column.numbers is None else column.numbers
        digest.update(repr((values.dtype.str, values.shape, column.levels)).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(values).data)
    if given.inputs is not None:
        digest.update(fingerprint(given.inputs).encode())
    return f"data-{digest.hexdigest()}"


@register("dataset", "given")
@dataclass(kw_only=True, slots=True)
class GivenConfig(TableConfig):
    """Your own arrays or data frames, given from Python: ``deeprob.train(data=(X, y))``.

    Attributes
    ----------
    digest
        The fingerprint of the data, by which they are found. Python sets it. Example: ``dataset=given
        dataset.digest=data-0``.
    test
        The fingerprint of the data of the test split. null draws the test split from the data.
    val
        The fingerprint of the data of the validation split.
    label_type
        The type of the labels, which predictions have too. ``auto`` finds it out.
    """

    from_python: ClassVar[bool] = True

    digest: str = MISSING
    test: str | None = None
    val: str | None = None
    label_type: str = choice("auto", among=("auto", *LABELS))

    def problems(self) -> Iterator[str]:
        """Yield a message for each invalid value."""
        yield from TableConfig.problems(self)
        if self.val is not None and self.val_fraction:
            yield f"val_fraction={self.val_fraction}: the data given as val are the validation split; set one of them"

    def resolved(self) -> Self:
        """Return the config with the type of the labels in place of ``auto``."""
        if self.label_type != "auto":
            return self
        given = self._find(self.digest)
        return dataclasses.replace(self, label_type=given.labels.get(self._target_in(given), "text"))

    def labels_of(self, classes: tuple[str, ...]) -> npt.NDArray[Any]:
        """Return the label of each class (C,), in the type in which labels were given."""
        return np.array([LABELS[self.label_type](name) for name in classes])

    def load(self) -> Splits:
        """Draw the splits of the data.

        Raises
        ------
        UserError
            If the data are not in this process, or if a column cannot be used.
        """
        given = self._find(self.digest)
        if given.targets and self.targets is not None:
            raise UserError("dataset.targets: data=(X, y) gives the targets already; leave it out")
        if given.weights is not None and self.weights is not None:
            raise UserError("dataset.weights: data=(X, y, weights) gives the weights already; leave it out")
        self._check_labels(given)
        config = dataclasses.replace(self, targets=list(given.targets)) if given.targets else self
        others = [None if digest is None else self._find(digest) for digest in (self.test, self.val)]
        if given.weights is not None:
            config = dataclasses.replace(config, weights=given.weights)
            others = [None if other is None else _weighted(other, given.weights) for other in others]
        if given.inputs is not None:
            return config._examples_of(given, *others)
        test, val = (None if other is None else other.table for other in others)
        splits = config.split(given.table, test, val, given.classes)
        return dataclasses.replace(splits, told=())

    @property
    def is_here(self) -> bool:
        """Whether all data are in the memory of this process."""
        return all(digest is None or digest in _here for digest in (self.digest, self.test, self.val))

    def _target_in(self, given: Given) -> str:
        """Return the name of the first column that is predicted."""
        if given.targets:
            return given.targets[0]
        return choose_roles(given.table, self.targets, self.inputs, self.drop, self.weights).targets[0]

    def _check_labels(self, given: Given) -> None:
        """Raise a `UserError` if classes are given as numbers of which some are not whole."""
        name = self._target_in(given)
        numbers = given.table[name].numbers
        if self.regression or given.labels.get(name) != "float" or numbers is None:
            return
        broken = numbers[np.isfinite(numbers) & (numbers % 1 != 0)]
        if broken.size:
            raise UserError(
                f"{given.table.source}, column {name}: numbers such as {broken[0]:.6g} are no classes; to predict "
                "numbers, add dataset.task=regression loss=squared_error, or give classes as texts or whole numbers"
            )

    def _find(self, digest: str) -> Given:
        given = _here.get(digest)
        if given is None:
            raise UserError(
                "dataset=given: the data were given from Python, and are not here; give them again: "
                "deeprob.load_run(DIR, data=(X, y))"
            )
        return given

    def _examples_of(self, given: Given, test: Given | None, val: Given | None) -> Splits:
        """Return the splits of inputs that are not a table."""
        everything, classes = self._as_examples(given, given.classes)
        held = None if val is None else self._as_examples(val, classes)[0]
        if test is not None:
            return self.finish(everything, self._as_examples(test, classes)[0], classes, held)
        drawn = self.hold_out(everything, self.test_fraction, classes)
        return drawn if held is None else dataclasses.replace(drawn, val=held)

    def _as_examples(self, given: Given, classes: tuple[str, ...] | None) -> tuple[Examples, tuple[str, ...]]:
        """Return the inputs with their targets, and the names of the classes."""
        assert given.inputs is not None
        if not self.regression and len(given.targets) > 1:
            raise UserError("data: classes are given by one column; to predict numbers, set dataset.task=regression")
        known: tuple[str, ...] = ()
        if self.regression:
            targets = numbers_to_predict(given.table, given.targets)
        else:
            targets, known = class_numbers(given.table, given.targets[0], classes)
        if self.weights is None:
            return Examples(given.inputs, targets), known
        return Examples.weighted(given.inputs, targets, weights_of_rows(given.table, self.weights)), known


def _weighted(given: Given, name: str) -> Given:
    """Return data of another split with a column of weights. If no weights were given, each is 1."""
    if name in given.table.names:
        return given
    table = given.table
    ones = Column(numbers=np.ones(len(table)))
    whole = dataclasses.replace(table, names=(*table.names, name), columns=(*table.columns, ones))
    return dataclasses.replace(given, table=whole)
