import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from deeprob.figures.of_models.reliability import ReliabilityConfig, calibration
from deeprob.figures.style import png
from deeprob.objective import FocalConfig, HingeConfig


def scores_of(*probabilities):
    """Scores of two classes, of which the first has these probabilities."""
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in probabilities], dtype=torch.float64)


def test_by_hand():
    # confidences 0.6, 0.7, 0.9, 0.9 and, for the second class, 0.7; right are the first, the third and the last
    found = calibration(scores_of(0.6, 0.7, 0.9, 0.9, 0.3), torch.tensor([0, 1, 0, 1, 1]), 4)
    assert found.counts.tolist() == [0, 0, 3, 2]
    assert found.accuracies.tolist()[2:] == pytest.approx([2 / 3, 1 / 2])
    assert found.confidences.tolist()[2:] == pytest.approx([2 / 3, 0.9])
    assert found.accuracies[:2].isnan().all()
    assert found.ece == pytest.approx(2 / 5 * 0.4)


def test_a_bin_includes_its_upper_end():
    found = calibration(torch.tensor([[1000.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), 2)
    assert found.counts.tolist() == [1, 1]


def test_bins_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, targets = 2 * rng.normal(size=(500, 4)), rng.integers(0, 4, 500)
    found = calibration(torch.from_numpy(scores), torch.from_numpy(targets), 15)
    probabilities = torch.from_numpy(scores).softmax(1).numpy()
    right = probabilities.argmax(1) == targets
    accuracies, confidences = calibration_curve(right, probabilities.max(1), n_bins=15)
    some = found.counts > 0
    np.testing.assert_allclose(found.accuracies[some], accuracies)
    np.testing.assert_allclose(found.confidences[some], confidences)
    shares = found.counts[some].numpy() / 500
    assert found.ece == pytest.approx(np.sum(shares * np.abs(accuracies - confidences)))


def test_the_bars(points):
    figure = ReliabilityConfig(bins=4).draw(points)
    png(figure)
    above, below = figure.axes
    found = calibration(points.scores("test"), points.examples("test").targets, 4)
    assert [bar.get_height() for bar in above.patches] == found.accuracies.nan_to_num().tolist()
    assert [bar.get_height() for bar in below.patches] == found.counts.tolist()
    assert above.get_title(loc="left") == f"ECE {100 * found.ece:.1f} % (test)"


def test_it_needs_probabilities(points, run_on):
    def with_loss(loss):
        return dataclasses.replace(points, config=dataclasses.replace(points.config, loss=loss))

    figure = ReliabilityConfig()
    assert figure.unsuited(points) == figure.unsuited(with_loss(FocalConfig())) == ""
    expected = "needs probabilities: loss=cross_entropy or loss=focal, and the run has loss=hinge"
    assert figure.unsuited(with_loss(HingeConfig())) == expected
