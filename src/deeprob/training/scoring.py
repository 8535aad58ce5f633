"""The measures of a split besides the loss, as one dictionary for each run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.tracking.metric_names import RECALL
from deeprob.training.classification import of_classes
from deeprob.training.regression import of_numbers

MOST_RECALLS = 20
"""The largest number of classes for which the recall of each class is measured."""

_AT_ONCE = {"cpu": 2**17, "cuda": 2**24}
"""The number of scores that are measured at once. On a CPU, these fit into its cache."""


@dataclass(frozen=True)
class Scoring:
    """A function that measures the scores of runs on a split.

    Attributes
    ----------
    classes
        The names of the classes. Empty for regression.
    probabilities
        See `deeprob.training.classification.of_classes`.
    deviation
        See `deeprob.training.regression.of_numbers`.
    """

    classes: Sequence[str] = ()
    probabilities: bool = False
    deviation: Tensor | None = None

    @torch.no_grad()
    def __call__(self, scores: Tensor, targets: Tensor) -> list[dict[str, float]]:
        """Return the measures of each run. Measures that are not defined for the targets are left out.

        Parameters
        ----------
        scores
            (R, N, C) for R runs and N examples.
        targets
            Class numbers (N,) or numbers (N, C). If the runs have different examples, R comes first.
        """
        runs, count, width = scores.shape
        shared = targets.dim() == (2 if targets.is_floating_point() else 1)
        size = max(1, _AT_ONCE.get(scores.device.type, 2**17) // (count * width))
        found: list[dict[str, float]] = []
        for start in range(0, runs, size):
            part = slice(start, start + size)
            measures = self._measures(scores[part], targets if shared else targets[part], part)
            rows = torch.stack(list(measures.values()), 1).tolist()
            found += (dict(pair for pair in zip(measures, row, strict=True) if math.isfinite(pair[1])) for row in rows)
        return found

    def _measures(self, scores: Tensor, targets: Tensor, part: slice) -> dict[str, Tensor]:
        if targets.is_floating_point():
            deviation = self.deviation
            return of_numbers(
                scores, targets, deviation if deviation is None or deviation.dim() == 1 else deviation[part]
            )
        measures, recall = of_classes(scores, targets, probabilities=self.probabilities)
        if len(self.classes) <= MOST_RECALLS:
            names = (RECALL + name for name in tag_names(self.classes))
            measures |= dict(zip(names, recall.T, strict=False))
        return measures

    def names(self, targets: Tensor, outputs: int) -> list[str]:
        """Return the names of the measures that are defined for these targets of one split."""
        return list(self(torch.zeros(1, len(targets), outputs, device=targets.device), targets)[0])


def tag_names(classes: Sequence[str]) -> list[str]:
    """Return a name without blanks for each class, because a metric's name is one word.

    Blanks and signs that cannot be printed become ``_``. If two classes would then have the same name, the names of all
    classes are their numbers.
    """
    names = [
        "".join(sign if sign.isprintable() and not sign.isspace() else "_" for sign in name) or "_" for name in classes
    ]
    return names if len(set(names)) == len(names) else [str(number) for number in range(len(names))]
