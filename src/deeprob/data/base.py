"""What every dataset shares: a limit, a validation split, and how both are drawn."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.config import number
from deeprob.data.examples import Examples, Splits
from deeprob.errors import UserError


@dataclass(kw_only=True, slots=True)
class DatasetConfig:
    """Fields of every dataset.

    `seed` draws generated points and splits, so that runs with other seeds of their own see the same examples.

    Attributes
    ----------
    limit
        The number of training examples that are kept, drawn evenly from the classes. null keeps all.
    val_fraction
        The share of the training examples that is held out as the validation split. 0 holds none out.
    seed
        The seed that draws generated points and splits. It is apart from the run's ``seed``, so that runs with
        other seeds see the same examples.
    """

    batch_size_hint: ClassVar[int] = 128

    limit: int | None = number(None, minimum=1, optional=True)
    val_fraction: float = number(0.0, minimum=0, below=1)
    seed: int = number(0, minimum=0)

    @property
    def regression(self) -> bool:
        """Whether targets are numbers to be hit."""
        return False

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation split: one that is drawn, or one that comes with the data."""
        return self.val_fraction > 0

    def load(self) -> Splits:
        """Return the dataset's splits."""
        raise AssertionError("a dataset defines load()")

    def resolved(self) -> Self:
        """Return the config with a root, if it is of a dataset that has one, that holds from any folder."""
        root = getattr(self, "root", None)
        if root is None:
            return self
        changes: dict[str, Any] = {"root": os.path.realpath(place(root))}
        return dataclasses.replace(self, **changes)

    def noise_sources(self) -> list[str]:
        """Return what draws random numbers in training, each as the override that switches it off."""
        return []

    def augmentation(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Return what changes a batch of training inputs, given a key for its random numbers; None for nothing."""
        return None

    def hold_out(self, everything: Examples, fraction: float, classes: tuple[str, ...]) -> Splits:
        """Draw the test split from examples that come without one, and finish.

        Raises
        ------
        UserError
            When either side would be empty.
        """
        count = round(fraction * len(everything))
        if not 0 < count < len(everything):
            raise UserError(
                f"dataset.test_fraction={fraction}: {len(everything)} examples give {count} for the test; "
                "each side needs at least one"
            )
        train, test = self._divide(everything, count, "test")
        return self.finish(train, test, classes)

    def finish(self, train: Examples, test: Examples, classes: tuple[str, ...], val: Examples | None = None) -> Splits:
        """Apply `limit` to the training examples, and `val_fraction` unless `val` comes with the data."""
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

    def _divide(self, examples: Examples, count: int, name: str) -> tuple[Examples, Examples]:
        """Return the rest, and `count` examples drawn from all."""
        drawn = draw_evenly(examples.targets, count, self.seed, name)
        rest = torch.ones(len(examples), dtype=torch.bool)
        rest[drawn] = False
        return examples[rest.nonzero().flatten()], examples[drawn]


def place(root: str) -> Path:
    """Return the path that `dataset.root` gives, with ``~`` filled in.

    Raises
    ------
    UserError
        When it is empty, or the home of somebody unknown.
    """
    if not root:
        raise UserError("dataset.root is empty: give the file or the folder with the data")
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        home = root.partition("/")[0]
        raise UserError(f"dataset.root={root}: no home directory known as {home}; give a path without it") from error


def draw_evenly(targets: Tensor, count: int, seed: int, name: str) -> Tensor:
    """Draw `count` examples at random with the classes in (nearly) the proportions of the whole.

    Parameters
    ----------
    targets
        (N,) int64 class numbers, or (N, K) floats, which are drawn without regard to their values.
    count
        How many to draw, at most N.
    seed, name
        The draw's name: the same pair draws the same examples.

    Returns
    -------
    Tensor
        (count,) int64 positions in ascending order.
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
