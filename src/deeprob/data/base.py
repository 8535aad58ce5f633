"""The base class of datasets: it limits the number of examples, and draws the validation and test splits."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob import randomness
from deeprob.config import name_of, number
from deeprob.data.examples import Examples, Splits
from deeprob.errors import UserError
from deeprob.tracking.console import note


@dataclass(kw_only=True, slots=True)
class DatasetConfig:
    """Fields of every dataset.

    `deeprob.parts.protocols` says what a dataset has to keep.

    Attributes
    ----------
    limit
        The number of training examples that are kept. They are drawn at random, such that the share of each class stays
        nearly the same. null keeps all.
    val_fraction
        The share of the training examples that is held out as the validation split. 0 makes no validation split.
    folds
        The number of folds of a cross-validation. 0 makes no folds. Otherwise all examples are divided into folds of
        nearly the same size, with nearly the same share of each class. One fold is the test split, in place of the one
        that ``dataset.test_fraction`` draws. The other folds are the training examples. ``sweep.folds`` trains one run
        for each fold. Example: ``dataset=csv dataset.root=TABLE.csv dataset.folds=5 dataset.fold=2``.
    fold
        The number of the fold that is the test split, from 0. Example: ``dataset=csv dataset.root=TABLE.csv
        dataset.folds=5 dataset.fold=2``.
    seed
        The seed of generated points and of random splits. It is separate from the run's ``seed``, so runs with
        different seeds have the same examples.
    standardize_targets
        Whether numbers to predict are trained with mean 0 and deviation 1. Mean and standard deviation are those of the
        training split. Losses are then in the units trained, and all other results in the units of the dataset.
    """

    batch_size_hint: ClassVar[int] = 128
    tabular: ClassVar[bool] = False
    """Whether the examples are rows of a table, in which columns may be noise and rows few."""
    from_python: ClassVar[bool] = False
    """Whether only Python can choose the dataset. Then messages do not suggest it."""

    limit: int | None = number(None, minimum=1, optional=True)
    val_fraction: float = number(0.0, minimum=0, below=1)
    folds: int = number(0, minimum=0)
    fold: int = number(0, minimum=0)
    seed: int = number(0, minimum=0)
    standardize_targets: bool = False

    def problems(self) -> Iterator[str]:
        """Yield a message for each invalid value of ``folds`` and ``fold``."""
        if self.folds == 1:
            yield "folds=1: expected 2 or more, or 0 for no folds"
        elif self.folds and (not hasattr(self, "test_fraction") or getattr(self, "test", None) is not None):
            yield f"folds={self.folds}: {self._own_test_split}"
        elif self.fold >= max(self.folds, 1):
            below = f"a number below dataset.folds={self.folds}" if self.folds else "dataset.folds=5, say, beside it"
            yield f"fold={self.fold}: expected {below}"

    @property
    def _own_test_split(self) -> str:
        advice = "; leave dataset.test out" if getattr(self, "test", None) is not None else ""
        return f"dataset={name_of(self)} has a test split of its own; folds are made of examples that have none{advice}"

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers instead of classes."""
        return False

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation split: either drawn at random, or given with the data."""
        return self.val_fraction > 0

    def load(self) -> Splits:
        """Return the dataset's splits."""
        raise AssertionError("a dataset defines load()")

    def resolved(self) -> Self:
        """Return the config with an absolute path in its field `root`, if it has this field."""
        root = getattr(self, "root", None)
        if root is None:
            return self
        changes: dict[str, Any] = {"root": os.path.realpath(place(root))}
        return dataclasses.replace(self, **changes)

    def labels_of(self, classes: tuple[str, ...]) -> npt.NDArray[Any]:
        """Return what a prediction calls each class (C,): its name."""
        return np.array(classes)

    def noise_sources(self) -> list[str]:
        """Return the settings that switch off random changes of training inputs, such as ``["dataset.flip=false"]``."""
        return []

    def augmentation(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Return the function that changes training inputs at random in each update, or None if there is none.

        The arguments of the function are a batch of training inputs and a random key.
        """
        return None

    def hold_out(self, everything: Examples, fraction: float, classes: tuple[str, ...]) -> Splits:
        """Draw the test split at random, or take a fold as the test split. Then finish the remaining examples.

        Parameters
        ----------
        everything
            All examples.
        fraction
            The share of all examples that is drawn for the test split, if there are no folds.
        classes
            The names of the classes.

        Raises
        ------
        UserError
            If one of the splits would be empty.
        """
        if self.folds:
            fold = torch.zeros(len(everything), dtype=torch.bool)
            fold[self._fold(everything.targets, classes)] = True
            train, test = (everything[part.nonzero().flatten()] for part in (~fold, fold))
            return self._finish(train, test, classes)
        count = round(fraction * len(everything))
        if not 0 < count < len(everything):
            raise UserError(
                f"dataset.test_fraction={fraction}: {len(everything)} examples give {count} for the test; "
                "each side needs at least one"
            )
        train, test = self._divide(everything, count, "test")
        return self._finish(train, test, classes)

    def finish(self, train: Examples, test: Examples, classes: tuple[str, ...], val: Examples | None = None) -> Splits:
        """Apply `limit` to the training examples; if `val` is not given, draw a validation split from them.

        If `val_fraction` is 0, no validation split is drawn.

        Raises
        ------
        UserError
            If there are folds, or if the training split or the validation split would be empty.
        """
        if self.folds:
            raise UserError(f"dataset.folds={self.folds}: {self._own_test_split}")
        return self._finish(train, test, classes, val)

    def _finish(self, train: Examples, test: Examples, classes: tuple[str, ...], val: Examples | None = None) -> Splits:
        if self.limit is not None and self.limit < len(train):
            train = train[draw_evenly(train.targets, self.limit, self.seed, "limit")]
        if val is not None or self.val_fraction == 0:
            return Splits(train, val, test, classes)
        count = round(self.val_fraction * len(train))
        if not 0 < count < len(train):
            raise UserError(
                f"dataset.val_fraction={self.val_fraction}: {len(train)} training examples give a split of "
                f"{count} for validation; each side needs at least one"
            )
        train, val = self._divide(train, count, "validation")
        return Splits(train, val, test, classes)

    def _fold(self, targets: Tensor, classes: tuple[str, ...]) -> Tensor:
        """Return the positions of the examples in the fold that is the test split.

        Raises
        ------
        UserError
            If there are more folds than examples, or than examples of every class.
        """
        sizes = torch.bincount(targets).tolist() if classes else []
        if self.folds > (most := max(sizes, default=len(targets))):
            what = "examples of the largest class" if classes else "examples"
            raise UserError(f"dataset.folds={self.folds}: only {most} {what}; make fewer folds")
        if lacking := [name for name, size in zip(classes, sizes, strict=False) if size < self.folds]:
            more = f" and {len(lacking) - 3} more classes" if len(lacking) > 3 else ""
            note_once(
                f"dataset.folds={self.folds}: {', '.join(lacking[:3])}{more} "
                f"{'have' if len(lacking) > 1 else 'has'} fewer examples than there are folds, so some folds have none"
            )
        return divided(targets, self.folds, self.seed)[self.fold]

    def _divide(self, examples: Examples, count: int, name: str) -> tuple[Examples, Examples]:
        """Draw `count` examples at random; return the remaining examples, then the drawn examples."""
        drawn = draw_evenly(examples.targets, count, self.seed, name)
        rest = torch.ones(len(examples), dtype=torch.bool)
        rest[drawn] = False
        return examples[rest.nonzero().flatten()], examples[drawn]


def place(root: str) -> Path:
    """Return `dataset.root` as a path, with ``~`` expanded.

    Raises
    ------
    UserError
        If `root` is empty, or names the home directory of an unknown user.
    """
    if not root:
        raise UserError("dataset.root is empty: give the file or the folder with the data")
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        home = root.partition("/")[0]
        raise UserError(f"dataset.root={root}: no home directory known as {home}; give a path without it") from error


@functools.cache
def note_once(line: str) -> None:
    """Print a note, unless this process has printed it: each fold of a sweep would print the same one."""
    note(line)


def divided(targets: Tensor, folds: int, seed: int) -> list[Tensor]:
    """Divide examples into folds, such that the share of each class stays nearly the same.

    The examples are permuted at random. Then they are divided as `StratifiedKFold` of scikit-learn divides classes, and
    as its `KFold` divides numbers: the sizes of two folds differ by at most 1, and so do their numbers of a class.

    Parameters
    ----------
    targets
        (N,) int64 class numbers, or (N, K) floats. Floats do not affect the folds.
    folds
        The number of folds, at most N.
    seed
        The seed of the permutation.

    Returns
    -------
    list
        The positions of the examples in each fold, in ascending order, as int64.
    """
    order = torch.randperm(len(targets), generator=randomness.generator(seed, "folds"))
    if targets.is_floating_point():
        return [part.sort().values for part in order.tensor_split(folds)]
    classes = targets[order]
    first = torch.full((int(classes.max()) + 1,), len(order)).scatter_reduce(
        0, classes, torch.arange(len(order)), "amin"
    )
    rank = first.argsort().argsort()[classes]  # classes are counted in the order of their first examples
    by_class = rank.argsort(stable=True)
    dealt = rank[by_class] * folds + torch.arange(len(order)) % folds  # one after another, as cards to the folds
    fold = torch.empty_like(order)
    fold[by_class] = dealt.sort().values % folds
    return [order[fold == number].sort().values for number in range(folds)]


def draw_evenly(targets: Tensor, count: int, seed: int, name: str) -> Tensor:
    """Draw `count` examples at random, such that the share of each class stays nearly the same.

    Parameters
    ----------
    targets
        (N,) int64 class numbers, or (N, K) floats. Floats do not affect the draw.
    count
        The number of examples to draw, at most N.
    seed, name
        The seed, and the purpose of the draw, such as ``test``. The same seed and name always draw the same examples.

    Returns
    -------
    Tensor
        The positions (count,) of the drawn examples in ascending order, as int64.
    """
    order = torch.randperm(len(targets), generator=randomness.generator(seed, name))
    if targets.is_floating_point():
        return order[:count].sort().values
    shuffled = targets[order]
    sizes = torch.bincount(targets)
    by_class = torch.argsort(shuffled, stable=True)
    starts = (sizes.cumsum(0) - sizes)[shuffled[by_class]]
    place = torch.empty(len(targets), dtype=torch.float64)
    place[by_class] = (torch.arange(len(targets)) - starts + 0.5).double() / sizes[shuffled[by_class]]
    return order[torch.argsort(place, stable=True)[:count]].sort().values
