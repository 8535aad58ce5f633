"""Every measure against scikit-learn's, on random problems with ties and absent classes, and by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from deeprob.training.classification import area_under_roc, calibration_error, frequencies, imbalance, of_classes


def problem(seed: int) -> tuple[Tensor, Tensor]:
    """Random scores (R, N, C) and classes (N,). Every third problem has ties, every fourth lacks classes."""
    rng = np.random.default_rng(seed)
    runs, count, classes = rng.integers(1, 3), rng.integers(1, 60), rng.integers(2, 11)
    scores = rng.normal(0, rng.choice([0.3, 3, 15]), (runs, count, classes))
    targets = rng.integers(0, classes, count)
    if seed % 3 == 0:
        scores = scores.round().clip(-8, 8) + 0.0
    if seed % 4 == 0:
        targets = rng.choice(rng.choice(classes, (classes + 1) // 2, replace=False), count)
    return torch.from_numpy(scores.astype(np.float32 if seed % 2 else np.float64)), torch.from_numpy(targets)


def expected(scores: Tensor, targets: Tensor) -> dict[str, float]:
    """What scikit-learn says of one run; without what is not defined."""
    truth, predicted, classes = targets.numpy(), scores.argmax(1).numpy(), scores.shape[1]
    chances = scores.softmax(1).float().numpy()
    there = np.unique(truth)
    found = {
        "accuracy": reference.accuracy_score(truth, predicted),
        "balanced_accuracy": reference.recall_score(truth, predicted, average="macro", labels=there, zero_division=0),
        "f1": reference.f1_score(truth, predicted, average="macro"),
        "ece": ece(chances.max(1), predicted == truth),
    }
    if len(there) > 1:
        ones = there if classes > 2 else [1]
        # log-odds have no values that round to 1
        odds = [own_odds(scores.double(), one).numpy().round(11) for one in range(classes)]
        found["auroc"] = np.mean([reference.roc_auc_score(truth == one, odds[one]) for one in ones])
    if classes > 5:
        found["top5"] = reference.top_k_accuracy_score(truth, scores.numpy(), k=5, labels=range(classes))
    return found


def own_odds(scores: Tensor, one: int) -> Tensor:
    """ln p/(1 − p) of the probability of one class."""
    others = [place for place in range(scores.shape[1]) if place != one]
    return scores[:, one] - scores[:, others].logsumexp(1)


def ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """The calibration error with a loop over 15 bins, which are open on the left."""
    edges = np.linspace(0, 1, 16).astype(np.float32)
    bins = [(low < confidence) & (confidence <= high) for low, high in pairwise(edges)]
    gaps = [abs(confidence[b].astype(float).mean() - right[b].mean()) * b.mean() for b in bins if b.any()]
    return float(sum(gaps))


@pytest.mark.parametrize("seed", range(100))
def test_random_problems_as_in_scikit_learn(seed):
    scores, targets = problem(seed)
    measures, recall = of_classes(scores, targets, probabilities=True)
    assert recall.shape == (len(scores), scores.shape[2])
    for run, own in enumerate(scores):
        found = {name: values[run].item() for name, values in measures.items() if values[run].isfinite()}
        assert found == pytest.approx(expected(own, targets), abs=1e-6)
        truth, predicted = targets.numpy(), own.argmax(1).numpy()
        there = np.unique(truth)
        np.testing.assert_allclose(
            recall[run, there], reference.recall_score(truth, predicted, average=None, labels=there, zero_division=0)
        )
        assert recall[run].isnan().sum() == scores.shape[2] - len(there)


def test_whole_functions_of_scikit_learn_where_no_class_is_absent():
    rng = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(1, 200, 4, generator=rng), torch.randint(4, (200,), generator=rng)
    measures, _ = of_classes(scores, targets, probabilities=False)
    chances = scores[0].softmax(1)
    assert measures["auroc"].item() == pytest.approx(reference.roc_auc_score(targets, chances, multi_class="ovr"))
    balanced = reference.balanced_accuracy_score(targets, scores[0].argmax(1))
    assert measures["balanced_accuracy"].item() == pytest.approx(balanced)
    assert "ece" not in measures
    assert "top5" not in measures


def test_each_run_may_have_its_own_examples():
    rng = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(3, 50, 6, generator=rng), torch.randint(6, (3, 50), generator=rng)
    targets[1] %= 2
    together, recalls = of_classes(scores, targets, probabilities=True)
    for run in range(3):
        alone, recall = of_classes(scores[run : run + 1], targets[run], probabilities=True)
        assert {name: values[run].item() for name, values in together.items()} == {
            name: values.item() for name, values in alone.items()
        }
        assert torch.equal(recalls[run].nan_to_num(-1), recall[0].nan_to_num(-1))


def test_the_area_by_hand():
    chances = torch.tensor([[[0.9, 0.5, 0.4, 0.1], [0.1, 0.5, 0.6, 0.9]]], dtype=torch.float64)
    assert area_under_roc(chances, torch.tensor([[0, 1, 0, 1]])).tolist() == [0.75]  # of 4 pairs, 3 are in order
    assert area_under_roc(torch.full((1, 2, 4), 0.5, dtype=torch.float64), torch.tensor([[0, 1, 0, 1]])).tolist() == [
        0.5
    ]
    assert area_under_roc(chances, torch.tensor([[1, 1, 1, 1]])).isnan().all()


def test_the_area_tells_apart_what_rounds_to_1():
    # in float32, softmax gives the second class the probability 1 in all four examples
    scores = torch.tensor([[[0.0, 20.0], [0.0, 30.0], [0.0, 40.0], [0.0, 25.0]]])
    measures, _ = of_classes(scores, torch.tensor([0, 1, 1, 0]), probabilities=False)
    assert measures["auroc"].tolist() == [1.0]


def test_the_calibration_error_by_hand():
    confidence = torch.tensor([[0.9, 0.92, 0.5, 0.5]])  # two bins; in the second, one of two is right
    found = calibration_error(confidence, torch.tensor([[True, True, True, False]]))
    assert found.item() == pytest.approx((0.1 + 0.08) / 4, abs=1e-7)


def test_what_is_not_finite_breaks_nothing():
    scores = torch.tensor([[[torch.nan, 1.0, 2.0], [torch.inf, 0.0, -torch.inf]]])
    of_classes(scores, torch.tensor([0, 2]), probabilities=True)


def test_frequencies_and_imbalance():
    assert frequencies(torch.tensor([[0, 2, 2], [1, 1, 1]]), 3).tolist() == [[1, 0, 2], [0, 3, 0]]
    assert imbalance(torch.tensor([0, 0, 0, 3, 3])) == 1.5
    assert imbalance(torch.tensor([2, 2])) == 1
