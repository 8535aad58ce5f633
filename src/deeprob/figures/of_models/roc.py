"""ROC curves and precision-recall curves: one class against all other classes, for every threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import some_of
from deeprob.figures.of_models.confusion import needs_classes
from deeprob.figures.style import FAINT, palette_color, shortened

CURVES = 10
"""The largest number of classes that are shown."""


@register("figure", "roc")
@dataclass(kw_only=True, slots=True)
class ROCConfig(FigureConfig):
    """ROC curves and precision-recall curves. Each class is separated from all other classes by a threshold.

    A threshold on the probability of a class finds some examples of the class (the true positives), and some examples
    of other classes (the false positives). Each point of a curve is one threshold. The legends have AUC, the area under
    the ROC curve, and AP, the average precision. Two classes have one curve, for the second class.

    Attributes
    ----------
    split
        The split whose examples are used.
    """

    split: str = choice("test", among=SPLITS)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes(run) or ("needs two classes, and the run has one" if len(run.classes) < 2 else "")

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 7.2, 4.2 + 0.19 * len(shown_classes(run))

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        scores, targets = run.scores(self.split).double().cpu(), run.examples(self.split).targets.cpu()
        left, right = canvas.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
        for place in shown_classes(run):
            own = targets == place
            name, ink = shortened(run.classes[place], 24), palette_color(place)
            if own.all() or not own.any():
                missing = "no other class" if own.all() else "no example"
                for axes in (left, right):
                    axes.plot([], [], color=ink, label=f"{name}: {missing}")
                continue
            curve = thresholds(log_odds(scores, place), own)
            left.plot(curve.false.numpy(), curve.true.numpy(), color=ink, label=f"{name}: AUC {curve.area:.3f}")
            label = f"{name}: AP {curve.average_precision:.3f} ({int(own.sum()):,} of {len(own):,})"
            right.step(curve.true.numpy(), curve.precision.numpy(), where="pre", color=ink, label=label)
        left.set(xlabel="share of the other classes (false positives)", ylabel="share of the class (true positives)")
        right.set(xlabel="recall: share of the class that is found")
        right.set(ylabel="precision: share of the found that is of the class")
        left.set_title(f"ROC ({self.split})")
        right.set_title(f"precision and recall ({self.split})")
        for axes in (left, right):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=1)
            axes.grid(True)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17))

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 2, since panels are wide."""
        return 2

    def cut(self, run: Run) -> str:
        """Return a text that says how many classes are shown, or an empty text if all are shown."""
        return some_of(min(CURVES, len(run.classes)), len(run.classes), "classes", "the first")


def shown_classes(run: Run) -> list[int]:
    """Return the numbers of the classes with a curve: the first `CURVES`."""
    return list(range(min(CURVES, len(run.classes))))


def log_odds(scores: Tensor, place: int) -> Tensor:
    """Return ln(p / (1 − p)) for scores (N, C), where p (N,) is the softmax probability of the class `place`.

    Log-odds sort examples in the same order as p does. But they are not rounded to the same number, as probabilities
    near 1 are.
    """
    others = torch.cat([scores[:, :place], scores[:, place + 1 :]], 1)
    return scores[:, place] - others.logsumexp(1)


class ThresholdCurve(NamedTuple):
    """The curves of one class against the other classes.

    Attributes
    ----------
    true, false
        The share of the class and the share of the other classes above each threshold (T,). Both go from 0 to 1.
    precision
        The share of the class in the examples above each threshold (T,). With no examples above, it is 1.
    area
        The area under the ROC curve, which joins its points by straight lines.
    average_precision
        The mean of the precisions, each weighted by the rise of recall from the threshold before.
    """

    true: Tensor
    false: Tensor
    precision: Tensor
    area: float
    average_precision: float


def thresholds(scores: Tensor, own: Tensor) -> ThresholdCurve:
    """Return the curves of a class for every threshold, from the highest to the lowest.

    Parameters
    ----------
    scores
        The scores of the class (N,). A threshold keeps or drops all examples with equal scores together.
    own
        Whether an example is of the class (N,). There are examples of the class, and of other classes.
    """
    ranked, order = scores.sort(descending=True)
    last = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])  # of examples with equal scores
    found = own[order].double().cumsum(0)[last]
    taken = torch.arange(1, len(own) + 1, dtype=torch.float64)[last]
    zero = taken.new_zeros(1)
    true = torch.cat([zero, found / found[-1]])
    false = torch.cat([zero, (taken - found) / (len(own) - found[-1])])
    precision = torch.cat([zero + 1, found / taken])
    area = torch.trapezoid(true, false).item()
    return ThresholdCurve(true, false, precision, area, (true.diff() * precision[1:]).sum().item())
