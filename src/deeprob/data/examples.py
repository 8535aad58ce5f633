"""Datasets as tensors: what every later stage receives."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Inputs and what is to be predicted from them.

    Attributes
    ----------
    inputs
        (N, D) floats for points of the plane or a table, (N, 3, H, W) uint8 for pictures.
    targets
        (N,) int64 class numbers, or (N, K) floats to be hit by K outputs (regression).
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return self.targets.shape[0]

    def __getitem__(self, index: Tensor | slice) -> "Examples":
        """Return some of the examples: views for a slice, one gather for an int64 index (n,)."""
        if isinstance(index, slice):
            return Examples(self.inputs[index], self.targets[index])
        return Examples(self.inputs.index_select(0, index), self.targets.index_select(0, index))

    def to(self, device: torch.device) -> "Examples":
        """Return the examples on a device."""
        return Examples(self.inputs.to(device), self.targets.to(device))

    def for_batches(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with floats of this type, but inputs of more digits keep them.

        So a mean can be taken off in a batch before digits are; pictures stay integers until then.
        """
        inputs = self.inputs
        if inputs.is_floating_point():
            inputs = inputs.to(torch.promote_types(inputs.dtype, dtype))
        return Examples(inputs, self.targets.to(dtype) if self.targets.is_floating_point() else self.targets)

    def as_floats(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with what are floats as floats of this type; pictures and classes stay integers."""
        inputs, targets = (t.to(dtype) if t.is_floating_point() else t for t in (self.inputs, self.targets))
        return Examples(inputs, targets)


@dataclass(frozen=True)
class Splits:
    """A dataset: examples to train on, to choose by, and to report on.

    Attributes
    ----------
    train, val, test
        The training split; the validation split if one was held out; the test split.
    classes
        The classes' names; a target is a position in this tuple. Empty for regression.
    columns, target_columns
        Names of the inputs, and of the numbers to be hit, in the header of a table; else empty.
    """

    train: Examples
    val: Examples | None
    test: Examples
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    target_columns: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for an example: a score a class, or a prediction a target."""
        return len(self.classes) or self.train.targets.shape[1]
