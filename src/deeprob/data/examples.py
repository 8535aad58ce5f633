"""Examples and splits of a dataset, as tensors."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    weights
        (N,) float64, above 0: how much each example counts (see `weighted`). None: each counts 1.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    @classmethod
    def weighted(cls, inputs: Tensor, targets: Tensor, weights: Tensor) -> "Examples":
        """Return examples with weights, without those of weight 0.

        Weights that are whole numbers stay. Then an example of weight 3 is the same as three examples, wherever the
        number of examples matters. Of other weights only the proportions count: they are scaled to mean 1.

        Raises
        ------
        ValueError
            If a weight is negative or not finite, or if no weight is above 0.
        """
        weights = weights.double()
        if not weights.isfinite().all():
            raise ValueError("a weight is not a finite number")
        if (weights < 0).any():
            raise ValueError("a weight is negative")
        if not (weights > 0).any():
            raise ValueError("no weight is above 0")
        kept = weights.nonzero().flatten()
        whole = weights.equal(weights.round()) and bool(weights.max() < 2**31)
        examples = cls(inputs, targets, weights if whole else weights / weights.max())[kept]
        return examples if whole else replace(examples, weights=examples.shares)

    def __len__(self) -> int:
        return self.targets.shape[0]

    def __getitem__(self, index: Tensor | slice) -> "Examples":
        """Return the examples at `index`, which is a slice or a tensor (n,) of int64 positions.

        A slice gives views of the tensors; positions give copies.
        """
        if isinstance(index, slice):
            return self.each(lambda values: values[index])
        return self.each(lambda values: values.index_select(0, index))

    def each(self, function: Callable[[Tensor], Tensor]) -> "Examples":
        """Return the examples with all tensors changed by a function."""
        weights = None if self.weights is None else function(self.weights)
        return Examples(function(self.inputs), function(self.targets), weights)

    @property
    def total(self) -> int:
        """The sum of the weights, rounded: the number of examples of weight 1 for which these examples stand."""
        return len(self) if self.weights is None else round(self.weights.sum().item())

    @property
    def shares(self) -> Tensor | None:
        """The weights (N,), scaled to mean 1. None: each is 1."""
        return None if self.weights is None else with_mean_1(self.weights)

    def to(self, device: torch.device) -> "Examples":
        """Return the examples on `device`."""
        return self.each(lambda values: values.to(device))

    def for_batches(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with floats converted to `dtype`, except inputs of higher precision.

        Inputs of higher precision stay unchanged here. In each batch, features subtract the mean from these inputs,
        then round the result to `dtype`. Pictures and classes stay integers.
        """
        inputs = self.inputs
        if inputs.is_floating_point():
            inputs = inputs.to(torch.promote_types(inputs.dtype, dtype))
        targets = self.targets.to(dtype) if self.targets.is_floating_point() else self.targets
        return replace(self, inputs=inputs, targets=targets)

    def as_floats(self, dtype: torch.dtype) -> "Examples":
        """Return the examples with all floats converted to `dtype`; pictures and classes stay integers."""
        inputs, targets = (t.to(dtype) if t.is_floating_point() else t for t in (self.inputs, self.targets))
        return replace(self, inputs=inputs, targets=targets)


def with_mean_1(weights: Tensor) -> Tensor:
    """Return weights (…, N) of examples, scaled such that the mean of each row is 1. Example: 1 and 3 become ½ and 1½.

    The mean of wᵢLᵢ with these weights is Σ wᵢLᵢ / Σ wᵢ with the weights before.
    """
    return weights * (weights.shape[-1] / weights.sum(-1, keepdim=True))


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
