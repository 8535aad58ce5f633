"""Measures of classification. They are computed for all runs of a stack together, from scores and class numbers.

The definitions are those of scikit-learn. A value that is not defined is NaN, for example the recall of a class
without examples. The counts are exact, so a run gets the same bits alone and in any stack.
"""

import numpy as np
import torch
from torch import Tensor

BINS = 15
"""The number of bins of equal width in which `calibration_error` compares confidence and accuracy."""


def of_classes(scores: Tensor, targets: Tensor, *, probabilities: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Return the measures of classes.

    Parameters
    ----------
    scores
        Scores (R, N, C) of R runs.
    targets
        Class numbers (N,), or (R, N) if the runs have different examples.
    probabilities
        Whether the loss makes softmax(scores) an estimate of the probabilities. Only then there is an ``ece``.

    Returns
    -------
    dict
        A tensor (R,) of float64 for each measure:

        - ``accuracy``: the share of examples whose class has the highest score.
        - ``balanced_accuracy``: the mean recall of the classes that occur in `targets`.
        - ``f1``: the mean over classes of 2·P·R/(P + R), where P is the precision and R the recall. Classes are left
          out that neither occur nor are predicted.
        - ``auroc``: see `area_under_roc`.
        - ``top5``: the share of examples whose class has one of the five highest scores. Of equal scores, that of the
          later class counts as higher. It exists only if there are more than five classes.
        - ``ece``: see `calibration_error`.
    Tensor
        The recall (R, C) of each class: the share of its examples that are predicted as this class.
    """
    runs, count, classes = scores.shape
    predicted, targets = scores.argmax(2), targets.view(-1, count)
    scores = scores.transpose(1, 2).contiguous()  # softmax is much faster over the second dimension
    right = predicted == targets
    hits = frequencies(torch.where(right, predicted, classes), classes + 1)[:, :classes]
    occurring = frequencies(targets, classes)
    recall = hits / occurring
    confidence = scores.double().softmax(1)  # in float32, equal sets of scores in another order give other bits
    measures = {
        "accuracy": right.sum(1).double() / count,
        "balanced_accuracy": recall.nanmean(1),
        "f1": (2 * hits / (occurring + frequencies(predicted, classes))).nanmean(1),
        "auroc": area_under_roc(confidence, targets),
    }
    if classes > 5:
        own = targets[:, None].expand(runs, 1, count)
        score, number = scores.gather(1, own), torch.arange(classes, device=scores.device)[:, None]
        above = (scores > score) | ((scores == score) & (number > own))
        measures["top5"] = (above.sum(1) < 5).sum(1).double() / count
    if probabilities:
        measures["ece"] = calibration_error(confidence.amax(1).float(), right)
    return measures, recall


def area_under_roc(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return the area under the ROC curve (R,): of each class against the rest, then the mean over the classes.

    The area of a class is the probability that a random example of the class gets a higher probability than a random
    other example. Equal probabilities count half. For two classes, only the area of the second is computed, because
    that of the first is the same. Classes without examples, and a class with all examples, are left out.

    It is computed from the sum of the ranks of the class's examples. An example's probability and whether it belongs
    to the class are packed into one integer. So one sort puts these examples last among equal probabilities, another
    sort puts them first, and the mean of both rank sums is the one in which equal probabilities share their ranks.

    Parameters
    ----------
    probabilities
        (R, C, N) of float64 in [0, 1].
    targets
        (1, N) or (R, N).
    """
    _, classes, count = probabilities.shape
    first = 1 if classes == 2 else 0
    belongs = targets[:, None] == torch.arange(first, classes, device=targets.device)[:, None]
    keys = in_steps(probabilities)[:, first:] * 2
    ranks = torch.arange(1, count + 1, dtype=torch.float64, device=keys.device)
    last = (rows_in_order(keys + belongs) & 1).double() @ ranks
    front = (1 - (rows_in_order(keys + ~belongs) & 1)).double() @ ranks
    inside = belongs.sum(2).double()
    area = ((last + front) / 2 - inside * (inside + 1) / 2) / (inside * (count - inside))
    return area.nanmean(1)


def in_steps(probabilities: Tensor) -> Tensor:
    """Return integers (R, C, N) of 52 bits in the order of the probabilities (R, C, N) of float64.

    They are the bits of the probabilities p. If p is above ½, they are those of 1 − p with a minus, where 1 − p is the
    sum of the other probabilities. So they tell apart probabilities that would be rounded to 1. The last bits are left
    out, because equal scores of other classes in another order change them.
    """
    half = int(torch.tensor(0.5, dtype=torch.float64).view(torch.int64))
    highest, place = probabilities.max(1, keepdim=True)
    others = probabilities.scatter(1, place, 0.0).sum(1, keepdim=True)
    steps = probabilities.view(torch.int64) - half
    above = (half - others.view(torch.int64)).clamp(min=0)
    steps.scatter_(1, place, torch.where(highest > 0.5, above, steps.gather(1, place)))
    return (steps + 2**11) >> 12


def calibration_error(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the expected calibration error (R,) (Guo et al., "On calibration of modern neural networks", 2017).

    It is Σ_b n_b/N·|accuracy_b − confidence_b| over the `BINS` bins of confidence, where bin b has n_b of N examples.

    Parameters
    ----------
    confidence
        The highest probability of each example, (R, N) of float32.
    right
        Whether the prediction is right, (R, N).
    """
    bins = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)  # of integers, which are in range even for NaN
    gaps = confidence.double() - right.double()  # float64 adds numbers of float32 without rounding, in any order
    sums = gaps.new_zeros(len(gaps), BINS).scatter_add_(1, bins, gaps)
    return sums.abs().sum(1) / confidence.shape[1]


def frequencies(numbers: Tensor, bins: int) -> Tensor:
    """Return how often each whole number below `bins` occurs in each row of (R, N), as (R, bins) of float64."""
    rows = len(numbers)
    places = numbers + torch.arange(0, rows * bins, bins, device=numbers.device)[:, None]
    return torch.bincount(places.flatten(), minlength=rows * bins).view(rows, bins).double()


def rows_in_order(rows: Tensor) -> Tensor:
    """Return integers (…, N) with each row sorted. On a CPU, NumPy sorts twenty times faster than PyTorch."""
    return rows.sort().values if rows.is_cuda else torch.from_numpy(np.sort(rows.numpy()))


def imbalance(targets: Tensor) -> float:
    """Return the number of examples of the most frequent class over that of the rarest class that occurs.

    `targets` are class numbers (N,).
    """
    counts = torch.bincount(targets)
    return (counts.max() / counts[counts > 0].min()).item()
