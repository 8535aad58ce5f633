"""The names of metrics, such as ``val/auroc``: the split, then the measure. Which values are better, which are shares.

`deeprob.training.classification` and `deeprob.training.regression` compute the measures.
"""

from collections.abc import Mapping
from typing import Any

OF_CLASSES = ("accuracy", "balanced_accuracy", "f1", "auroc", "top5", "ece")
OF_NUMBERS = ("r2", "mae", "rmse")
"""The measures of a split besides the loss: if targets are classes, and if they are numbers."""

RECALL = "recall/"
"""The beginning of the measure of one class. The name of the class follows."""

SYNONYMS = {f"{split}/acc": f"{split}/accuracy" for split in ("train", "val", "test")}

IMBALANCE = "classes/imbalance"
"""The entry of ``summary.json`` that says how unequal the classes are (see `unbalanced`)."""

UNBALANCED = 1.5

_HIGHER = {"accuracy", "balanced_accuracy", "f1", "auroc", "top5", "r2", "examples_per_second"}
_SHARES = {"accuracy", "balanced_accuracy", "top5", "zeros"}


def measure_of(metric: str) -> str:
    """Return the measure of a metric, without the split. Example: ``recall/cat`` of ``val/recall/cat``."""
    return metric.partition("/")[2] or metric


def more_is_better(metric: str) -> bool:
    """Return whether larger values of a metric are better. Of all other metrics, smaller values are better."""
    measure = measure_of(metric)
    return measure in _HIGHER or measure.startswith(RECALL) or metric.startswith("probe/")


def is_share(metric: str) -> bool:
    """Return whether a metric is a share of a whole, which is printed in percent."""
    measure = measure_of(metric)
    return measure in _SHARES or measure.startswith(RECALL) or metric.startswith("probe/")


def is_recall(metric: str) -> bool:
    """Return whether a metric is the recall of a class on a split, such as ``val/recall/cat``."""
    split, _, measure = metric.partition("/")
    return split in ("train", "val", "test") and measure.startswith(RECALL) and measure != RECALL


def unbalanced(metrics: Mapping[str, Any]) -> bool:
    """Return whether the classes of a run are unbalanced, given its metrics.

    They are if, in the training split or in the test split, the most frequent class has more than `UNBALANCED` times
    as many examples as the rarest. Then the accuracy says little about the rare classes, so tables also show the
    balanced accuracy.
    """
    return float(metrics.get(IMBALANCE, 1.0)) > UNBALANCED
