"""Datasets as tensors: what every later stage receives."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Inputs, and the targets to predict from them.

    Attributes
    ----------
    inputs
        (N, D) floats for points of the plane or a table, (N, 3, H, W) uint8 for pictures.
    targets
        (N,) int64 class numbers, or (N, K) floats for K outputs (regression).
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
        """Return the examples with floats of type `dtype`, except that inputs of higher precision keep it.

        This way a mean can be subtracted from a batch before the inputs are rounded. Pictures stay integers until then.
        """
        inputs = self.inputs
        if inputs.is_floating_point():
            inputs = inputs.to(torch.promote_types(inputs.dtype, dtype))
        return Examples(inputs, self.targets.to(dtype) if self.targets.is_floating_point() else self.targets)

    def as_floats(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with all floats of type `dtype`; pictures and classes stay integers."""
        inputs, targets = (t.to(dtype) if t.is_floating_point() else t for t in (self.inputs, self.targets))
        return Examples(inputs, targets)


@dataclass(frozen=True)
class Splits:
    """A dataset: examples for training, for validation and for the test.

    Attributes
    ----------
    train, val, test
        The training split; the validation split, or None; the test split.
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
        """Number of a model's outputs per example: one score per class, or one prediction per target."""
        return len(self.classes) or self.train.targets.shape[1]
