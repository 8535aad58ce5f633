"""The extracted splits that a run trains on and is measured on. Runs of a stack may have different splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.data import Examples
from deeprob.features import Features


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The splits of a run, on the model's device.

    Attributes
    ----------
    features
        The module that prepares a batch for the model.
    train
        The extracted training split.
    validation
        The extracted validation split, which is measured at the end of each epoch. None: nothing is measured.
    deviation
        The numbers (K,) by which the targets were divided. None: nothing was divided.
    """

    features: Features
    train: Examples
    validation: Examples | None = None
    deviation: Tensor | None = None

    @property
    def shapes(self) -> tuple[object, ...]:
        """The shapes and dtypes of all splits. If they are the same, a stack can have runs with different data."""
        parts = [self.train] if self.validation is None else [self.train, self.validation]
        tensors = [tensor for part in parts for tensor in (part.inputs, part.targets, part.weights)]
        return (self.features.output_count, *(None if t is None else (t.shape, t.dtype) for t in tensors))


class DataOfRuns:
    """The data of R runs. Runs that share their data share its tensors.

    Parameters
    ----------
    data
        The data of each run. All have the same shapes.

    Attributes
    ----------
    different
        The different data, in the order of the runs.
    places
        (R,) The index of each run's data in `different`. None if all runs share one.
    """

    def __init__(self, data: Sequence[TrainingData]) -> None:
        self.runs = len(data)
        self.different = list(dict.fromkeys(data))
        self.places: Tensor | None = None
        if len(self.different) > 1:
            device = data[0].train.targets.device
            self.places = torch.tensor([self.different.index(of_run) for of_run in data], device=device)

    def each(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the tensors of all runs as (R, …), given one tensor for each of the different data."""
        if self.places is None:
            return tensors[0].expand(self.runs, *tensors[0].shape)
        return torch.stack(list(tensors)).index_select(0, self.places)
