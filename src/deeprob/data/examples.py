"""Examples and splits of a dataset, as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.data.encoding import Encoding


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
        """Return the examples at `index`, which is a slice or a tensor (n,) of int64 positions.

        A slice gives views of the tensors; positions give copies.
        """
        if isinstance(index, slice):
            return Examples(self.inputs[index], self.targets[index])
        return Examples(self.inputs.index_select(0, index), self.targets.index_select(0, index))

    def to(self, device: torch.device) -> "Examples":
        """Return the examples on `device`."""
        return Examples(self.inputs.to(device), self.targets.to(device))

    def for_batches(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with floats converted to `dtype`, except inputs of higher precision.

        Inputs of higher precision stay unchanged here. In each batch, features subtract the mean from these inputs,
        then round the result to `dtype`. Pictures and classes stay integers.
        """
        inputs = self.inputs
        if inputs.is_floating_point():
            inputs = inputs.to(torch.promote_types(inputs.dtype, dtype))
        return Examples(inputs, self.targets.to(dtype) if self.targets.is_floating_point() else self.targets)

    def as_floats(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with all floats converted to `dtype`; pictures and classes stay integers."""
        inputs, targets = (t.to(dtype) if t.is_floating_point() else t for t in (self.inputs, self.targets))
        return Examples(inputs, targets)


@dataclass(frozen=True)
class Splits:
    """A dataset, divided into training, validation and test examples.

    Attributes
    ----------
    train, val, test
        The training, validation and test splits. `val` is None if there is no validation split.
    classes
        The names of the classes. A target is a position in this tuple. For regression the tuple is empty.
    columns, target_columns
        The names of the inputs and of the targets. Both are empty if the dataset is not a table, or if the table has no
        header. For classification, `target_columns` is empty.
    encoding
        What the columns of a table became; None if the dataset is not a table.
    told
        Lines that say what was found in a table. A run prints them at its start.
    """

    train: Examples
    val: Examples | None
    test: Examples
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    target_columns: tuple[str, ...] = ()
    encoding: Encoding | None = None
    told: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """The number of model outputs per example: one for each class, or one for each target in regression."""
        return len(self.classes) or self.train.targets.shape[1]
