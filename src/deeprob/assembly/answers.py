"""What runs answer to new inputs, as named columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.errors import UserError

Values = npt.NDArray[Any]


class Answers:
    """What one run, or several runs together, answer to new inputs.

    For classes, there is a column ``class`` with the name of the predicted class, and a column ``p(NAME)`` with the
    probability of each class, if the losses of the runs make probabilities. For numbers, there is a column for each
    target. Several runs are combined as ``deeprob-evaluate`` combines them with ``fusion=mean`` (see
    `deeprob.assembly.fusion.fuse`).

    Parameters
    ----------
    runs
        The runs.

    Raises
    ------
    UserError
        If there are several runs that predict different things, or whose losses make no probabilities.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        first, *others = runs
        for run in others:
            if _predicted(run) != _predicted(first):
                raise UserError(
                    f"{run.directory}: predicts other classes or numbers than {first.directory}; fusion needs the same"
                )
        for run in runs if others and first.classes else ():
            run.check_probabilities()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        first = self.runs[0]
        if first.classes:
            shares = [f"p({name})" for name in first.classes] if first.has_probabilities else []
            return ["class", *shares]
        return list(_predicted(first)[1])

    def __call__(self, inputs: Sequence[Tensor]) -> list[Values]:
        """Return the columns (N,) for the N inputs of each run."""
        first = self.runs[0]
        outputs = torch.stack([run.scores_of(part).double() for run, part in zip(self.runs, inputs, strict=True)])
        scores = outputs.mean(0)  # whose softmax is the normalised product of the probabilities, as in fusion=mean
        if not first.classes:
            return list(scores.numpy().T)
        names: Values = np.array(first.classes)[scores.argmax(1).numpy()]
        return [names, *(scores.softmax(1).numpy().T if first.has_probabilities else ())]


def _predicted(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the classes and of the predicted numbers."""
    if run.classes:
        return run.classes, ()
    count = run.predictor.outputs
    plain = ("target",) if count == 1 else tuple(f"target {place}" for place in range(count))
    return (), plain if run.encoding is None else run.encoding.targets
