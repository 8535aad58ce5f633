import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.figures.of_models.roc import ROCConfig, log_odds, thresholds
from deeprob.figures.style import png


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_curves_by_hand():
    # thresholds 3, 2 and 1: one of the class; then one of each with the same score; then one of the others
    found = thresholds(torch.tensor([2.0, 3.0, 1.0, 2.0]), torch.tensor([True, True, False, False]))
    assert found.true.tolist() == [0, 0.5, 1, 1]
    assert found.false.tolist() == [0, 0, 0.5, 1]
    assert found.precision.tolist() == [1, 1, pytest.approx(2 / 3), 0.5]
    assert found.area == 0.375 + 0.5
    assert found.average_precision == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("digits", [0, 1, 9])  # with few digits, many scores are equal
def test_curves_agree_with_scikit_learn(digits):
    rng = np.random.default_rng(0)
    own = rng.random(400) < 0.1
    scores = np.round(rng.normal(size=400) + own, digits)
    found = thresholds(torch.from_numpy(scores), torch.from_numpy(own))
    assert found.area == pytest.approx(roc_auc_score(own, scores))
    assert found.average_precision == pytest.approx(average_precision_score(own, scores))
    false, true, _ = roc_curve(own, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false, false)
    np.testing.assert_allclose(found.true, true)
    precision, recall, _ = precision_recall_curve(own, scores)
    np.testing.assert_allclose(found.precision.flip(0), precision)
    np.testing.assert_allclose(found.true.flip(0), recall)


def test_log_odds_have_the_order_of_the_probabilities_and_are_not_rounded():
    scores = torch.tensor([[1.0, 2.0, 0.0], [300.0, 0.0, 1.0], [301.0, 0.0, 1.0]], dtype=torch.float64)
    probability = scores[0].softmax(0)
    for place in range(3):
        expected = (probability[place] / (1 - probability[place])).log()
        assert log_odds(scores, place)[0].item() == pytest.approx(expected.item())
    assert scores.softmax(1)[1, 0] == scores.softmax(1)[2, 0]
    assert log_odds(scores, 0)[1] < log_odds(scores, 0)[2]


def test_two_classes_have_two_curves(points):
    figure = ROCConfig().draw(points)
    png(figure)
    left, right = figure.axes
    own = points.examples("test").targets == 1
    scores = points.scores("test").detach()
    margin = scores[:, 1] - scores[:, 0]
    area = roc_auc_score(own, margin)
    assert labels(left) == [f"cats: AUC {area:.3f}", f"dogs: AUC {area:.3f}"]
    precisions = average_precision_score(~own, -margin), average_precision_score(own, margin)
    assert labels(right) == [f"cats: AP {precisions[0]:.3f} (2 of 4)", f"dogs: AP {precisions[1]:.3f} (2 of 4)"]


def test_many_classes_and_a_class_without_examples(run_on):
    inputs = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    run = run_on(RawConfig(), inputs, [f"kind ${place}$" for place in range(12)])
    targets = torch.arange(60) % 12
    targets[targets == 3] = 4
    run = dataclasses.replace(run, raw=dataclasses.replace(run.raw, test=Examples(inputs, targets)))
    figure = ROCConfig().draw(run)
    png(figure)
    left = figure.findobj(lambda part: getattr(part, "get_legend", lambda: None)() is not None)[0]
    assert len(labels(left)) == 10
    assert not any(text.get_parse_math() for text in left.get_legend().get_texts())
    assert labels(left)[3] == "kind $3$: no example"
    probabilities = run.scores("test").detach().softmax(1)
    assert labels(left)[4] == f"kind $4$: AUC {roc_auc_score(targets == 4, probabilities[:, 4]):.3f}"
    assert ROCConfig().cut(run) == "10 of 12 classes (the first)"


def test_it_needs_classes(run_on):
    assert ROCConfig().unsuited(run_on(RawConfig(), torch.randn(4, 2), ())) == (
        "needs classes, and the run predicts numbers"
    )
    assert ROCConfig().unsuited(run_on(RawConfig(), torch.randn(4, 2), ["a"])) == (
        "needs two classes, and the run has one"
    )
