"""The reliability diagram: how often a model is right when it predicts a class with a certain probability."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, name_of, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.of_models.confusion import needs_classes
from deeprob.figures.style import FAINT, INK, PALETTE
from deeprob.objective import CrossEntropyConfig, FocalConfig


@register("figure", "reliability")
@dataclass(kw_only=True, slots=True)
class ReliabilityConfig(FigureConfig):
    """The reliability diagram: the accuracy of predictions with about the same confidence.

    The confidence of a prediction is the softmax probability of the predicted class. The examples are sorted into bins
    of equal width by their confidence. For a well-calibrated model, the accuracy in each bin is equal to the mean
    confidence, so that the bars end on the dashed line. ECE is the expected calibration error: the mean of the distance
    between accuracy and mean confidence over the bins, weighted by their numbers of examples (Guo et al., "On
    calibration of modern neural networks", 2017).

    Attributes
    ----------
    split
        The split whose examples are used.
    bins
        The number of bins of the confidences from 0 to 1.
    """

    split: str = choice("test", among=SPLITS)
    bins: int = number(15, minimum=2, maximum=100)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        loss = run.config.loss
        if run.classes and not isinstance(loss, CrossEntropyConfig | FocalConfig):
            return f"needs probabilities: loss=cross_entropy or loss=focal, and the run has loss={name_of(loss)}"
        return needs_classes(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 4.2, 4.9

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        found = calibration(run.scores(self.split).cpu(), run.examples(self.split).targets.cpu(), self.bins)
        middles = (torch.arange(self.bins) + 0.5).numpy() / self.bins
        width = 0.92 / self.bins
        above, below = canvas.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(middles, found.accuracies.nan_to_num().numpy(), width, color=PALETTE[0], label="accuracy")
        above.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
        some = found.counts > 0
        mean = {"marker": "_", "ls": "", "ms": 150 / self.bins, "mew": 1.8, "color": PALETTE[5]}
        above.plot(middles[some], found.confidences[some].numpy(), label="mean confidence", **mean)
        above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
        above.legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=2, columnspacing=1, borderpad=0.2)
        above.set_title(f"ECE {100 * found.ece:.1f} % ({self.split})")
        below.bar(middles, found.counts.numpy(), width, color=FAINT)
        below.set(xlabel="confidence: the probability of the predicted class", ylabel="examples")
        below.locator_params(axis="y", nbins=3, integer=True)
        most = int(found.counts.argmax())
        below.annotate(
            f"{int(found.counts[most]):,}",
            (middles[most], found.counts[most].item()),
            (0, 1),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=INK,
        )

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row."""
        return 3


class Calibration(NamedTuple):
    """The examples of B bins of confidence.

    Attributes
    ----------
    counts
        The number of examples per bin (B,), int64.
    accuracies, confidences
        The share of right predictions and the mean confidence per bin (B,), float64; NaN if a bin has no examples.
    ece
        The expected calibration error, from 0 to 1.
    """

    counts: Tensor
    accuracies: Tensor
    confidences: Tensor
    ece: float


def calibration(scores: Tensor, targets: Tensor, bins: int) -> Calibration:
    """Sort examples into bins of equal width by the probability of their predicted class.

    A bin includes its upper end. Example: with 15 bins, the last bin has the confidences above 14/15, up to 1.

    Parameters
    ----------
    scores, targets
        Scores (N, C), and classes (N,).
    bins
        The number B of bins.
    """
    confidence, predicted = scores.double().softmax(1).max(1)
    places = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    counts = torch.bincount(places, minlength=bins)
    right = torch.bincount(places, (predicted == targets).double(), minlength=bins)
    total = torch.bincount(places, confidence, minlength=bins)
    return Calibration(counts, right / counts, total / counts, (right - total).abs().sum().item() / len(targets))
